"""The deadlines that other tests rely on."""

import asyncio

import pytest
from pyee.asyncio import AsyncIOEventEmitter

from tests.waiting import eventually, wait_for_event


async def test_eventually_returns_the_first_true_answer() -> None:
    answers = iter([0, 0, 3, 4])
    answer: int = await eventually(lambda: next(answers))
    assert answer == 3


async def test_eventually_awaits_an_async_predicate() -> None:
    answers = iter(["", "here"])

    async def look() -> str:
        return next(answers)

    answer: str = await eventually(look)
    assert answer == "here"


async def test_eventually_names_what_did_not_come_true() -> None:
    with pytest.raises(AssertionError, match=r"Not within 0.05 s: two jobs \(last answer: 0\)"):
        await eventually(lambda: 0, timeout=0.05, message="two jobs")


async def test_eventually_passes_on_a_timeout_of_the_predicate() -> None:
    async def look() -> bool:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await eventually(look)


async def test_an_event_between_the_call_and_the_await_is_not_lost() -> None:
    emitter = AsyncIOEventEmitter()
    completed = wait_for_event(emitter, "job.completed", where=lambda number: number > 1)
    for number in (1, 2, 3):
        emitter.emit("job.completed", number)
    assert await completed == 2
    assert not emitter.listeners("job.completed")


async def test_an_event_of_another_thread_arrives() -> None:
    emitter = AsyncIOEventEmitter()
    completed = wait_for_event(emitter, "job.completed")
    await asyncio.to_thread(emitter.emit, "job.completed", "from a thread")
    assert await completed == "from a thread"


async def test_waiting_for_an_event_has_a_deadline() -> None:
    emitter = AsyncIOEventEmitter()
    with pytest.raises(AssertionError, match=r"No event 'job.completed' within 0.05 s"):
        await wait_for_event(emitter, "job.completed", timeout=0.05)
