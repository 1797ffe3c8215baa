"""Writing what becomes of claimed jobs, whichever queues they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.queue.publishing.publisher import Publisher, Writing
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.job.identity import JobId, WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.outcome import Outcome, Released
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.worker import WorkerInfo


class OutcomeWriter:
    """What a worker writes to the database: for all of its queues in one step.

    Jobs decide in the domain what becomes of them, the repository applies it, and the publisher of
    each job's queue tells it. Everything runs in tasks of its own, so that a cancelled caller cuts
    no write in the middle.

    Every method may raise `RepositoryUnavailable`, and `AlreadyClosed` when one of the queues is.

    Args:
        repository: the database of all these queues.
        publishers: one for each queue.
        tasks: the owner of the tasks that write.
        random: gives a number in [0, 1), for the jitter of backoffs.
    """

    def __init__(
        self,
        repository: IJobRepository,
        publishers: Iterable[Publisher],
        *,
        tasks: OwnedTasks,
        random: Callable[[], float],
    ) -> None:
        self._repository = repository
        self._workers = repository.storage.workers
        self.publishers: Mapping[str, Publisher] = {each.queue: each for each in publishers}
        self._tasks = tasks
        self._random = random

    async def settle(self, outcomes: Sequence[tuple[Job, Outcome]]) -> list[Job | None]:
        """Writes how runs ended, in one step; per run the job afterwards, None if it was stale."""
        self._check_open()
        if not outcomes:
            return []
        return await self._tasks.run(self._settle(outcomes), name="enfila settles jobs")

    async def extend_locks(self, locks: Sequence[Lock], length: timedelta) -> list[Extension]:
        """Makes locks hold for so long from now on, in one step; the answers in their order."""
        self._check_open()
        return await self._tasks.run(self._extend(locks, length), name="enfila extends locks")

    async def update_progress(self, updates: Sequence[tuple[Job, ProgressUpdate]]) -> list[bool]:
        """Stores what running jobs said, in one step; per update whether its token was right."""
        self._check_open()
        if not updates:
            return []
        return await self._tasks.run(self._update_progress(updates), name="enfila stores progress")

    async def find(self, job_id: JobId) -> Job | None:
        """A job as it is now; None if it is gone."""
        self._check_open()
        return (await self._repository.get([job_id])).get(job_id)

    async def heartbeat(self, worker: WorkerInfo) -> None:
        """Notes that a worker is alive."""
        self._check_open()
        await self._workers.heartbeat(worker)

    async def deregister(self, worker_id: WorkerId) -> None:
        """Forgets a worker that ended in good order."""
        self._check_open()
        await self._workers.deregister(worker_id)

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Puts claimed jobs that nobody will run back in line, soon; it costs them no attempt."""
        if jobs:
            released = [(job, Released(has_run=False)) for job in jobs]
            _ = self._tasks.spawn(self._settle(released), name="enfila gives jobs back")

    # ── one write ────────────────────────────────────────────────────────────────────────────

    async def _settle(self, outcomes: Sequence[tuple[Job, Outcome]]) -> list[Job | None]:
        random = self._random
        transitions = [ended(job, outcome, random()) for job, outcome in outcomes]
        with self._writing([job for job, _ in outcomes]) as writes:
            written = await self._repository.apply(transitions)
            return [
                writes[job.queue].moved(job, transition, at)
                for (job, _), transition, at in zip(outcomes, transitions, written, strict=True)
            ]

    async def _extend(self, locks: Sequence[Lock], length: timedelta) -> list[Extension]:
        extensions = await self._repository.extend(locks, length)
        for lock, extension in zip(locks, extensions, strict=True):
            if not extension.is_held:
                # A lock does not say of which queue it is, and only one of them has the job.
                for publisher in self.publishers.values():
                    publisher.lock_lost(lock.job_id, lock.token)
        return extensions

    async def _update_progress(self, updates: Sequence[tuple[Job, ProgressUpdate]]) -> list[bool]:
        with self._writing([job for job, _ in updates]) as writes:
            stored = await self._repository.update_progress([update for _, update in updates])
            for (job, update), is_stored in zip(updates, stored, strict=True):
                if is_stored:
                    writes[job.queue].progressed(job, update)
        return stored

    @contextmanager
    def _writing(self, jobs: Sequence[Job]) -> Iterator[Mapping[str, Writing]]:
        """One write to the queues of these jobs; by the name of each, where its answers go."""
        queues = {job.queue for job in jobs}
        with ExitStack() as writes:
            yield {
                queue: writes.enter_context(self.publishers[queue].writing(_ids_of(queue, jobs)))
                for queue in queues
            }

    def _check_open(self) -> None:
        for publisher in self.publishers.values():
            publisher.check_open()


def ended(job: Job, outcome: Outcome, random: float = 0.0) -> Transition:
    """What becomes of a job when a run ends; one that nobody wants to keep is removed by it."""
    transition = job.settle(outcome, random)
    if job.leaves_nothing_in(transition.target):
        return transition._replace(removes=True)
    return transition


def _ids_of(queue: str, jobs: Sequence[Job]) -> Iterator[JobId]:
    """Looked at only if somebody listens to the queue."""
    return (job.id for job in jobs if job.queue == queue)
