"""Being asked to end by the operating system, in a process of its own."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.processes

PROGRAM = """
import asyncio, contextlib, signal, sys
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.infrastructure.persistence.memory.job_repository import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService

kind, workers, grace = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

async def quick(job):
    print("began", flush=True)
    await asyncio.sleep(0.3)

async def endless(job):
    print("began", flush=True)
    await asyncio.sleep(3600)

async def swallowing(job):
    print("began", flush=True)
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)

async def main():
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    async with QueueService("work", InMemoryJobRepository()) as queue:
        await queue.add_bulk([("job",)] * workers)
        options = WorkerOptions(grace=grace, cancellation_grace=0.2)
        await asyncio.gather(
            *(WorkerService(queue, globals()[kind], options).run() for _ in range(workers))
        )
        counts = await queue.counts()
    after = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    print("active", counts.active, "completed", counts.completed, "waiting", counts.waiting)
    print("restored", before == after, flush=True)

asyncio.run(main())
"""


@contextlib.contextmanager
def _process(kind: str, *, workers: int = 1, grace: float) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, str(workers), str(grace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            for _ in range(workers):
                assert process.stdout.readline() == "began\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda it: it.name)
def test_a_signal_lets_jobs_finish(number: signal.Signals) -> None:
    with _process("quick", grace=30) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert out.splitlines() == ["active 0 completed 1 waiting 0", "restored True"], err
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda it: it.name)
def test_a_second_signal_hurries(number: signal.Signals) -> None:
    with _process("endless", grace=600) as process:
        process.send_signal(number)
        time.sleep(0.2)  # signals of one number that arrive together are one
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert out.splitlines() == ["active 0 completed 0 waiting 1", "restored True"], err
    assert process.returncode == 0


def test_several_workers_of_a_process_all_hear_it() -> None:
    with _process("endless", workers=3, grace=0.1) as process:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert out.splitlines() == ["active 0 completed 0 waiting 3", "restored True"], err


def test_a_handler_that_swallows_every_cancellation_does_not_keep_the_process() -> None:
    with _process("swallowing", grace=0) as process:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert out.splitlines() == ["active 0 completed 0 waiting 1", "restored True"]
