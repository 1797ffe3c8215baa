"""A claimed job in the hands of a worker."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.outcome import Outcome


class Stage(Enum):
    """How far a run has come: ready, running, ended."""

    READY = auto()
    """Claimed; no slot yet."""
    RUNNING = auto()
    """Its handler is at work, or cleans up."""
    ENDED = auto()
    """Its outcome stands; the handler has ended or was left to itself."""


class Cause(Enum):
    """Why a run is stopped before its end."""

    TIMED_OUT = auto()
    REQUESTED = auto()
    SHUTDOWN = auto()
    LOCK_LAPSED = auto()
    """The lock could not be renewed in time: another worker may have the job."""
    LOCK_LOST = auto()
    """Another worker has the job."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """Value object: what stops a run before its end, and why, in words."""

    cause: Cause
    reason: str


class Run:
    """Entity: one run of a job, from its claim until its outcome is written.

    Attributes:
        job: as it was claimed.
        lock_ends: the lock holds at least until then, by the loop's monotonic clock.
        claimed_at: when it was claimed, by the same clock.
        interruption: why it is being stopped; None while nothing stops it.
        task: what runs it, while it is running.
        thread: the answer of the thread that runs it, while it is in one.
        overdue: the timer after which a cancelled handler is left to itself.
        outcome: how it ended, once it has.
        is_lock_over: the lock ran out or is another's, and that was told.
        is_refused: the repository could not store its own outcome; it is written as failed.
        unstored: how many of its progress updates and log lines are not stored yet.
        cancelled: what its handler can wait for; made when it is asked for.
    """

    __slots__ = (
        "cancelled",
        "claimed_at",
        "interruption",
        "is_lock_over",
        "is_refused",
        "job",
        "lock_ends",
        "outcome",
        "overdue",
        "stage",
        "task",
        "thread",
        "unstored",
    )

    def __init__(self, job: Job, claimed_at: float, lock_ends: float) -> None:
        self.job = job
        self.claimed_at = claimed_at
        self.lock_ends = lock_ends
        self.stage = Stage.READY
        self.interruption: Interruption | None = None
        self.cancelled: asyncio.Event | threading.Event | None = None
        self.task: asyncio.Task[None] | None = None
        self.thread: asyncio.Future[object] | None = None
        self.overdue: asyncio.TimerHandle | None = None
        self.outcome: Outcome | None = None
        self.is_lock_over = False
        self.is_refused = False
        self.unstored = 0

    @property
    def is_lost(self) -> bool:
        """Whether another worker has the job, so that its outcome would be refused."""
        return self.interruption is not None and self.interruption.cause is Cause.LOCK_LOST


class ClaimedRuns:
    """Everything a worker holds a lock for: ready, running, or waiting to be written.

    Attributes:
        ready: those that wait for a slot, in the order in which they are to start.
    """

    def __init__(self) -> None:
        self.ready: deque[Run] = deque()
        self._claimed: set[Run] = set()

    def take(self, jobs: Iterable[Job], claimed_at: float, lock_ends: float) -> None:
        """Adds what was claimed, behind what is ready."""
        runs = [Run(job, claimed_at, lock_ends) for job in jobs]
        self._claimed.update(runs)
        self.ready.extend(runs)

    def let_go(self, run: Run) -> None:
        """Forgets a run whose outcome is written or refused."""
        self._claimed.discard(run)

    def __contains__(self, run: Run) -> bool:
        return run in self._claimed

    def __iter__(self) -> Iterator[Run]:
        return iter(tuple(self._claimed))

    def __len__(self) -> int:
        return len(self._claimed)
