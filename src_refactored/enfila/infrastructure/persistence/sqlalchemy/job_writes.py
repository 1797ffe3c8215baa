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
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.transition import Transition


class JobWrites(ABC):
    """The hot statements of `IJobRepository`, whose docstrings are the contract of these too.

    Each runs inside a transaction of the caller's. One that is a single statement
    (`is_one_statement`) may run in autocommit instead, which saves two round trips; an addition is
    one up to `most_added_in_one_statement`.
    """

    is_one_statement: ClassVar[bool]
    most_added_in_one_statement: ClassVar[int] = 0

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
        """As `apply`, and unblocks the jobs behind those that ended. Never in autocommit."""

    @abstractmethod
    def extend(
        self, connection: sa.Connection, locks: Sequence[Lock], duration: timedelta
    ) -> list[Extension]:
        """See `IJobRepository.extend`."""

    @abstractmethod
    def report(self, connection: sa.Connection, reports: Sequence[Report]) -> list[bool]:
        """See `IJobRepository.report`. Never in autocommit."""

    @abstractmethod
    def remove(self, connection: sa.Connection, jobs: sa.Select[tuple[JobId]]) -> list[JobId]:
        """Removes the jobs that `jobs` selects, with what belongs to them; their ids.

        Rows that another transaction holds are left alone. Never in autocommit.
        """
