"""Jobs for the contract suite, and a queue that is asked in the words of the tests."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from enfila.core.application.job_ids import JobIds
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, WorkerId, new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Lock
from enfila.core.domain.job.running.outcome import Completed, Failed, Outcome
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.core.domain.json_document import JsonDocument
from enfila.testing import FrozenClock

LOCK = timedelta(seconds=30)
ALL_STATES = frozenset(JobState)
BOOM = JobError("ValueError", "boom", "Traceback: boom")
FAILED = Failed(BOOM)

_ids = JobIds()


def make_job(
    queue: str,
    name: str = "noop",
    payload: Any = None,
    options: JobOptions = DEFAULT_OPTIONS,
    *,
    clock: Clock,
) -> Job:
    """A job that no repository has seen yet."""
    now = clock.now()
    return Job.new(_ids.next(now), queue, name, JsonDocument.of(payload), options, now)


def completed(result: Any = None) -> Completed:
    """The outcome of a run that returned `result`."""
    return Completed(JsonDocument.of(result))


def lock_of(job: Job) -> Lock:
    """The lock of a claimed job."""
    assert job.lock is not None
    return job.lock


def ids(jobs: Iterable[Job]) -> list[JobId]:
    """Their ids, to compare orders."""
    return [job.id for job in jobs]


@dataclass
class Line:
    """One queue of a repository under a frozen clock.

    What a service does with the port, in single steps: each method asserts that it took effect.
    """

    repository: IJobRepository
    clock: FrozenClock
    queue: str

    def make(self, name: str = "noop", payload: Any = None, **options: Any) -> Job:
        """A new job of this queue, not added."""
        return make_job(self.queue, name, payload, JobOptions(**options), clock=self.clock)

    async def put(self, job: Job) -> Added:
        """The answer to the addition of one job."""
        [added] = await self.repository.add([job])
        return added

    async def add(self, name: str = "noop", payload: Any = None, **options: Any) -> Job:
        """A new job of this queue, as it was stored."""
        added = await self.put(self.make(name, payload, **options))
        assert not added.is_duplicate
        return added.job

    async def add_many(self, count: int, **options: Any) -> list[Job]:
        """As many new jobs in one addition."""
        added = await self.repository.add([self.make(**options) for _ in range(count)])
        return [answer.job for answer in added]

    async def claim(
        self,
        limit: int = 100,
        *,
        worker_id: WorkerId | None = None,
        lock: timedelta = LOCK,
        names: frozenset[str] | None = None,
    ) -> list[Job]:
        """What a worker gets."""
        worker_id = worker_id or new_worker_id()
        return await self.repository.claim(Claim(self.queue, worker_id, limit, lock, names))

    async def claim_one(self) -> Job:
        """The next job, in the hands of a worker."""
        [job] = await self.claim(1)
        return job

    async def add_active(self, name: str = "noop", payload: Any = None, **options: Any) -> Job:
        """A new job in the hands of a worker; the queue has no other that can be claimed."""
        added = await self.add(name, payload, **options)
        job = await self.claim_one()
        assert job.id == added.id
        return job

    async def add_in(self, state: JobState) -> Job:
        """A new job in this state; the queue has no other that can be claimed."""
        match state:
            case JobState.WAITING:
                return await self.add()
            case JobState.DELAYED:
                return await self.add(delay=3600)
            case JobState.ACTIVE:
                return await self.add_active()
            case JobState.COMPLETED:
                return await self.settle(await self.add_active(), completed())
            case JobState.FAILED:
                return await self.settle(await self.add_active(), FAILED)
            case JobState.CANCELLED:
                job = await self.add()
                return await self.move(job, job.cancel("not wanted"))
            case JobState.BLOCKED:
                holder = await self.add(delay=3600)
                [added] = await self.repository.add([self.make().behind(holder.id)])
                return added.job

    async def move(self, job: Job, transition: Transition) -> Job:
        """The job after a transition that the repository accepted; as the repository shows it."""
        [written_at] = await self.repository.apply([transition])
        assert written_at is not None
        after = await self.read(job)
        assert after == job.after(transition, written_at)
        return after

    async def settle(self, job: Job, outcome: Outcome) -> Job:
        """The job after its run ended like this."""
        return await self.move(job, job.settle(outcome))

    async def is_stale(self, transition: Transition) -> bool:
        """Whether the repository refuses a transition."""
        return await self.repository.apply([transition]) == [None]

    async def amend(self, job: Job, amendment: Amendment) -> Job:
        """The job after an amendment that the repository accepted."""
        written_at = await self.repository.amend(amendment)
        assert written_at is not None
        after = await self.read(job)
        assert after == job.amended(amendment, written_at)
        return after

    async def read(self, job: Job) -> Job:
        """The job as it stands in the repository."""
        return (await self.repository.get([job.id]))[job.id]

    async def exists(self, job: Job) -> bool:
        """Whether the repository has the job."""
        return job.id in await self.repository.get([job.id])

    async def state(self, job: Job) -> JobState:
        """The state in which the repository has the job."""
        return (await self.read(job)).state

    async def count(self, state: JobState) -> int:
        """How many jobs of the queue are in this state, by its counters."""
        return (await self.repository.storage.queues.counts(self.queue))[state]
