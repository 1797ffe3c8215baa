"""What PostgreSQL is told, and how."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.ports.wake_up import WakeUp
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.showing import shown
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.dialects.dialect import Dialect
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.drivers import (
    PostgresDriver,
    driver_of,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.errors import (
    PostgresErrors,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.wake_up import PostgresWakeUp
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.writes import (
    PostgresJobWrites,
)
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.jobs.writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_MIGRATION_KEY: Final = zlib.crc32(b"enfila migrations")


class PostgresDialect(Dialect):
    """`Dialect` of PostgreSQL, over asyncpg or psycopg 3."""

    has_schemas: ClassVar[bool] = True
    # Not now(), which is the start of a caller's perhaps old transaction, and not
    # clock_timestamp(), which is volatile and so could not bound an index scan.
    server_now: ClassVar[sa.ColumnElement[datetime] | None] = sa.func.statement_timestamp(
        type_=Instant
    )
    errors: ClassVar[DriverErrors] = PostgresErrors()
    insert: UpsertingInsert = staticmethod(postgresql.insert)

    def __init__(self) -> None:
        self._drivers: dict[URL, PostgresDriver] = {}

    def make_database(self, url: URL, *, pool_size: int, synchronous: str) -> Database:
        """See `Dialect.make_database`."""
        # It needs greenlet, which a bare install for SQLite does not have.
        from enfila.infrastructure.persistence.sqlalchemy.database.server.server_database import (  # noqa: PLC0415
            ServerDatabase,
        )

        del synchronous  # a setting of the server's
        return ServerDatabase(url, self._driver_of(url), pool_size=pool_size)

    def make_job_writes(self, tables: Tables, clock: DatabaseClock, effects: Effects) -> JobWrites:
        """See `Dialect.make_job_writes`."""
        return PostgresJobWrites(tables, clock, effects)

    def make_wake_up(
        self, url: URL, installation: str, *, notify: bool, listen_url: URL | None
    ) -> WakeUp:
        """See `Dialect.make_wake_up`."""
        if not notify:
            return InProcessWakeUp()
        return PostgresWakeUp(url, installation, listen_url=listen_url, driver=self._driver_of(url))

    def _driver_of(self, url: URL) -> PostgresDriver:
        """One for all that use a URL: what is noticed of a pooler, they know together."""
        return self._drivers.setdefault(url, driver_of(url))

    def check_reachable(self, url: URL) -> None:
        """See `Dialect.check_reachable`: a server says so itself."""

    def lock_for_migration(self, connection: sa.Connection, schema: str | None) -> None:
        """See `Dialect.lock_for_migration`."""
        # A large table takes its time, and so do the others that wait for this one.
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        # One lock for all installations of a database, since two of them may share a schema.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_KEY)))
        # Asked first: IF NOT EXISTS too needs the right to make schemas.
        if schema is not None and not sa.inspect(connection).has_schema(schema):
            connection.execute(sa.schema.CreateSchema(schema))

    def database_name(self, connection: sa.Connection) -> str | None:
        """See `Dialect.database_name`."""
        return connection.scalar(sa.select(sa.func.current_database()))

    def check_same(self, url: URL, name: str | None, connection: sa.Connection) -> None:
        """See `Dialect.check_same`."""
        del url
        found = self.database_name(connection)
        if name not in (None, found):
            given = connection.engine.url.render_as_string(hide_password=True)
            wanted = f"on database {shown(name)} and not on {shown(found)}"
            raise InvalidRequest(
                "session", given, f"give one {wanted}, where this queue's jobs are"
            )
