"""The port for looking at jobs: lists and histories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.state import JobState


@dataclass(frozen=True, slots=True)
class LogLine:
    """Value object: one line that a running job logged."""

    at: datetime
    attempt: int
    line: str


class Overdue(StrEnum):
    """The kinds of overdue jobs that maintenance moves: stalled, expired, due."""

    STALLED = "stalled"
    """Active, and the lock has run out."""
    EXPIRED = "expired"
    """Waiting, delayed or blocked, never started, and past `expires_at`."""
    DUE = "due"
    """Delayed, and `run_at` has come."""


class IJobReader(ABC):
    """Reads what is committed. Every answer is a snapshot: it may be old when it arrives."""

    @abstractmethod
    async def get(self, job_ids: Collection[JobId]) -> dict[JobId, Job]:
        """The jobs with these ids; ids that do not exist are left out."""

    @abstractmethod
    async def find(
        self,
        queue: str,
        states: Collection[JobState],
        *,
        limit: int = 100,
        offset: int = 0,
        newest_first: bool = False,
    ) -> list[Job]:
        """Jobs of the queue in these states, in the order in which they were added."""

    @abstractmethod
    async def overdue(self, queue: str, kind: Overdue, limit: int) -> list[Job]:
        """At most `limit` jobs of the queue that are overdue in this way, the oldest first."""

    @abstractmethod
    async def attempts(self, job_id: JobId) -> list[Attempt]:
        """The runs of a job, oldest first, with one that is still going on; [] if unknown."""

    @abstractmethod
    async def logs(self, job_id: JobId, *, limit: int = 1000, offset: int = 0) -> list[LogLine]:
        """The log lines of a job in the order in which they were written; [] if unknown."""
