"""The hot statements about jobs, which differ from database to database, as one seam."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access


class JobWrites(ABC):
    """The hot SQL writes about jobs, which each dialect does in its own way.

    Each async method is one atomic step. Those that take a connection are part of somebody's
    transaction, which may be a caller's own: they are plain functions of it, so that an async
    engine, the SQLite writer thread and a caller's session run the same ones.
    """

    @abstractmethod
    async def add(self, access: Access, jobs: Sequence[Job], notice: Notice | None) -> list[Job]:
        """As `add_on`; may send `notice` with the commit."""

    @abstractmethod
    def add_on(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Inserts jobs (no deduplication, that is decided before); the jobs as stored."""

    @abstractmethod
    async def claim(self, access: Access, claim: Claim) -> list[Job]:
        """See `IJobRepository.claim`."""

    @abstractmethod
    async def apply(
        self, access: Access, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `IJobRepository.apply`.

        Raises:
            RepositoryUnavailable: uncertain if some of them may be written.
        """

    @abstractmethod
    def apply_on(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """As `apply`, in a transaction that is under way."""

    @abstractmethod
    async def extend(
        self, access: Access, locks: Sequence[Lock], duration: timedelta
    ) -> list[Extension]:
        """See `IJobRepository.extend`."""

    @abstractmethod
    async def update_progress(
        self, access: Access, updates: Sequence[ProgressUpdate]
    ) -> list[bool]:
        """See `IJobRepository.update_progress`."""

    @abstractmethod
    def remove_on(self, connection: sa.Connection, jobs: sa.Select[tuple[JobId]]) -> list[JobId]:
        """Removes the jobs that `jobs` selects, with what belongs to them; their ids.

        Rows that another transaction holds are left alone.
        """
