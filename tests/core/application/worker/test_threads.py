"""The pool of daemon threads."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from enfila.core.application.worker.running.threads import Threads
from tests.waiting import eventually


@pytest.fixture
def threads() -> Iterator[Threads]:
    pool = Threads("test-pool")
    yield pool
    pool.close()


def _names() -> set[str]:
    return {each.name for each in threading.enumerate() if each.name.startswith("test-pool")}


async def test_an_idle_thread_is_used_again(threads: Threads) -> None:
    names = {await threads.call(lambda: threading.current_thread().name) for _ in range(20)}
    assert names == {"test-pool-1"}


async def test_calls_at_the_same_time_have_threads_of_their_own(threads: Threads) -> None:
    barrier = threading.Barrier(5, timeout=5)
    await asyncio.gather(*(threads.call(barrier.wait) for _ in range(5)))
    assert len(_names()) == 5


async def test_context_variables_come_along_and_stay_there(threads: Threads) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("the caller's")

    def look_and_set() -> str:
        seen = variable.get()
        variable.set("the thread's")
        return seen

    assert await threads.call(look_and_set) == "the caller's"
    assert await threads.call(look_and_set) == "the caller's"
    assert variable.get() == "the caller's"


async def test_the_late_answer_of_a_cancelled_call_is_dropped(threads: Threads) -> None:
    released = threading.Event()
    late = threads.call(lambda: released.wait(5))
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    released.set()
    assert await threads.call(lambda: "the next") == "the next"


async def test_closing_ends_the_threads() -> None:
    threads = Threads("test-pool")
    released = threading.Event()
    busy = threads.call(lambda: released.wait(60))
    await threads.call(lambda: None)
    threads.close()
    await eventually(lambda: len(_names()) == 1)
    released.set()
    assert await busy
    await eventually(lambda: not _names())


def test_a_function_that_never_returns_does_not_keep_the_process() -> None:
    program = """
import asyncio, threading
from enfila.core.application.worker.running.threads import Threads

async def main():
    began = threading.Event()
    def never():
        began.set()
        threading.Event().wait()
    call = Threads("stuck").call(never)
    while not began.is_set():
        await asyncio.sleep(0.01)
    print("leaving")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=30, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("leaving\n", "")
