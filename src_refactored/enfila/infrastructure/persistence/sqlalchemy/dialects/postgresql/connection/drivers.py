"""What the drivers of PostgreSQL are told."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.engine import URL

from enfila.core.domain.errors import InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.database import server_driver
from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import Row
from enfila.infrastructure.persistence.sqlalchemy.database.server_driver import (
    DirectExecution,
    ServerDriver,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.errors import (
    PostgresErrors,
)

PLANNER: Final = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "TimeZone": "UTC",
}
"""Settings of each connection.

A plan that PostgreSQL caches while the table is small must still be right when it has grown, so
whatever visits the whole table is ruled out: rows are found by index, one by one. JIT never pays
for statements of milliseconds.
"""
# What SQLAlchemy takes from the URL for itself before it calls asyncpg.
_OPTIONS_OF_THE_DIALECT: Final = frozenset({"prepared_statement_cache_size"})


def driver_of(url: URL) -> ServerDriver:
    """The driver of PostgreSQL that a URL names."""
    return PsycopgDriver() if url.get_driver_name() == "psycopg" else AsyncpgDriver()


class AsyncpgDriver(ServerDriver):
    """How connections to PostgreSQL over asyncpg are set up; it prepares each statement once."""

    def __init__(self) -> None:
        self.errors: DriverErrors = PostgresErrors()
        self.direct: DirectExecution | None = _AsyncpgExecution()

    def check_options(self, url: URL) -> None:
        """See `ServerDriver.check_options`."""
        import asyncpg  # noqa: PLC0415 - only where it is installed

        known = _OPTIONS_OF_THE_DIALECT | set(inspect.signature(asyncpg.connect).parameters)
        if unknown := sorted(set(url.query) - known):
            raise InvalidRequest(
                "url", ", ".join(unknown), "asyncpg has no such option; leave it out of the URL"
            )

    def engine_url(self, url: URL) -> URL:
        """See `ServerDriver.engine_url`: it has no other kind."""
        return url

    def connect_arguments(self) -> dict[str, Any]:
        """See `ServerDriver.connect_arguments`."""
        return {
            "timeout": server_driver.CONNECT_SECONDS,
            "command_timeout": server_driver.STATEMENT_SECONDS,
            "server_settings": {"application_name": "enfila", **PLANNER},
        }


class PsycopgDriver(ServerDriver):
    """How connections to PostgreSQL over psycopg 3 are set up."""

    def __init__(self) -> None:
        self.errors: DriverErrors = PostgresErrors()

    def check_options(self, url: URL) -> None:
        """See `ServerDriver.check_options`: it says so itself when it connects."""

    def engine_url(self, url: URL) -> URL:
        """See `ServerDriver.engine_url`."""
        return url.set(drivername="postgresql+psycopg_async")

    def connect_arguments(self) -> dict[str, Any]:
        """See `ServerDriver.connect_arguments`."""
        limit = str(server_driver.STATEMENT_SECONDS * 1000)
        settings = {**PLANNER, "statement_timeout": limit}
        return {
            "connect_timeout": server_driver.CONNECT_SECONDS,
            "application_name": "enfila",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        }


class _AsyncpgExecution(DirectExecution):
    async def fetch(self, connection: Any, text: str, values: tuple[Any, ...]) -> Sequence[Row]:
        rows: Sequence[Row] = await connection.fetch(text, *values)
        return rows

    def is_closed(self, connection: Any) -> bool:
        answer: bool = connection.is_closed()
        return answer
