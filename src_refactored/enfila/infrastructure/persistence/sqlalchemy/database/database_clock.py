"""The one clock that rows are written with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INTERVAL

from enfila.core.application.ports.clock import Clock
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant


class DatabaseClock:
    """The clock of one repository: an injected one, or the database server's.

    SQLite has no server, so there it is this machine's clock when none is injected.
    """

    def __init__(self, clock: Clock | None, *, has_server: bool) -> None:
        self._clock = clock
        self._has_server = has_server

    def read(self, connection: sa.Connection) -> datetime:
        """The instant, as a value; asks the server when it is its clock."""
        if self._clock is not None:
            return self._clock.now()
        if not self._has_server:
            return datetime.now(UTC)
        return cast("datetime", connection.scalar(sa.select(self.expression)))

    @property
    def expression(self) -> sa.ColumnElement[datetime]:
        """The instant, inside a statement that is executed with `parameters`."""
        if self._clock is None and self._has_server:
            # Not now(), which is the start of a caller's perhaps old transaction, and not
            # clock_timestamp(), which is volatile and so could not bound an index scan.
            return sa.func.statement_timestamp(type_=Instant)
        return sa.bindparam("now", type_=Instant)

    def parameters(self) -> dict[str, Any]:
        """What a statement with `expression` in it needs."""
        if self._clock is None and self._has_server:
            return {}
        return {"now": datetime.now(UTC) if self._clock is None else self._clock.now()}

    def later(self, seconds: sa.ColumnElement[Any]) -> sa.ColumnElement[datetime]:
        """`expression` plus a number of seconds (server databases only)."""
        return self.expression + sa.cast(
            seconds * sa.literal_column("interval '1 second'"), INTERVAL
        )


def seconds(length: timedelta | None) -> float | None:
    """A length of time as the databases count it."""
    return None if length is None else length.total_seconds()
