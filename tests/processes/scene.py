"""One queue, the test's own process at it, and worker processes beside."""

from dataclasses import dataclass
from typing import Any, Final

from enfila import AbstractQueue, Enfila, JobHandle, JobState
from tests.processes.history import Blow, Completed, Ready, Record, Started, only
from tests.processes.place import Place, can_be_written, states
from tests.processes.programs import Program, Programs
from tests.processes.worker_program import WorkerPlan
from tests.waiting import eventually

QUEUE: Final = "work"

LOCK, MAINTENANCE, POLL = 1.0, 0.4, 0.3
BOUND: Final = LOCK + MAINTENANCE + POLL
"""The longest time until the jobs of a killed worker run again."""

Job = JobHandle[Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a test about several processes works with."""

    place: Place
    programs: Programs
    app: Enfila

    @property
    def queue(self) -> AbstractQueue[Any, Any]:
        return self.app.queue(QUEUE)

    def start_worker(self, **facts: Any) -> Program:
        """A worker process with short times; see `WorkerPlan`."""
        given = {"concurrency": 1, "lock": LOCK, "maintenance": MAINTENANCE, "poll": POLL, **facts}
        return self.programs.start(
            "worker_program", WorkerPlan, place=self.place, queue=QUEUE, **given
        )

    async def workers(self, number: int, **facts: Any) -> list[Program]:
        """Worker processes that take jobs."""
        workers = [self.start_worker(**facts) for _ in range(number)]
        for worker in workers:
            await worker.wrote(Ready)
        return workers

    async def worker(self, **facts: Any) -> Program:
        """A worker process that takes jobs."""
        [worker] = await self.workers(1, **facts)
        return worker

    async def runner_of(self, job: Job, *, token: int = 1) -> Program:
        """Waits until a process runs the job under this token."""

        def running() -> list[Program]:
            facts = {"job": job.id, "token": token}
            return [each for each in self.programs.all if each.has(Started, **facts)]

        return (await eventually(running, message=f"somebody runs {job.id}"))[0]

    async def stop(self, worker: Program) -> None:
        """Stops a process, though not in the middle of a write.

        On SQLite it would hold the file then, and nobody could do anything until it goes on.
        """

        def stopped() -> bool:
            if not can_be_written(self.place):
                return False
            worker.strike(Blow.STOP)
            if can_be_written(self.place):
                return True
            worker.strike(Blow.CONTINUE)
            return False

        await eventually(stopped, message=f"{worker.name} is stopped outside of a write")

    def starts_of(self, job: Job) -> list[Started]:
        return only(self.history, Started, job=job.id)

    def completions_of(self, job: Job) -> list[Completed]:
        return only(self.history, Completed, job=job.id)

    @property
    def history(self) -> list[Record]:
        return self.programs.history()

    async def nothing_is_active(self) -> bool:
        """Neither by the counters nor by a recount."""
        return not (await self.queue.counts()).active and not states(self.place)[JobState.ACTIVE]
