import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from enfila.core.application.runtime.periodic_loop import PeriodicLoop

HOUR = timedelta(hours=1)
DEADLINE = 10


class Steps:
    """Steps that are counted and answer as they are told."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.done = 0
        self.reported: list[Exception] = []
        self.changed = asyncio.Event()

    async def step(self) -> bool:
        self.done += 1
        self.changed.set()
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.done < count:
                self.changed.clear()
                await self.changed.wait()


def loop_of(
    steps: Steps,
    *,
    interval: Callable[[], timedelta] = lambda: HOUR,
    step: Callable[[], Awaitable[bool]] | None = None,
    patience: timedelta = timedelta(seconds=5),
) -> PeriodicLoop:
    return PeriodicLoop(
        step or steps.step,
        interval=interval,
        report=steps.reported.append,
        name="test",
        random=lambda: 0.5,
        patience=patience,
    )


async def test_the_first_step_is_done_at_once() -> None:
    steps = Steps()
    loop = loop_of(steps)
    loop.start()
    await steps.until(1)
    assert loop.is_running
    await loop.stop()
    assert steps.done == 1
    assert not loop.is_running


async def test_a_step_follows_after_each_interval() -> None:
    steps = Steps()
    loop = loop_of(steps, interval=lambda: timedelta(milliseconds=1))
    loop.start()
    await steps.until(5)
    await loop.stop()


async def test_a_step_that_has_more_to_do_is_called_again_without_a_wait() -> None:
    steps = Steps(True, True, False)
    loop = loop_of(steps)
    loop.start()
    await steps.until(3)
    await loop.stop()
    assert steps.done == 3


async def test_an_error_is_reported_and_the_loop_goes_on() -> None:
    error = ValueError("boom")
    steps = Steps(error)
    loop = loop_of(steps, interval=lambda: timedelta(milliseconds=1))
    loop.start()
    await steps.until(2)
    await loop.stop()
    assert steps.reported == [error]


async def test_waking_ends_the_wait() -> None:
    steps = Steps()
    loop = loop_of(steps)
    loop.start()
    await steps.until(1)
    loop.wake()
    await steps.until(2)
    await loop.stop()


async def test_a_wake_during_a_step_is_not_lost() -> None:
    steps = Steps()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> bool:
        begun.set()
        await may_end.wait()
        return await steps.step()

    loop = loop_of(steps, step=slow)
    loop.start()
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
    loop.wake()
    may_end.set()
    await steps.until(2)
    await loop.stop()


async def test_stopping_waits_for_the_step_under_way() -> None:
    steps = Steps()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> bool:
        begun.set()
        await may_end.wait()
        return await steps.step()

    loop = loop_of(steps, step=slow)
    loop.start()
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
        stopping = asyncio.create_task(loop.stop())
        may_end.set()
        await stopping
    assert steps.done == 1


async def test_stopping_cancels_a_step_that_takes_too_long() -> None:
    steps = Steps()
    begun = asyncio.Event()

    async def stuck() -> bool:
        begun.set()
        await asyncio.Event().wait()
        return False

    loop = loop_of(steps, step=stuck, patience=timedelta(milliseconds=10))
    loop.start()
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
        await loop.stop()
    assert not loop.is_running


async def test_stopping_ends_even_a_loop_that_always_has_more_to_do() -> None:
    steps = Steps()

    async def endless() -> bool:
        await asyncio.sleep(0)
        await steps.step()
        return True

    loop = loop_of(steps, step=endless)
    loop.start()
    await steps.until(3)
    async with asyncio.timeout(DEADLINE):
        await loop.stop()


async def test_a_cancelled_stop_says_so_and_can_be_repeated() -> None:
    steps = Steps()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> bool:
        begun.set()
        await may_end.wait()
        return False

    loop = loop_of(steps, step=slow)
    loop.start()
    async with asyncio.timeout(DEADLINE):
        await begun.wait()
        stopping = asyncio.create_task(loop.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        may_end.set()
        await loop.stop()
    assert not loop.is_running


async def test_it_starts_once_stops_twice_and_starts_again() -> None:
    steps = Steps()
    loop = loop_of(steps)
    await loop.stop()
    loop.start()
    loop.start()
    await steps.until(1)
    await loop.stop()
    await loop.stop()
    loop.start()
    await steps.until(2)
    await loop.stop()
    assert steps.done == 2


async def test_starts_and_stops_in_any_order_leave_nothing_behind() -> None:
    steps = Steps()
    loop = loop_of(steps, interval=lambda: timedelta(milliseconds=1))
    before = asyncio.all_tasks()
    async with asyncio.timeout(DEADLINE):
        for turn in range(50):
            loop.start()
            if turn % 3:
                await asyncio.sleep(0)
            loop.wake()
            await asyncio.gather(loop.stop(), loop.stop())
    assert asyncio.all_tasks() == before
