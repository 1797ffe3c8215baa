"""What the repositories of one storage run their statements with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from enfila.core.application.runtime.forks import ForkAware
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database, Work
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import StatementCall

T = TypeVar("T")


class Access(ForkAware):
    """Runs statements for the repositories of a storage, which is opened at first use.

    Args:
        open_storage: opens it, if it is not open.

    Attributes:
        clock: the clock that rows are written with.
        is_open: set by the storage.
    """

    def __init__(
        self, database: Database, clock: DatabaseClock, open_storage: Callable[[], Awaitable[None]]
    ) -> None:
        self.clock = clock
        self.is_open = False
        self._database = database
        self._open_storage = open_storage

    def start_over(self) -> None:
        """See `ForkAware`. A database in memory has no tables in the child."""
        self.is_open = False

    async def write(self, work: Work[T]) -> T:
        """As `Database.write`."""
        if not self.is_open:
            await self._open_storage()
        return await self._database.write(work)

    async def execute(self, call: StatementCall[T]) -> T:
        """As `Database.execute`."""
        if not self.is_open:
            await self._open_storage()
        return await self._database.execute(call)

    async def read(self, work: Work[T]) -> T:
        """As `Database.read`."""
        if not self.is_open:
            await self._open_storage()
        return await self._database.read(work)
