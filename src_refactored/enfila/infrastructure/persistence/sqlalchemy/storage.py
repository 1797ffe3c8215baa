"""A SQL database: opened and closed once, it hands out the repositories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from enfila.core.application.ports.clock import Clock, when_moved
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.storage import Storage
from enfila.core.application.ports.wake_up import WakeUp
from enfila.core.application.system_clock import clock_or_system
from enfila.core.domain.checking import flag, whole
from enfila.core.domain.errors import InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.urls import shown
from enfila.infrastructure.persistence.sqlalchemy.dialects.choosing import dialect_of, engine_url
from enfila.infrastructure.persistence.sqlalchemy.dialects.same_database import SameDatabase
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.job_types.repository import SqlAlchemyJobTypes
from enfila.infrastructure.persistence.sqlalchemy.jobs.repository import SqlAlchemyJobs
from enfila.infrastructure.persistence.sqlalchemy.jobs.statements import JobStatements
from enfila.infrastructure.persistence.sqlalchemy.jobs.transactional import (
    SqlAlchemyTransactionalJobs,
)
from enfila.infrastructure.persistence.sqlalchemy.migrations.upgrading import Upgrading
from enfila.infrastructure.persistence.sqlalchemy.queues.repository import SqlAlchemyQueues
from enfila.infrastructure.persistence.sqlalchemy.schedules.repository import SqlAlchemySchedules
from enfila.infrastructure.persistence.sqlalchemy.schedules.run_repository import (
    SqlAlchemyScheduleRuns,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import (
    DEFAULT_PREFIX,
    build_tables,
)
from enfila.infrastructure.persistence.sqlalchemy.workers.repository import SqlAlchemyWorkers

MOST_CONNECTIONS: Final = 1_000


class SqlAlchemyStorage(Storage):
    """`Storage` in a SQL database: SQLite (one file) or PostgreSQL.

    It opens itself at first use; `open` does so at a moment of your choice.

    Args:
        url: `sqlite:///file.db`, or `postgresql://…` with asyncpg (or psycopg 3, if asyncpg is not
            installed or `postgresql+psycopg://` is given).
        clock: instants for the rows; None for the server's clock, on SQLite this machine's.
        schema: PostgreSQL schema that holds the tables; it is made when it does not exist.
        table_prefix: what the names of the tables begin with.
        auto_migrate: `open` brings the tables up to date; otherwise it refuses old ones.
        pool_size: connections kept to a server; as many again are opened under load.
        synchronous: SQLite only: FULL survives a power cut, NORMAL is faster and may then lose
            the last commits.

    Attributes:
        access: what repositories run their statements with.
        job_statements: what the jobs are written and read with.
        jobs: the jobs.

    Raises:
        InvalidRequest: a wrong argument.
        DriverMissing: the database's driver is not installed.
    """

    jobs: IJobRepository

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        schema: str | None = None,
        table_prefix: str = DEFAULT_PREFIX,
        auto_migrate: bool = True,
        pool_size: int = 5,
        synchronous: str = "FULL",
    ) -> None:
        flag("auto_migrate", auto_migrate)
        whole("pool_size", pool_size, 1, MOST_CONNECTIONS)
        if clock is not None:
            clock_or_system(clock)
        self._url = engine_url(url)
        self._dialect = dialect = dialect_of(self._url)
        schema = schema if dialect.has_schemas else None
        self._clock = clock
        tables = build_tables(schema, table_prefix)
        self._installation = f"{schema or ''}.{tables.prefix}"
        instants = DatabaseClock(clock, dialect.server_now)
        self._database = dialect.make_database(
            self._url, pool_size=pool_size, synchronous=synchronous
        )
        self._upgrading = Upgrading(
            schema, tables.prefix, dialect.lock_for_migration, auto_migrate=auto_migrate
        )
        self._same_database = SameDatabase(self._url, dialect, self._upgrading)
        self._effects = effects = Effects(tables)
        self.access = access = Access(self._database, instants, self.open)
        writes = dialect.make_job_writes(tables, instants, effects)
        self.job_statements = JobStatements(tables, instants, effects, writes, dialect.insert)
        self.jobs = SqlAlchemyJobs(access, self.job_statements, self)
        self.queues = SqlAlchemyQueues(access, tables, effects.counters, dialect.insert)
        self.workers = SqlAlchemyWorkers(access, tables)
        self.job_types = SqlAlchemyJobTypes(access, tables, dialect.insert)
        self.schedule_runs = runs = SqlAlchemyScheduleRuns(
            access, tables, dialect.insert, effects, self.job_statements
        )
        self.schedules = SqlAlchemySchedules(access, tables, dialect.insert, runs)
        self.transactional_jobs = SqlAlchemyTransactionalJobs(
            shown(self._url),
            self.open,
            self._same_database.check,
            dialect.errors,
            self.job_statements.add,
        )

    @property
    def address(self) -> str:
        """See `Storage.address`."""
        return shown(self._url)

    @property
    def url(self) -> sa.URL:
        """The database, with the driver in use."""
        return self._url

    @property
    def installation(self) -> str:
        """What tells this installation's tables from others in the same database."""
        return self._installation

    async def open(self) -> None:
        """See `Storage.open`."""
        self._dialect.check_reachable(self._url)
        if await self._database.read(self._upgrading.is_needed):
            await self._database.write(self._upgrading.upgrade)
        self._same_database.name = await self._database.read(self._dialect.database_name)
        self.access.is_open = True

    async def close(self) -> None:
        """See `Storage.close`."""
        await self._database.close()

    async def compact(self) -> None:
        """See `Storage.compact`."""
        await self.access.write(self._effects.counters.fold)
        await self.access.write(
            lambda connection: self.job_statements.keys.drop_free(
                connection, self.access.clock.read(connection)
            )
        )

    def when_moved(self, callback: Callable[[], None]) -> Callable[[], None]:
        return when_moved(self._clock, callback)

    def make_wake_up(self, *, notify: bool, listen_url: str | None = None) -> WakeUp:
        """See `Storage.make_wake_up`."""
        listens_at = None if listen_url is None else engine_url(listen_url, "listen_url")
        if listens_at and listens_at.get_backend_name() != self._url.get_backend_name():
            raise InvalidRequest(
                "listen_url", shown(listens_at), f"give an address of {shown(self._url)}"
            )
        return self._dialect.make_wake_up(
            self._url, self._installation, notify=notify, listen_url=listens_at
        )
