import asyncio

import pytest

from enfila.core.application.runtime.tasks import OwnedTasks


async def current() -> asyncio.Task[object] | None:
    return asyncio.current_task()


async def test_what_runs_to_its_end_outlives_a_cancelled_caller() -> None:
    owner = OwnedTasks()
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def write() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(owner.run(write(), name="write"))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    may_end.set()
    await owner.wait()
    assert ended.is_set()


async def test_inside_a_task_that_nobody_cancels_no_other_is_made() -> None:
    outer, inner = OwnedTasks(to_the_end=True), OwnedTasks()

    async def both() -> tuple[object, object]:
        return await current(), await inner.run(current(), name="inner")

    here, there = await outer.spawn(both(), name="outer")
    assert here is there
    assert len(inner) == 0


async def test_its_owner_waits_for_it_all_the_same() -> None:
    outer, inner = OwnedTasks(to_the_end=True), OwnedTasks()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        begun.set()
        await may_end.wait()

    task = outer.spawn(inner.run(write(), name="write"), name="outer")
    await begun.wait()
    waiting = asyncio.create_task(inner.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    await waiting
    assert task.done()
