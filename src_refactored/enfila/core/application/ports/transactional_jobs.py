"""The port for adding jobs inside a transaction that belongs to the caller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job

# A transaction that belongs to the caller: a SQLAlchemy Session, AsyncSession, Connection or
# AsyncConnection. The core cannot name these types; the adapter refuses anything else.
CallersTransaction = Any


class ITransactionalJobs(ABC):
    """Adds jobs that come and go with the caller's own transaction.

    Raises:
        InvalidRequest: from every method, when the transaction is nothing that this storage can
            write into.
    """

    @abstractmethod
    async def add(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """As `IJobRepository.add`, inside the caller's transaction."""

    @abstractmethod
    def add_sync(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """As `add`, for a `Session` or `Connection` of code without an event loop."""

    @abstractmethod
    def after_commit(self, transaction: CallersTransaction, callback: Callable[[], None]) -> None:
        """Calls back, from whatever thread, once the caller's transaction has committed.

        Once and never after a rollback. To be called inside the transaction, after `add`.
        """
