"""A repository that many tests use, one after the other.

To make one costs a hundred times what a test asks of it: tables are declared, statements compiled,
connections opened. As in a program that runs for long, it outlives whoever uses it; the tests keep
apart by the names of their queues, as they do on a server whose tables they share anyway.
"""

from datetime import datetime
from typing import Final, Self

from enfila.core.application.ports.clock import Clock
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_database import (
    ServerDatabase,
)


class ClockOfTheTest(Clock):
    """Shows what the clock of the present test shows."""

    shown: Clock

    def now(self) -> datetime:
        return self.shown.now()


class LastingRepository(SqlAlchemyJobRepository):
    """Knows whether a test has closed it, and can let go of its connections."""

    is_closed = False

    async def close(self) -> None:
        self.is_closed = True
        await super().close()

    async def disconnect(self) -> None:
        database = self._own_storage._database  # noqa: SLF001 - programs have no use for it
        if isinstance(database, ServerDatabase):
            for pool in database._pools.values():  # noqa: SLF001 - as above
                await pool._dispose()  # noqa: SLF001 - as above


class Lasting:
    """The repository on one database, made when it is first asked for.

    It lives on the event loop of the session, and so do the tests that ask for it.
    """

    def __init__(self, url: str) -> None:
        self.url: Final = url
        self._clock = ClockOfTheTest()
        self._repository: LastingRepository | None = None

    async def repository(self, clock: Clock) -> SqlAlchemyJobRepository:
        """The one that lasts, under this clock; a new one after a test has closed it."""
        self._clock.shown = clock
        if self._repository is None or self._repository.is_closed:
            self._repository = LastingRepository(self.url, clock=self._clock)
            await self._repository.open()
        return self._repository

    async def another(self, clock: Clock) -> SqlAlchemyJobRepository:
        """One more on the same data, as another process has it; its caller closes it."""
        repository = SqlAlchemyJobRepository(self.url, clock=clock)
        await repository.open()
        return repository

    async def disconnect(self) -> None:
        """Closes the connections to a server; they are opened again when they are needed."""
        if self._repository is not None:
            await self._repository.disconnect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._repository is not None:
            await self._repository.close()
