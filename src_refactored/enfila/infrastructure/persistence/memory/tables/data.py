"""What the parts of the repository share."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_reader import LogLine
from enfila.core.application.runtime.forks import ForkAware
from enfila.core.domain.job.identity import JobId, LockToken, WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.retention import Retention
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job_type import JobTypeInfo
from enfila.core.domain.schedule.runs.run import RunId, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.persistence.memory.tables.deduplication_keys import DeduplicationKeys
from enfila.infrastructure.persistence.memory.tables.job_table import JobTable


@dataclass(slots=True)
class KeptRun:
    """A run of a schedule as memory keeps it, without its job.

    Attributes:
        closed_at: when its end was told to its schedule; None while that is open.
    """

    run: ScheduleRun
    closed_at: datetime | None


@dataclass(eq=False)
class Store(ForkAware):
    """The dicts that the repositories of one in-memory storage share.

    Attributes:
        numbers: one for each job that is added.
        expected: the jobs for whose end somebody waits.
        retentions: the own rules of final jobs, as the transition to their end brought them.
        attempts: the runs that moves have ended, per job, in the order in which they ended.
        logs: the log lines per job, in the order in which they were written.
        queues: the names of the queues that have been used, and whether each is paused.
        schedule_runs: in the order in which they were made.
        lock: held for each step; several threads may have an event loop each.
    """

    clock: Clock
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    jobs: JobTable = field(default_factory=JobTable)
    keys: DeduplicationKeys = field(default_factory=DeduplicationKeys)
    expected: set[JobId] = field(default_factory=set)
    retentions: dict[JobId, Retention | None] = field(default_factory=dict)
    attempts: defaultdict[JobId, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    logs: defaultdict[JobId, list[LogLine]] = field(default_factory=lambda: defaultdict(list))
    queues: dict[str, bool] = field(default_factory=dict)
    workers: dict[WorkerId, WorkerInfo] = field(default_factory=dict)
    job_types: dict[str, JobTypeInfo] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    schedule_runs: dict[RunId, KeptRun] = field(default_factory=dict)

    def start_over(self) -> None:
        """See `ForkAware`. From here on parent and child have jobs of their own."""
        self.lock = threading.RLock()

    def standing(self, job_id: JobId, state: JobState, token: LockToken) -> Job | None:
        """The job, if it is still in this state under this token."""
        job = self.jobs.get(job_id)
        return job if job is not None and (job.state, job.token) == (state, token) else None

    def forget(self, jobs: Collection[Job]) -> None:
        """Removes jobs with all that belongs to them."""
        self.keys.note_removal(jobs)
        for job in jobs:
            self.jobs.delete(job.id)
            self.expected.discard(job.id)
            self.retentions.pop(job.id, None)
            self.attempts.pop(job.id, None)
            self.logs.pop(job.id, None)
