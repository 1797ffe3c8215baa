"""A program that forks after it has used enfila: `… tests.processes.fork_program URL CASE NAME`.

NAME is that of the installation, in case others use the database too.

Each child ends with 0 if all was as expected; so does the program, if the children and the parent
did. A watchdog ends a process that hangs.
"""

import asyncio
import faulthandler
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from enfila import ActiveJob, Enfila, InvalidRequest, JobState, WorkerOptions
from tests.waiting import eventually

PATIENCE = 15
COUNT = 20
PREFIX = f"{sys.argv[3]}_" if len(sys.argv) > 3 else "enfila_"


def child(work: Callable[[], object]) -> int:
    """Runs `work` in a fork; its process id."""
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(PATIENCE)
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - it is the end of this process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended_well(pid: int) -> bool:
    """Whether a child ended with 0."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def add_some(app: Enfila) -> None:
    """Adds without an event loop."""
    for number in range(COUNT):
        assert app.queue("work").add_sync("a", number).state is JobState.WAITING


async def add_on_a_loop(app: Enfila) -> None:
    """Adds on the running loop, and reads."""
    for number in range(COUNT):
        await app.queue("work").add("a", number)
    assert (await app.queue("work").counts()).waiting >= COUNT


async def counted(app: Enfila) -> int:
    """How many jobs there are."""
    ids = [job.id for job in await app.queue("work").get_jobs(limit=10_000)]
    assert len(set(ids)) == len(ids)
    return len(ids)


def without_a_loop(url: str) -> None:
    """Plain programs: both go on with `add_sync`, at the same time."""
    app = Enfila(url, table_prefix=PREFIX)
    add_some(app)
    children = [child(lambda: add_some(app)) for _ in range(2)]
    add_some(app)
    assert all(map(ended_well, children))
    add_some(app)
    assert asyncio.run(counted(app)) == 5 * COUNT


def after_a_loop(url: str) -> None:
    """The parent's loop has ended; the child starts one of its own, and none."""
    app = Enfila(url, table_prefix=PREFIX)
    asyncio.run(add_on_a_loop(app))

    def both() -> None:
        asyncio.run(add_on_a_loop(app))
        add_some(app)

    children = [child(both), child(lambda: add_some(app))]
    add_some(app)
    assert all(map(ended_well, children))
    assert asyncio.run(counted(app)) == 5 * COUNT


def within_a_loop(url: str) -> None:
    """The fork of a coroutine: no loop runs in the child, whatever it looks like."""

    async def main() -> None:
        async with Enfila(url, table_prefix=PREFIX) as app:
            await add_on_a_loop(app)
            coroutine = app.queue("work").add("a")

            def refused() -> None:
                with pytest.raises(InvalidRequest, match=r"asyncio\.run"):
                    coroutine.send(None)
                add_some(app)
                asyncio.run(close(app))

            pid = child(refused)
            coroutine.close()
            await add_on_a_loop(app)
            assert await asyncio.to_thread(ended_well, pid)
            await add_on_a_loop(app)
            assert await counted(app) == 4 * COUNT

    asyncio.run(main())


async def close(app: Enfila) -> None:
    """Ends what the child has of it."""
    await app.close()


def beside_a_worker(url: str) -> None:
    """The worker, its signals and its wake-ups are the parent's alone."""

    async def main() -> None:
        async with Enfila(url, table_prefix=PREFIX) as app:
            done: list[Any] = []

            async def handle(job: ActiveJob[Any]) -> None:
                done.append(job.payload)

            worker = app.worker("work", handle, WorkerOptions(poll_interval=0.2))
            running = asyncio.ensure_future(worker.run())
            await add_jobs(app, 5)

            def idle() -> None:
                assert not worker.is_running
                add_some(app)
                signal.pause()

            pid = child(idle)
            await eventually(lambda: len(done) == 5 + COUNT)
            os.kill(pid, signal.SIGTERM)
            status = await asyncio.to_thread(lambda: os.waitpid(pid, 0)[1])
            assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
            assert worker.is_running
            await worker.close()
            await running

    asyncio.run(main())


async def add_jobs(app: Enfila, count: int) -> None:
    """As many jobs."""
    for number in range(count):
        await app.queue("work").add("a", number)


def by_multiprocessing(url: str) -> None:
    """As `multiprocessing` forks, and with a pool of children."""
    app = Enfila(url, table_prefix=PREFIX)
    add_some(app)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=add_some, args=(app,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
        assert process.exitcode == 0
    add_some(app)
    assert asyncio.run(counted(app)) == 5 * COUNT


CASES = {
    case.__name__: case
    for case in (
        without_a_loop,
        after_a_loop,
        within_a_loop,
        beside_a_worker,
        by_multiprocessing,
    )
}

if __name__ == "__main__":
    # Not `dump_traceback_later`: its thread would be missing in the children.
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.alarm(2 * PATIENCE)
    CASES[sys.argv[2]](sys.argv[1])
