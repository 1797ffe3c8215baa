"""Whatever leaves a handler, or code beside it, ends the attempt once and hurts nobody else."""

import asyncio
import logging
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from enfila.core.application.ports.interceptor import Interceptor
from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.application.worker.running.execution import Execution
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.errors import JobNotCompleted
from enfila.core.domain.job.failure import LONGEST_MESSAGE, LONGEST_TRACE, JobError
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.running.outcome import Outcome
from enfila.core.domain.job.state import JobState
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.unruly_exceptions import (
    LOOP_CONTROL,
    UNTELLABLE,
    Make,
    name_of,
)

ALL = [*UNTELLABLE, *LOOP_CONTROL]
any_exception = pytest.mark.parametrize("make", ALL, ids=name_of)


@any_exception
def test_an_error_can_be_made_of_any_exception(make: Make) -> None:
    def fail() -> None:
        raise make()

    errors = [make()]
    try:
        fail()
    except BaseException as raised:  # noqa: BLE001 - it is what is tested
        errors.append(raised)
    for error in errors:
        made = JobError.of(error)
        assert made.type == name_of(make)
        assert len(made.message) <= LONGEST_MESSAGE
        assert len(made.trace) <= LONGEST_TRACE
        assert [type(text) for text in (made.type, made.message, made.trace)] == [str] * 3
        assert JobError.from_json(made.to_json()) == made
        for text in (made.message, made.trace):
            assert "\0" not in text
            _ = text.encode()
    last = JobError.of(errors[-1]).trace
    assert "in fail" in last or len(last) == LONGEST_TRACE


async def _runs_out_of_attempts(
    queue: AnyQueue, worker: WorkerService[Any, Any], runs: list[str], make: Make
) -> None:
    """The job has two attempts, and gets no third run; its neighbour is not hurt."""
    job = await queue.add("bad", None, JobOptions(attempts=2))
    good = await queue.add("good")
    async with worker:
        with pytest.raises(JobNotCompleted):
            await job.result(timeout=20)
        assert await good.result(timeout=20) is None
    assert (job.state, job.attempt, runs.count("bad")) == (JobState.FAILED, 2, 2)
    assert job.error is not None
    assert job.error.type in {name_of(make), "RuntimeError"}


@any_exception
async def test_it_ends_the_attempt_of_an_async_handler(
    queue: AnyQueue, make_worker: MakeWorker, make: Make
) -> None:
    runs: list[str] = []

    async def fail(job: ActiveJob[Any]) -> None:
        runs.append(job.name)
        await asyncio.sleep(0)
        if job.name == "bad":
            raise make()

    await _runs_out_of_attempts(queue, make_worker(fail), runs, make)


@any_exception
async def test_it_ends_the_attempt_of_a_plain_function(
    queue: AnyQueue, make_worker: MakeWorker, make: Make
) -> None:
    runs: list[str] = []

    def fail(job: SyncActiveJob[Any]) -> None:
        runs.append(job.name)
        if job.name == "bad":
            raise make()

    await _runs_out_of_attempts(queue, make_worker(fail), runs, make)


@any_exception
async def test_it_ends_the_attempt_when_an_interceptor_raises_it(
    queue: AnyQueue, make: Make
) -> None:
    runs: list[str] = []

    class Raising(Interceptor):
        async def running(self, job: Any, proceed: Any) -> object:
            runs.append(job.name)
            if job.name == "bad":
                raise make()
            return await proceed()

    async def done(job: ActiveJob[Any]) -> None: ...

    options = WorkerOptions(maintenance=None, poll_interval=0.1)
    worker = WorkerService[Any, Any](queue, done, options, interceptors=[Raising()])
    await _runs_out_of_attempts(queue, worker, runs, make)


@any_exception
async def test_without_the_answer_of_a_backoff_rule_there_is_no_wait(
    queue: AnyQueue, make_worker: MakeWorker, make: Make
) -> None:
    def rule(job: object, error: BaseException) -> float:
        raise make()

    async def fail(job: ActiveJob[Any]) -> None:
        raise ValueError("no")

    job = await queue.add("a", None, JobOptions(attempts=2, backoff=Backoff.custom("rule")))
    async with make_worker(fail, backoffs={"rule": rule}):
        with pytest.raises(JobNotCompleted, match="ValueError"):
            await job.result(timeout=20)
    assert job.attempt == 2


@any_exception
async def test_a_listener_that_raises_it_hurts_nobody(
    queue: AnyQueue, make_worker: MakeWorker, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async def done(job: ActiveJob[Any]) -> str:
        return "done"

    def plain(event: object) -> None:
        raise make()

    async def asynchronous(event: object) -> None:
        raise make()

    for name in ("job.active", "job.completed"):
        queue.on(name, plain)
        if name_of(make) not in {"SystemExit", "GeneratorExit"}:  # a task may not raise those
            queue.on(name, asynchronous)
    job = await queue.add("a")
    with caplog.at_level(logging.ERROR, "enfila"):
        async with make_worker(done):
            assert await job.result(timeout=20) == "done"
    assert job.attempt == 1


@pytest.mark.parametrize("make", UNTELLABLE, ids=name_of)
async def test_the_log_tells_of_it_all_the_same(
    queue: AnyQueue, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def plain(event: object) -> None:
        raise make()

    queue.on("job.added", plain)
    with caplog.at_level(logging.ERROR, "enfila"):
        _ = await queue.add("a")
    [record] = caplog.records
    text = logging.Formatter().format(record)
    assert "a listener of job.added" in text
    assert name_of(make) in text


async def test_a_fault_of_the_worker_costs_an_attempt_and_is_reported(
    queue: AnyQueue, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not run the same job for ever."""
    reported: list[str] = []

    def broken(*_: object) -> Outcome:
        raise AttributeError("a fault of our own")

    monkeypatch.setattr(Execution, "_outcome", broken)

    async def done(job: ActiveJob[Any]) -> None: ...

    job = await queue.add("a", None, JobOptions(attempts=2))
    worker = make_worker(done)
    worker.on("worker.error", lambda event: reported.append(str(event.error)))
    async with worker:
        with pytest.raises(JobNotCompleted, match="a fault of our own"):
            await job.result(timeout=20)
    assert (job.attempt, reported) == (2, ["a fault of our own"] * 2)


async def test_values_of_context_variables_that_cannot_be_compared_do_no_harm(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    import contextvars  # noqa: PLC0415

    class Incomparable:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = object.__hash__

    variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")
    variable.set(Incomparable())

    async def change(job: ActiveJob[Any]) -> None:
        variable.set(Incomparable())

    jobs = [await queue.add("a") for _ in range(3)]
    async with make_worker(change, concurrency=1):
        for job in jobs:
            assert await job.result(timeout=20) is None


PROGRAM = """
import asyncio, sys
from enfila import Enfila, JobOptions, WorkerOptions

async def handle(job):
    print("run", job.name, job.attempt, flush=True)
    if job.name == "interrupt":
        raise KeyboardInterrupt
    await asyncio.sleep(0.2)
    return "done"

async def main(url, how):
    async with Enfila(url) as app:
        queue = app.queue("work")
        await queue.add("beside")
        await queue.add("interrupt", None, JobOptions(attempts=3))
        worker = app.worker(queue, handle, WorkerOptions(concurrency=2))
        if how == "run":
            await worker.run()
        else:
            async with worker:
                await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["run", "with"])
async def test_a_keyboard_interrupt_ends_the_process_in_order(tmp_path: Path, how: str) -> None:
    from enfila import Enfila  # noqa: PLC0415

    url = f"sqlite:///{tmp_path}/jobs.db"
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", textwrap.dedent(PROGRAM), url, how],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode in {-signal.SIGINT, 130}, ended.stderr
    assert sorted(ended.stdout.splitlines()) == ["run beside 1", "run interrupt 1"]
    async with Enfila(url) as app:
        found = {job.name: job for job in await app.queue("work").get_jobs()}
    assert found["beside"].state is JobState.COMPLETED
    stopped = found["interrupt"]
    assert (stopped.state, stopped.attempt) == (JobState.WAITING, 1)
    assert stopped.error is not None
    assert stopped.error.type == "KeyboardInterrupt"
