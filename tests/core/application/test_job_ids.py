import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from enfila.core.application.job_ids import JobIds, new_job_id
from enfila.core.application.scheduler.ticks.job_factory import JobFactory
from enfila.core.domain.schedule.scheduled_for import ScheduledFor
from enfila.core.domain.schedule.target import Target
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock


def test_ids_are_uuids_of_version_7_that_carry_their_instant() -> None:
    now = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
    parsed = uuid.UUID(JobIds().next(now))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == int(now.timestamp() * 1000)


def test_ids_rise_while_the_clock_stands_still() -> None:
    ids, clock = JobIds(), FrozenClock()
    made = [ids.next(clock.now()) for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_rise_while_the_clock_goes_backwards() -> None:
    ids, now = JobIds(), datetime(2026, 1, 1, tzinfo=UTC)
    made = [ids.next(now - timedelta(seconds=step)) for step in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_a_later_moment_are_larger() -> None:
    clock = FrozenClock()
    first = JobIds().next(clock.now())
    clock.advance(0.001)
    assert JobIds().next(clock.now()) > first


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_ids_stay_valid_whatever_chance_gives(byte: bytes) -> None:
    ids, clock = JobIds(entropy=lambda count: byte * count), FrozenClock()
    made = [ids.next(clock.now()) for _ in range(100)]
    assert made == sorted(set(made))
    assert {uuid.UUID(each).version for each in made} == {7}


def test_threads_may_share_one_source_of_ids() -> None:
    ids, clock = JobIds(), FrozenClock()
    made: list[list[str]] = [[] for _ in range(4)]

    def make(own: list[str]) -> None:
        own.extend(ids.next(clock.now()) for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for own in made for each in own}) == 8_000
    assert all(own == sorted(own) for own in made)


async def test_all_parts_of_a_process_share_one_source() -> None:
    clock = FrozenClock()
    making, tick = JobFactory([]), ScheduledFor("one", clock.now())
    made: list[str] = []
    async with QueueService[Any, Any]("q", InMemoryJobRepository(clock), clock=clock) as queue:
        for _ in range(100):
            made.append((await queue.add("a")).id)
            made.append(making.make(Target("a", queue="q"), tick, now=clock.now()).id)
            made.append(new_job_id(clock.now()))
    assert made == sorted(set(made))
