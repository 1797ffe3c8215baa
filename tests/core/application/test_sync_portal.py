import asyncio
import threading
from collections.abc import Iterator

import pytest

from enfila.core.application.runtime.sync_portal import SyncPortal
from enfila.core.domain.errors import InvalidRequest


@pytest.fixture
def portal() -> Iterator[SyncPortal]:
    portal = SyncPortal("test")
    yield portal
    portal.close()


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_without_a_loop_it_runs_on_one_private_loop(portal: SyncPortal) -> None:
    first = portal.call(running_loop, instead="-")
    assert portal.call(running_loop, instead="-") is first
    assert portal.has_thread


async def test_with_a_home_loop_it_runs_there(portal: SyncPortal) -> None:
    portal.settle_here()
    used = await asyncio.to_thread(portal.call, running_loop, instead="-")
    assert used is asyncio.get_running_loop()
    assert not portal.has_thread


async def test_on_a_loop_it_refuses_and_says_what_to_write(portal: SyncPortal) -> None:
    with pytest.raises(InvalidRequest, match=r"it would block the loop: write this"):
        portal.call(running_loop, instead="write this")


def test_an_error_comes_out_as_it_is(portal: SyncPortal) -> None:
    async def fail() -> None:
        raise KeyError("boom")

    with pytest.raises(KeyError, match="boom"):
        portal.call(fail, instead="-")


def test_a_home_loop_that_ended_is_home_no_more(portal: SyncPortal) -> None:
    async def settle() -> None:
        portal.settle_here()

    asyncio.run(settle())
    assert portal.home is None
    assert portal.call(running_loop, instead="-").is_running()


def test_the_first_loop_stays_home_while_it_runs(portal: SyncPortal) -> None:
    async def second() -> None:
        portal.settle_here()

    async def first() -> None:
        portal.settle_here()
        await asyncio.to_thread(asyncio.run, second())
        assert portal.home is asyncio.get_running_loop()

    asyncio.run(first())


def test_the_private_loop_never_becomes_home(portal: SyncPortal) -> None:
    async def settle() -> None:
        portal.settle_here()

    portal.call(settle, instead="-")
    assert portal.home is None


async def test_what_is_posted_from_a_thread_is_called_on_the_home_loop(portal: SyncPortal) -> None:
    portal.settle_here()
    called: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def call() -> None:
        called.set_result(threading.get_ident())

    await asyncio.to_thread(portal.post, call)
    async with asyncio.timeout(10):
        assert await called == threading.get_ident()


async def test_what_is_posted_on_the_home_loop_is_called_at_once(portal: SyncPortal) -> None:
    portal.settle_here()
    called: list[int] = []
    portal.post(lambda: called.append(1))
    assert called == [1]


def test_what_is_posted_without_a_home_loop_is_called_at_once(portal: SyncPortal) -> None:
    called: list[int] = []
    portal.post(lambda: called.append(1))
    assert called == [1]


def test_closing_ends_the_thread_and_may_be_repeated(portal: SyncPortal) -> None:
    portal.call(running_loop, instead="-")
    portal.close()
    portal.close()
    assert not portal.has_thread
    assert "test" not in {thread.name for thread in threading.enumerate()}


def test_closing_lets_calls_under_way_end(portal: SyncPortal) -> None:
    begun, may_end = threading.Event(), threading.Event()
    answers: list[str] = []

    async def slow() -> str:
        begun.set()
        await asyncio.to_thread(may_end.wait, 10)
        return "done"

    caller = threading.Thread(target=lambda: answers.append(portal.call(slow, instead="-")))
    caller.start()
    assert begun.wait(10)
    closer = threading.Thread(target=portal.close)
    closer.start()
    may_end.set()
    closer.join(10)
    caller.join(10)
    assert answers == ["done"]
