"""An app with something of everything, for calls with wrong arguments."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from enfila import (
    ActiveJob,
    Cron,
    DeclaredJob,
    Enfila,
    InMemoryJobRepository,
    Interceptor,
    JobHandle,
    JobOptions,
    JobTypeRegistry,
    JobTypes,
    NewJob,
    QueueService,
    ScheduleDefinition,
    ScheduleExists,
    SchedulerService,
    Schedules,
    ServedQueues,
    SqlAlchemyJobRepository,
    Target,
    WorkerProcesses,
    WorkerService,
)
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.worker.running.run import Run
from enfila.core.domain.job.identity import new_worker_id
from tests.arguments.calls import Parameter, parameters

BY_ENFILA = {
    # Called by enfila itself, with what is checked or its own; hot, or about listeners.
    *("has_listeners", "ignore", "publish", "report_error", "report_errors_to"),
    *("report_listener_error", "wait_for_listeners", "call_now", "attach", "detach", "terms"),
    *("check_queue", "result_codec", "open", "start", "run", "handlers"),
    # Tried by a test of its own.
    "close",
}
"""Methods that are left out."""
MADE_BY_USERS: list[type] = [
    *(Enfila, QueueService, SchedulerService, ServedQueues, WorkerService, WorkerProcesses),
    *(InMemoryJobRepository, SqlAlchemyJobRepository),
]
"""Services with a constructor for users."""
PARTS = [
    *(kind.__name__ for kind in MADE_BY_USERS),
    *("ActiveJob", "DeclaredJob", "JobHandle", "JobTypeRegistry", "JobTypes", "Schedules"),
]
INSTANT = datetime(2026, 1, 1, tzinfo=UTC)


async def nothing(job: ActiveJob[Any]) -> None:
    """A processor."""


class Stage:
    """One app with its queue, a fetched job, a finished job, a schedule and a job type."""

    def __init__(self, app: Enfila) -> None:
        self.app = app
        self.queue: Any = app.queue("q")
        self.worker_id = new_worker_id()
        self.declared: Any = app.job("typed", queue="types")(_typed)

    async def prepare(self) -> None:
        """Adds what the calls need."""
        self.finished: JobHandle[Any] = await self.queue.add("a")
        self.retried: JobHandle[Any] = await self.queue.add("a")
        for job in await self.queue.fetch_jobs_and_lock(self.worker_id, 2, 30):
            await self.queue.mark_job_as_completed(job)
        _ = await self.finished.refresh()
        await self.queue.add("a")
        [self.job] = await self.queue.fetch_jobs_and_lock(self.worker_id, 1, 3_600)
        self.definition = ScheduleDefinition("s", Target("a", queue="q"), Cron("0 0 * * *"))
        _ = await self.app.schedules.create(self.definition)
        self.run = await self.app.schedules.run_now("s", by="a test")

    async def snapshot(self) -> Any:
        """What is stored, so that a refusal can be seen to have written nothing."""
        schedules = await self.app.schedules.all()
        return (
            await self.queue.counts(),
            [(each.definition, each.version, each.enabled) for each in schedules],
            [each.definition for each in await self.app.job_types.all()],
            await self.queue.is_paused(),
            [job.priority for job in await self.queue.get_jobs()],
        )

    # ── the calls ────────────────────────────────────────────────────────────────────────────

    def parameters_of(self, part: str) -> Iterator[Parameter]:
        """Those of a class: of its constructor, if it has one for users, and its methods."""
        for callee, function in self._callables():
            if callee.partition(".")[0] == part:
                given = {**self._good(), **self._own().get(callee, {})}
                yield from parameters(callee, function, _Given(callee, given))

    def _callables(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        for made in MADE_BY_USERS:
            yield made.__name__, made
        objects: list[tuple[type, object]] = [
            (Enfila, self.app),
            (QueueService, self.queue),
            (JobHandle, self.finished),
            (Schedules, self.app.schedules),
            (JobTypes, self.app.job_types),
            (JobTypeRegistry, self.app._types),  # noqa: SLF001 - the app's own
            (DeclaredJob, self.declared),
            (WorkerService, self.app.worker("q", nothing)),
            (SchedulerService, self.app.scheduler()),
            (ActiveJob, self._active_job()),
        ]
        for kind, it in objects:
            for name in dir(kind):
                method = inspect.getattr_static(kind, name)
                is_ours = (getattr(method, "__module__", "") or "").startswith("enfila")
                is_meant = inspect.isfunction(method) and is_ours and not name.startswith("_")
                if is_meant and name not in BY_ENFILA:
                    is_retry = (kind, name) == (JobHandle, "retry")
                    yield f"{kind.__name__}.{name}", getattr(self.retried if is_retry else it, name)
        yield "Enfila.intercept", self.app.intercept
        yield "QueueService.on", self.queue.on

    def _active_job(self) -> ActiveJob[Any]:
        class Controls:
            async def update_progress(self, run: Run, **_: Any) -> None: ...

            async def extend_lock(self, run: Run, length: Any) -> None: ...

        return ActiveJob(Run(self.job, 0.0, 0.0), Controls(), None)

    def _good(self) -> dict[str, Any]:
        return {
            "name": "a",
            "jobs": [NewJob("a")],
            "job": self.job,
            "job_id": self.finished.id,
            "line": "a line",
            "priority": 1,
            "worker_id": self.worker_id,
            "limit": 1,
            "lock_duration": 30,
            "locks": [self.job.lock],
            "progress": 1,
            "value": 1,
            "length": 1,
            "error": "an error",
            "result": None,
            "hint": Hint.JOBS,
            "event": "job.added",
            "f": nothing,
            "loop": asyncio.get_running_loop(),
            "slug": "s",
            "schedule": "s",
            "trigger": "0 0 * * *",
            "definition": self.definition,
            "version": 1,
            "definitions": [],
            "by": "a test",
            "start": INSTANT,
            "end": INSTANT,
            "run": self.run,
            "types": JobTypeRegistry(),
            "queues": [self.queue],
            "queue": self.queue,
            "processor": nothing,
            "repository": self.app.repository,
            "wake_up": self.app.container.wake_up(),
            "interceptor": Interceptor(),
            "url": "sqlite:///:memory:",
            "target": "tests.arguments.stage:nothing",
        }

    def _own(self) -> dict[str, dict[str, Any]]:
        return {
            "Schedules.define": {"job": "a"},
            "JobTypeRegistry.job": {"name": "typed_again"},
            "Enfila.worker": {"queue": "q"},
        }


async def used(answer: Any, stage: Stage) -> None:
    """Does with an answer what it is for: what is taken has to work too."""
    match answer:
        case Enfila() if answer is not stage.app:
            try:
                _ = await answer.open()
                _ = await answer.queue("q").add("a")
            finally:
                await answer.close(0)
        case SqlAlchemyJobRepository() | InMemoryJobRepository():
            await answer.open()
            await answer.close()
        case QueueService():
            if answer is not stage.queue:
                _ = await answer.add("a", {"a": 1}, JobOptions(deduplication=None))
                _ = await answer.get_jobs()
        case JobHandle():
            _ = await answer.refresh()
        case WorkerService() | SchedulerService():
            await answer.start()
            await answer.close()
        case ScheduleDefinition():
            _ = await stage.app.schedules.preview(answer)
            try:
                _ = await stage.app.schedules.create(answer)
            except ScheduleExists:
                _ = await stage.app.schedules.update(answer, version=1)
            _ = await stage.app.schedules.get(answer.slug)
        case DeclaredJob():
            _ = await (await answer.enqueue()).refresh()
        case _ if type(answer).__name__ == "ScheduledCall":
            await used(answer(), stage)


class _Given(dict[str, Any]):
    """Says which call lacks an argument."""

    def __init__(self, callee: str, given: dict[str, Any]) -> None:
        super().__init__(given)
        self._callee = callee

    def __missing__(self, name: str) -> Any:
        raise AssertionError(f"what is a good {name} for {self._callee}?")


async def _typed(a: int = 0) -> None:
    """A job type."""


async def answered(parameter: Parameter, value: Any) -> Any:
    """Calls, and waits for what there is to wait for."""
    answer = parameter.call(value)
    if parameter.callee == "JobTypeRegistry.job" and not isinstance(answer, DeclaredJob):
        answer = answer(_typed)
    if inspect.isawaitable(answer):
        async with asyncio.timeout(20):
            return await answer
    return answer
