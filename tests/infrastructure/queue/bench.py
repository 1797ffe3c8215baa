"""A queue under test: what it tells, and a worker by hand."""

from collections.abc import Collection, Sequence
from typing import Any

from enfila.core.application.queue.maintenance.overdue_jobs import StalledRecovery
from enfila.core.application.queue.queue_components import QueueComponents
from enfila.core.domain.events import Event
from enfila.core.domain.job.identity import JobId, WorkerId, new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.outcome import Completed, Outcome
from enfila.infrastructure.queue.queue_service import QueueService

Queue = QueueService[Any, Any]
LOCK = 30


class Bench:
    """Listens to a queue and works on it step by step."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.worker_id: WorkerId = new_worker_id()
        self.events: list[Any] = []

    def listen(self, *names: str) -> None:
        """Notes events of these names from now on, in the order in which they are told."""
        for name in names:
            self.queue.add_listener(name, self._hear)

    def _hear(self, event: Event) -> None:
        self.events.append(event)

    def names(self) -> list[str]:
        """What was told so far."""
        return [event.name for event in self.events]

    def of(self, job_id: JobId) -> list[str]:
        """What was told of one job so far."""
        return [event.name for event in self.events if getattr(event, "job_id", None) == job_id]

    @property
    def components(self) -> QueueComponents:
        """What the queue delegates to, for what it does in tasks of its own."""
        return self.queue._components  # noqa: SLF001 - a test waits until nothing is under way

    async def recover_stalled(self) -> None:
        """One batch of this duty of the queue's maintenance."""
        repository = self.queue._repository  # noqa: SLF001 - what maintenance does, step by step
        await StalledRecovery(repository, self.components.publisher).do_batch()

    async def fetch(self, limit: int = 100) -> list[Job]:
        """What a worker gets."""
        return await self.queue.fetch_jobs_and_lock(self.worker_id, limit, LOCK)

    async def fetch_one(self) -> Job:
        """The next job, in the hands of a worker."""
        [job] = await self.fetch(1)
        return job

    async def run(self, outcome: Outcome | None = None) -> Job:
        """Takes the next job and settles it; the job afterwards."""
        [after] = await self.settle([await self.fetch_one()], outcome)
        assert after is not None
        return after

    async def settle(
        self, jobs: Collection[Job], outcome: Outcome | None = None
    ) -> Sequence[Job | None]:
        """Settles jobs in one step."""
        return await self.queue.outcomes.settle([(job, outcome or Completed()) for job in jobs])
