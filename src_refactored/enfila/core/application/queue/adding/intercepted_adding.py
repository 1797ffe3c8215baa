"""How new jobs get into a queue when there are interceptors."""

from __future__ import annotations

from collections.abc import Sequence

from enfila.core.application.interceptors import Interceptors
from enfila.core.application.ports.transactional_jobs import CallersTransaction
from enfila.core.application.queue.adding.adding import Adding
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job


class InterceptedAdding:
    """`Adding`, with the interceptors around each write, in the caller's thread and context."""

    def __init__(self, adding: Adding, interceptors: Interceptors) -> None:
        self.make = adding.make
        self._adding = adding
        self._interceptors = interceptors

    async def add(self, job: Job) -> Added:
        """As `Adding.add`. The interceptors are the caller's own; the statement is shared."""
        with self._interceptors.adding([job]) as [annotated]:
            return await self._adding.add(annotated)

    async def add_all(self, jobs: Sequence[Job]) -> Sequence[Added]:
        """As `Adding.add_all`."""
        if not jobs:
            return []
        with self._interceptors.adding(jobs) as annotated:
            return await self._adding.add_all(annotated)

    def add_sync(self, job: Job) -> Added:
        """As `Adding.add_sync`."""
        with self._interceptors.adding([job]) as [annotated]:
            return self._adding.add_sync(annotated)

    async def add_within(
        self, jobs: Sequence[Job], transaction: CallersTransaction
    ) -> Sequence[Added]:
        """As `Adding.add_within`."""
        if not jobs:
            return []
        with self._interceptors.adding(jobs) as annotated:
            return await self._adding.add_within(annotated, transaction)

    def add_within_sync(
        self, jobs: Sequence[Job], transaction: CallersTransaction
    ) -> Sequence[Added]:
        """As `Adding.add_within_sync`."""
        with self._interceptors.adding(jobs) as annotated:
            return self._adding.add_within_sync(annotated, transaction)
