"""The statements that differ from database to database, as one seam.

They are plain functions of a `sqlalchemy.Connection`, so that an async engine (`run_sync`), the
SQLite writer thread and a caller's own session run the same ones.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar

import sqlalchemy as sa

from enfila.core.application.ports.job_repository import Claim, Report
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.question import Question


class JobQuestions(ABC):
    """The hot statements of `IJobRepository` where each of them is one.

    Attributes:
        most_added: how many jobs one statement may add.
    """

    most_added: ClassVar[int]

    @abstractmethod
    def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> Question[list[Job]]:
        """See `JobWrites.add`; sends the notice with its commit."""

    @abstractmethod
    def claim(self, claim: Claim) -> Question[list[Job]]:
        """See `IJobRepository.claim`."""

    @abstractmethod
    def apply(self, transitions: Sequence[Transition]) -> Question[list[datetime | None]]:
        """See `IJobRepository.apply`; leaves a job that others wait for as it is."""

    @abstractmethod
    def extend(self, locks: Sequence[Lock], duration: timedelta) -> Question[list[Extension]]:
        """See `IJobRepository.extend`."""


class JobWrites(ABC):
    """The hot statements of `IJobRepository`, whose docstrings are the contract of these too.

    Each runs inside a transaction.

    Attributes:
        questions: the same as single statements, which need no transaction; None where the
            database takes more than one.
    """

    questions: JobQuestions | None = None

    @abstractmethod
    def add(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Inserts jobs (no deduplication, that is decided before); the jobs as stored."""

    @abstractmethod
    def claim(self, connection: sa.Connection, claim: Claim) -> list[Job]:
        """See `IJobRepository.claim`."""

    @abstractmethod
    def apply(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `IJobRepository.apply`.

        A job that others wait for may be left as it is, as if it were stale, when it would end.
        """

    @abstractmethod
    def apply_with_followers(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """As `apply`, and unblocks the jobs behind those that ended."""

    @abstractmethod
    def extend(
        self, connection: sa.Connection, locks: Sequence[Lock], duration: timedelta
    ) -> list[Extension]:
        """See `IJobRepository.extend`."""

    @abstractmethod
    def report(self, connection: sa.Connection, reports: Sequence[Report]) -> list[bool]:
        """See `IJobRepository.report`."""

    @abstractmethod
    def remove(self, connection: sa.Connection, jobs: sa.Select[tuple[JobId]]) -> list[JobId]:
        """Removes the jobs that `jobs` selects, with what belongs to them; their ids.

        Rows that another transaction holds are left alone.
        """
