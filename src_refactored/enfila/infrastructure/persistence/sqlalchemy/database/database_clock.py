"""The one clock that rows are written with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa

from enfila.core.application.ports.clock import Clock
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant


class DatabaseClock:
    """The clock of one storage: an injected one, or the database server's.

    Args:
        clock: the injected one.
        server_now: the server's instant, inside a statement; None where there is no server, and
            where it is this machine's clock when none is injected.
    """

    def __init__(
        self, clock: Clock | None, server_now: sa.ColumnElement[datetime] | None = None
    ) -> None:
        self._clock = clock
        self._server_now = server_now if clock is None else None

    def read(self, connection: sa.Connection) -> datetime:
        """The instant, as a value; asks the server when it is its clock."""
        if self._clock is not None:
            return self._clock.now()
        if self._server_now is None:
            return datetime.now(UTC)
        return cast("datetime", connection.scalar(sa.select(self._server_now)))

    @property
    def expression(self) -> sa.ColumnElement[datetime]:
        """The instant, inside a statement that is executed with `parameters`."""
        return sa.bindparam("now", type_=Instant) if self._server_now is None else self._server_now

    def parameters(self) -> dict[str, Any]:
        """What a statement with `expression` in it needs."""
        if self._server_now is not None:
            return {}
        return {"now": datetime.now(UTC) if self._clock is None else self._clock.now()}


def seconds(length: timedelta | None) -> float | None:
    """A length of time as the databases count it."""
    return None if length is None else length.total_seconds()
