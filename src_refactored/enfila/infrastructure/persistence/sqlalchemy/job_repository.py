"""The jobs of a SQL storage that is made with them."""

from __future__ import annotations

from enfila.core.application.ports.clock import Clock
from enfila.infrastructure.persistence.sqlalchemy.jobs.repository import SqlAlchemyJobs
from enfila.infrastructure.persistence.sqlalchemy.storage import SqlAlchemyStorage
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import DEFAULT_PREFIX


class SqlAlchemyJobRepository(SqlAlchemyJobs):
    """`IJobRepository` in SQLite (one file) or PostgreSQL, with a storage of its own.

    For code without a container. Its arguments are those of `SqlAlchemyStorage`, which is reached
    as `storage`; `open` and `close` open and close it.

    Raises:
        InvalidRequest: a wrong argument.
        DriverMissing: the database's driver is not installed.
    """

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
        storage = SqlAlchemyStorage(
            url,
            clock=clock,
            schema=schema,
            table_prefix=table_prefix,
            auto_migrate=auto_migrate,
            pool_size=pool_size,
            synchronous=synchronous,
        )
        super().__init__(storage.access, storage.job_statements, storage)
        storage.jobs = self
        self._own_storage = storage

    @property
    def storage(self) -> SqlAlchemyStorage:
        """The storage that was made with it."""
        return self._own_storage
