"""Refusing transactions: there are none in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from enfila.core.application.ports.transactional_jobs import CallersTransaction, ITransactionalJobs
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job


class InMemoryTransactionalJobs(ITransactionalJobs):
    """`ITransactionalJobs` of a storage without SQL: refuses every transaction."""

    async def add(
        self,
        jobs: Sequence[Job],  # noqa: ARG002 - the port's signature
        transaction: CallersTransaction,
    ) -> list[Added]:
        _refuse(transaction)

    def add_sync(
        self,
        jobs: Sequence[Job],  # noqa: ARG002 - the port's signature
        transaction: CallersTransaction,
    ) -> list[Added]:
        _refuse(transaction)

    def after_commit(
        self,
        transaction: CallersTransaction,
        callback: Callable[[], None],  # noqa: ARG002 - the port's signature
    ) -> None:
        _refuse(transaction)


def _refuse(transaction: CallersTransaction) -> NoReturn:
    raise InvalidRequest(
        "session",
        transaction,
        "add without session",
        problem="jobs in memory take part in no transaction",
    )
