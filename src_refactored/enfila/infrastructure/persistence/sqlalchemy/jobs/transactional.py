"""`ITransactionalJobs` on a caller's Session or Connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from types import ModuleType

import sqlalchemy as sa

from enfila.core.application.ports.transactional_jobs import CallersTransaction, ITransactionalJobs
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job
from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors

AddJobs = Callable[[sa.Connection, Sequence[Job]], list[Added]]


class SqlAlchemyTransactionalJobs(ITransactionalJobs):
    """`ITransactionalJobs` on SQL: adds jobs on connections of the caller.

    Args:
        target: the database, for people to read.
        open_storage: opens it, if it is not open.
        check: refuses connections that lead elsewhere.
        errors: what the errors of the caller's driver mean.
        add_jobs: adds jobs in a transaction that is under way.
    """

    def __init__(
        self,
        target: str,
        open_storage: Callable[[], Awaitable[None]],
        check: Callable[[sa.Connection], None],
        errors: DriverErrors,
        add_jobs: AddJobs,
    ) -> None:
        self._target = target
        self._open_storage = open_storage
        self._is_open = False
        self._check = check
        self._errors = errors
        self._add_jobs = add_jobs

    async def add(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """See `ITransactionalJobs.add`."""
        if not self._is_open:
            await self._open_storage()
            self._is_open = True
        added: list[Added] = await _callers_transaction().run_within(
            transaction, lambda connection: self._add_on(connection, jobs)
        )
        return added

    def add_sync(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """See `ITransactionalJobs.add_sync`."""
        added: list[Added] = _callers_transaction().run_within_sync(
            transaction, lambda connection: self._add_on(connection, jobs)
        )
        return added

    def after_commit(self, transaction: CallersTransaction, callback: Callable[[], None]) -> None:
        """See `ITransactionalJobs.after_commit`."""
        _callers_transaction().after_commit(transaction, callback)

    def _add_on(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Added]:
        with self._errors.translating(self._target):
            self._check(connection)
            return self._add_jobs(connection, jobs)


def _callers_transaction() -> ModuleType:
    # It needs SQLAlchemy's ORM, 9 MB that a worker can do without.
    from enfila.infrastructure.persistence.sqlalchemy.database import (  # noqa: PLC0415
        callers_transaction,
    )

    return callers_transaction
