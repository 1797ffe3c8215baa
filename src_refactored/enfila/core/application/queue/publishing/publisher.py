"""Telling everyone concerned what was written to a queue: after the commit, and in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

from enfila.core.application.emitter import Emitter
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint, Notice, WakeUp
from enfila.core.application.queue.publishing.claimed_jobs import ClaimedJobs
from enfila.core.application.queue.publishing.drain_watch import DrainWatch
from enfila.core.application.queue.publishing.event_order import EventOrder, Turn
from enfila.core.application.queue.publishing.job_events import (
    events_of_addition,
    events_of_move,
    events_of_progress,
)
from enfila.core.application.queue.publishing.result_waiter import Announce, ResultWaiter
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.application.runtime.under_way import UnderWay
from enfila.core.application.system_clock import SystemClock
from enfila.core.domain.events import (
    QUEUE_EVENTS,
    JobActive,
    JobRemoved,
    QueuePaused,
    QueueResumed,
)
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import FINAL, JobState
from enfila.core.domain.job.transition import Transition


@dataclass(slots=True)
class _Channels:
    """The ways on which the publisher of one queue tells something.

    Attributes:
        emitter: to listeners in this process; `order` keeps each job's events in order.
        waiter: to callers who wait for a job to become final.
        drained: to listeners, that nothing is left to do.
        wake_up: to idle workers and waiting callers, in this process and in others.
        clock: gives the instants of what has none in the database.
        claimed: what workers of this process hold: while that is anything, nothing is drained.
        under_way: the writes that have begun and not ended.
    """

    queue: str
    emitter: Emitter
    order: EventOrder
    waiter: ResultWaiter
    drained: DrainWatch
    claimed: ClaimedJobs
    wake_up: WakeUp
    clock: Clock
    under_way: UnderWay = field(default_factory=UnderWay)

    def hint(self, hint: Hint, notice: Notice | None = None) -> None:
        self.wake_up.hint(self.queue, hint, notice)


class Publisher:
    """Says what became of the jobs of one queue; every write of every use case goes through it.

    A use case says what it is about to write, writes, and says what the repository answered:

        with publisher.writing([job.id]) as write:
            [at] = await repository.apply([transition])
            after = write.moved(job, transition, at)

    The rest is settled here, when the context ends: the events in the order of each job's life, the
    callers who wait for a result, idle workers in this process and others, and whether the queue is
    drained. A write that raises is told to nobody, nor is an answer that was stale.

    Args:
        queue: the name of the queue.
        repository: where results that other processes wrote are read, and jobs are counted.
        wake_up: carries hints.
        emitter: the listeners; None when nobody can listen, as where a scheduler cancels a job.
        clock: gives the instants of what has none in the database.
        tasks: the owner of the task that looks whether the queue is drained.
        check_open: raises `AlreadyClosed` when the queue is closed.
    """

    def __init__(
        self,
        queue: str,
        repository: IJobRepository,
        wake_up: WakeUp,
        *,
        emitter: Emitter | None = None,
        clock: Clock | None = None,
        tasks: OwnedTasks | None = None,
        check_open: Callable[[], None] | None = None,
    ) -> None:
        self.queue = queue
        self.check_open = check_open or _always_open
        listened_to, claimed = emitter or Emitter(QUEUE_EVENTS), ClaimedJobs()
        dates = clock or SystemClock()
        self._to = _Channels(
            queue,
            listened_to,
            EventOrder(listened_to),
            ResultWaiter(
                repository.get,
                listen=partial(wake_up.listen, queue, Hint.SETTLED),
                ignore=partial(wake_up.ignore, queue, Hint.SETTLED),
                name=f"enfila waits for results of {queue}",
            ),
            DrainWatch(
                queue,
                listened_to,
                claimed,
                count=lambda: repository.storage.queues.counts(queue),
                now=dates.now,
                tasks=OwnedTasks() if tasks is None else tasks,
            ),
            claimed,
            wake_up,
            dates,
        )

    def writing(self, job_ids: Iterable[JobId]) -> Writing:
        """A context for one write; entered before it begins, and left when it has its answer.

        Args:
            job_ids: the jobs that it may concern. They are not looked at while nobody listens.
        """
        return Writing(self._to, self._to.order.take_turn(job_ids))

    # ── what workers do ──────────────────────────────────────────────────────────────────────

    def claimed(self, jobs: Sequence[Job]) -> None:
        """Workers of this process hold these jobs."""
        if jobs:
            self._to.claimed.take(jobs)
            self._to.drained.arm()

    def started(self, job: Job) -> None:
        """A claimed job begins to run."""
        if self._to.emitter.has_listeners(JobActive.name) and job.worker_id is not None:
            self._to.order.publish(
                JobActive(
                    queue=job.queue,
                    at=job.started_at or self._to.clock.now(),
                    job_id=job.id,
                    job_name=job.name,
                    attempt=job.attempt,
                    worker_id=job.worker_id,
                )
            )

    def lock_lost(self, job_id: JobId, token: LockToken) -> None:
        """A worker of this process does not hold a job any more."""
        self._to.claimed.let_go(job_id, token)

    # ── what people do ───────────────────────────────────────────────────────────────────────

    def cancellation_requested(self) -> None:
        """The worker of an active job was asked to cancel it, and should look."""
        self._to.hint(Hint.CONTROL)

    def paused(self) -> None:
        """Claims were stopped."""
        self._to.emitter.publish(QueuePaused(queue=self.queue, at=self._to.clock.now()))
        self._to.hint(Hint.CONTROL)

    def resumed(self) -> None:
        """Claims are allowed again."""
        self._to.emitter.publish(QueueResumed(queue=self.queue, at=self._to.clock.now()))
        self._to.hint(Hint.CONTROL)
        self._to.hint(Hint.JOBS)

    def obliterated(self) -> None:
        """The queue was removed with all its jobs."""
        self._to.hint(Hint.CONTROL)
        self._to.hint(Hint.SETTLED)

    async def wait_until_final(
        self, job_id: JobId, timeout: timedelta | None, announce: Announce | None = None
    ) -> Job:
        """A job once it is final, whichever process settles it; see `ResultWaiter.wait`."""
        return await self._to.waiter.wait(job_id, timeout, announce)

    # ── the end ──────────────────────────────────────────────────────────────────────────────

    async def close(self, error: Exception) -> None:
        """Returns after the writes under way; who waits for a job gets `error`. Idempotent."""
        try:
            await self._to.under_way.wait()
        finally:
            await self._to.waiter.close(error)


class Writing:
    """One write to a queue: takes what the repository answered, and tells it when the write ends.

    Made by `Publisher.writing`. The methods take the answers as they come and may be called any
    number of times; what they hand in is published when the context ends without an error.
    """

    __slots__ = ("_hears", "_is_settled", "_may_be_drained", "_new_jobs", "_notice", "_to", "_turn")

    def __init__(self, to: _Channels, turn: Turn) -> None:
        self._to = to
        self._turn = turn
        self._notice: Notice | None = None
        self._hears: bool | None = None
        self._new_jobs = self._is_settled = self._may_be_drained = False

    def __enter__(self) -> Self:
        # Before the write, so that a count which is on its way does not miss it.
        self._to.drained.arm()
        self._to.under_way.begin()
        self._turn.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._to.under_way.end()
        self._turn.end()
        if kind is not None:
            return
        if self._is_settled:
            self._to.hint(Hint.SETTLED)
        if self._new_jobs:
            self._to.hint(Hint.JOBS, self._notice)
        if self._may_be_drained:
            self._to.drained.look_soon()

    # ── answers ──────────────────────────────────────────────────────────────────────────────

    def carried_notice(self) -> Notice | None:
        """What the addition of jobs may carry, so that other processes hear with its commit."""
        self._notice = self._to.wake_up.notice(self._to.queue, Hint.JOBS)
        return self._notice

    def added(self, added: Sequence[Added]) -> None:
        """Jobs were added, or were there already."""
        self._new_jobs = True
        self._to.drained.arm()
        if self._is_heard():
            for each in added:
                if not each.is_duplicate:
                    for event in events_of_addition(each.job, self._to.emitter.has_listeners):
                        self._turn.publish(event)

    def moved(self, job: Job, transition: Transition, at: datetime | None) -> Job | None:
        """A transition was applied; the job afterwards.

        Args:
            job: as it was before.
            transition: what it decided.
            at: when that was written; None if it was stale: the job is somebody else's by now.
        """
        self._may_be_drained = True
        if transition.source is JobState.ACTIVE:
            self._to.claimed.let_go(job.id, job.token)
        if at is None:
            return None
        if self._is_heard():
            for event in events_of_move(job, transition, at, self._to.emitter.has_listeners):
                self._turn.publish(event)
        after = job.after(transition, at)
        if after.state in FINAL:
            self._is_settled = True
            # Jobs that were blocked by it may run now.
            self._new_jobs = self._new_jobs or after.may_have_dependents
            self._to.waiter.settled(after)
        else:
            self._new_jobs = True
        return after

    def progressed(self, job: Job, update: ProgressUpdate) -> None:
        """A running job's progress and log lines were stored."""
        if self._is_heard():
            now, hears = self._to.clock.now(), self._to.emitter.has_listeners
            for event in events_of_progress(job, update, now, hears):
                self._turn.publish(event)

    def removed(self, job: Job) -> None:
        """One job was removed."""
        self._removed(may_be_drained=True)
        self._to.waiter.removed(job.id)
        if self._to.emitter.has_listeners(JobRemoved.name):
            self._turn.publish(
                JobRemoved(
                    queue=job.queue, at=self._to.clock.now(), job_id=job.id, job_name=job.name
                )
            )

    def removed_all(self, states: Collection[JobState], count: int) -> None:
        """So many jobs in these states were removed, without a word on each."""
        self._may_be_drained = not FINAL.issuperset(states)
        if count:
            self._removed(may_be_drained=self._may_be_drained)

    def _removed(self, *, may_be_drained: bool) -> None:
        # Callers may wait for a removed job, and jobs that were blocked by one may run now.
        self._is_settled = self._new_jobs = True
        self._may_be_drained = may_be_drained

    def _is_heard(self) -> bool:
        # Asked after the write and once, for that takes longer than all the rest of `moved`.
        if self._hears is None:
            self._hears = self._to.emitter.has_job_listeners
        return self._hears


def _always_open() -> None:
    """A publisher without a queue object is never closed."""
