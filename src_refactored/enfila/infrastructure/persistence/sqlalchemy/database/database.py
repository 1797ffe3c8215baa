"""How transactions are run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import StatementCall

T = TypeVar("T")
Work = Callable[[sa.Connection], T]
"""SQL is written once, as plain functions of a connection."""


class Database(ABC):
    """Runs reads and transactions on connections of one database, whatever engine there is.

    A caller who is cancelled never cuts a statement in the middle: the work goes on to its end.

    Raises:
        RepositoryUnavailable: from all of them, in place of the driver's errors of outage.
    """

    @abstractmethod
    async def write(self, work: Work[T]) -> T:
        """Runs `work` in one transaction, again if the database rolled it back for a conflict."""

    async def execute(self, call: StatementCall[T]) -> T:
        """Executes one statement that is atomic without a transaction."""
        return await self.write(call.on)

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """Runs `work` that only reads."""

    @abstractmethod
    async def close(self) -> None:
        """Ends work under way in good order and releases all connections. May be called twice."""
