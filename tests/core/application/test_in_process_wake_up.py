import asyncio
import threading

import pytest

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.ports.wake_up import Hint

DEADLINE = 10


async def test_a_hint_sets_every_event_that_listens_for_it_and_no_other() -> None:
    wake_up = InProcessWakeUp()
    first, second = wake_up.listen("a", Hint.JOBS), wake_up.listen("a", Hint.JOBS)
    others = [wake_up.listen("b", Hint.JOBS), wake_up.listen("a", Hint.CONTROL)]
    wake_up.hint("a", Hint.JOBS)
    assert first.is_set()
    assert second.is_set()
    assert not any(other.is_set() for other in others)


async def test_who_ignores_is_not_woken() -> None:
    wake_up = InProcessWakeUp()
    event = wake_up.listen("a", Hint.JOBS)
    wake_up.ignore("a", Hint.JOBS, event)
    wake_up.ignore("a", Hint.JOBS, event)
    wake_up.hint("a", Hint.JOBS)
    assert not event.is_set()
    assert wake_up.listened_to == frozenset()


async def test_it_says_what_is_listened_to() -> None:
    wake_up = InProcessWakeUp()
    wake_up.listen("a", Hint.JOBS)
    event = wake_up.listen("b", Hint.SETTLED)
    assert wake_up.listened_to == {("a", Hint.JOBS), ("b", Hint.SETTLED)}
    wake_up.ignore("b", Hint.SETTLED, event)
    assert wake_up.listened_to == {("a", Hint.JOBS)}


async def test_a_hint_from_another_thread_wakes_a_waiting_task() -> None:
    wake_up = InProcessWakeUp()
    event = wake_up.listen("a", Hint.JOBS)
    thread = threading.Thread(target=wake_up.hint, args=("a", Hint.JOBS))
    thread.start()
    async with asyncio.timeout(DEADLINE):
        await event.wait()
    thread.join()


@pytest.mark.parametrize("hint", list(Hint))
async def test_what_arrives_from_elsewhere_reaches_the_listeners(hint: Hint) -> None:
    wake_up = InProcessWakeUp()
    event = wake_up.listen("a", hint)
    wake_up.arrived("a", hint)
    assert event.is_set()


def test_a_hint_for_a_loop_that_is_gone_is_nothing() -> None:
    wake_up = InProcessWakeUp()

    async def listen() -> None:
        wake_up.listen("a", Hint.JOBS)

    asyncio.run(listen())
    wake_up.hint("a", Hint.JOBS)
