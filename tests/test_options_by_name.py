"""Options of jobs, workers and schedulers, given by name where they are used."""

import asyncio
import inspect
from datetime import timedelta
from typing import Any

import pytest

from enfila import (
    ActiveJob,
    Enfila,
    InvalidRequest,
    JobOptions,
    JobState,
    SchedulerOptions,
    WorkerOptions,
)
from enfila.core.application.queue.adding.option_arguments import OptionArguments
from enfila.core.application.scheduler.scheduler_options import SchedulerOptionArguments
from enfila.core.application.worker.worker_options import WorkerOptionArguments


async def nothing(job: ActiveJob) -> None: ...


@pytest.mark.parametrize(
    ("named", "options"),
    [
        (OptionArguments, JobOptions),
        (WorkerOptionArguments, WorkerOptions),
        (SchedulerOptionArguments, SchedulerOptions),
    ],
)
def test_every_option_has_its_name(named: type, options: type) -> None:
    assert list(named.__annotations__) == list(inspect.signature(options).parameters)


async def test_a_job_is_added_with_options_by_name() -> None:
    async with Enfila("memory://") as app:
        job = await app.queue("q").add("a", {"n": 1}, delay=60, priority=5, tags=["x"])
    assert job.state is JobState.DELAYED
    assert (job.options.delay, job.options.tags) == (timedelta(minutes=1), ("x",))
    assert job.options.priority == 5


def test_a_job_is_added_without_a_loop_with_options_by_name() -> None:
    app = Enfila("memory://")
    assert app.queue("q").add_sync("a", priority=5).priority == 5
    asyncio.run(app.close())


async def test_an_option_by_name_comes_before_those_of_the_object() -> None:
    async with Enfila("memory://") as app:
        queue = app.queue("q", default_job_options=JobOptions(attempts=7, keep_logs=3))
        job = await queue.add("a", None, JobOptions(attempts=2, priority=1), priority=5)
        worker = app.worker(queue, nothing, WorkerOptions(concurrency=2, prefetch=0), concurrency=3)
        scheduler = app.scheduler(SchedulerOptions(batch=7, keep_runs=60), batch=8)
    options = job.options
    assert (options.attempts, options.priority, options.keep_logs) == (2, 5, 3)
    assert (worker.concurrency, worker.options.prefetch) == (3, 0)
    assert (scheduler.options.batch, scheduler.options.kept_length) == (8, timedelta(minutes=1))


async def test_a_worker_of_job_types_takes_options_by_name() -> None:
    app = Enfila("memory://")
    app.job("a")(nothing)
    assert app.worker(concurrency=4, timeout=5).options == WorkerOptions(concurrency=4, timeout=5)
    await app.close()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("add", {"dely": 5}, "dely: there is no option of this name; perhaps delay is meant"),
    ("add", {"sesion": 5}, "sesion: there is no option of this name; perhaps session is meant"),
    ("add", {"colour": 5}, "colour: there is no option of this name; there are attempts, backoff,"),
    ("add", {"delay": "soon"}, "delay: 'soon' is not allowed"),
    ("add", {"options": 5, "delay": 5}, "options: 5 is not allowed; give JobOptions(…) or None"),
    ("worker", {"concurency": 5}, "concurency: there is no option of this name; perhaps concurr"),
    ("worker", {"concurrency": 0}, "concurrency: 0 is not allowed"),
    ("worker", {"options": 5, "timeout": 1}, "options: 5 is not allowed; give WorkerOptions(…)"),
    ("scheduler", {"poll": 5}, "poll: there is no option of this name"),
    ("scheduler", {"options": 5, "batch": 1}, "options: 5 is not allowed; give SchedulerOptions"),
]


async def _call(what: str, app: Enfila, given: dict[str, Any]) -> None:
    match what:
        case "add":
            await app.queue("q").add("a", **given)
        case "worker":
            app.worker("q", nothing, **given)
        case _:
            app.scheduler(**given)


@pytest.mark.parametrize(("what", "given", "said"), WRONG)
async def test_what_is_no_option_is_refused(what: str, given: dict[str, Any], said: str) -> None:
    async with Enfila("memory://") as app:
        queue = app.queue("q")
        with pytest.raises(InvalidRequest) as refused:
            await _call(what, app, given)
        assert str(refused.value).startswith(said)
        assert (await queue.counts()).total == 0
