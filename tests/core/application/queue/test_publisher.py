"""Write, then tell: what follows from the answers of a repository, and when."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from enfila.core.application.emitter import Emitter
from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.ports.wake_up import Hint, Notice
from enfila.core.application.queue.publishing.publisher import Publisher
from enfila.core.domain.errors import AlreadyClosed
from enfila.core.domain.events import QUEUE_EVENTS
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import JsonDocument
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.testing import FrozenClock
from tests.contract.building import make_job
from tests.waiting import eventually

WITH_KEY = JobOptions(deduplication=Deduplication.while_unfinished("key"))


class Hinted(InProcessWakeUp):
    """Notes every hint, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.hints: list[tuple[Hint, Notice | None]] = []
        self.made = Notice("channel", "text")

    def hint(self, queue: str, hint: Hint, notice: Notice | None = None) -> None:
        assert queue == "q"
        self.hints.append((hint, notice))
        super().hint(queue, hint)

    def notice(self, queue: str, hint: Hint) -> Notice | None:
        assert (queue, hint) == ("q", Hint.JOBS)
        return self.made


class Place:
    """A publisher, and everyone that it tells."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.repository = InMemoryJobRepository(self.clock)
        self.emitter = Emitter(QUEUE_EVENTS)
        self.wake_up = Hinted()
        self.publisher = Publisher(
            "q", self.repository, self.wake_up, emitter=self.emitter, clock=self.clock
        )
        self.told: list[str] = []

    def listen(self) -> None:
        for name in QUEUE_EVENTS:
            self.emitter.on(name, self._hear)

    def _hear(self, event: Any) -> None:
        self.told.append(event.name)

    @property
    def hints(self) -> list[Hint]:
        return [hint for hint, _ in self.wake_up.hints]

    def job(self, options: JobOptions | None = None, **changes: Any) -> Job:
        job = make_job("q", clock=self.clock)
        return replace(job, options=options or job.options, **changes)


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    yield place
    await place.publisher.close(AlreadyClosed("q"))


async def test_nothing_is_told_before_the_write_has_ended(place: Place) -> None:
    place.listen()
    job = place.job()
    with place.publisher.writing([job.id]) as write:
        write.added([Added(job)])
        assert (place.told, place.hints) == ([], [])
    assert (place.told, place.hints) == (["job.added"], [Hint.JOBS])


async def test_a_write_that_failed_is_told_to_nobody(place: Place) -> None:
    place.listen()
    with pytest.raises(ValueError, match="no"), place.publisher.writing([place.job().id]):
        raise ValueError("no")
    assert (place.told, place.hints) == ([], [])


async def test_workers_elsewhere_are_told_with_the_commit_if_the_write_carries_it(
    place: Place,
) -> None:
    job = place.job()
    with place.publisher.writing([job.id]) as write:
        assert write.carried_notice() is place.wake_up.made
        write.added([Added(job)])
    assert place.wake_up.hints == [(Hint.JOBS, place.wake_up.made)]


async def test_a_duplicate_is_no_event_and_yet_a_hint(place: Place) -> None:
    """Its holder may have been given another time."""
    place.listen()
    job = place.job()
    with place.publisher.writing([job.id]) as write:
        write.added([Added(job, is_duplicate=True)])
    assert (place.told, place.hints) == ([], [Hint.JOBS])


@pytest.mark.parametrize("options", [None, WITH_KEY])
async def test_only_a_final_job_with_a_key_may_have_freed_another(
    place: Place, options: JobOptions | None
) -> None:
    job = place.job(options)
    with place.publisher.writing([job.id]) as write:
        after = write.moved(job, job.cancel("no"), place.clock.now())
    assert after is not None
    assert after.state is JobState.CANCELLED
    assert place.hints == ([Hint.SETTLED, Hint.JOBS] if options else [Hint.SETTLED])


async def test_one_hint_of_a_kind_is_enough_for_many_jobs(place: Place) -> None:
    place.listen()
    jobs = [place.job(WITH_KEY) for _ in range(10)]
    with place.publisher.writing(job.id for job in jobs) as write:
        for job in jobs:
            _ = write.moved(job, job.cancel("no"), place.clock.now())
    assert place.told == ["job.cancelled"] * 10
    assert place.hints == [Hint.SETTLED, Hint.JOBS]


async def test_a_move_that_was_stale_is_told_to_nobody(place: Place) -> None:
    place.listen()
    job = place.job()
    with place.publisher.writing([job.id]) as write:
        assert write.moved(job, job.cancel("no"), None) is None
    assert (place.told, place.hints) == ([], [])


async def test_a_job_that_is_not_final_is_work_for_somebody(place: Place) -> None:
    job = place.job(state=JobState.DELAYED)
    with place.publisher.writing([job.id]) as write:
        after = write.moved(job, job.promote(), place.clock.now())
    assert after is not None
    assert after.state is JobState.WAITING
    assert place.hints == [Hint.JOBS]


async def test_without_listeners_the_jobs_are_not_even_looked_at(place: Place) -> None:
    def job_ids() -> Iterator[JobId]:
        yield JobId("never")
        raise AssertionError

    with place.publisher.writing(job_ids()):
        pass
    place.listen()
    with pytest.raises(AssertionError):
        place.publisher.writing(job_ids())


async def test_progress_is_told_and_wakes_nobody(place: Place) -> None:
    place.listen()
    job = place.job()
    update = ProgressUpdate(job.id, job.token, 1, JsonDocument.of(5), ("one", "two"))
    with place.publisher.writing([job.id]) as write:
        write.progressed(job, update)
    assert (place.told, place.hints) == (["job.log", "job.log", "job.progress"], [])


async def test_a_removed_job_is_told_and_may_have_freed_another(place: Place) -> None:
    place.listen()
    job = place.job()
    with place.publisher.writing([job.id]) as write:
        write.removed(job)
    assert (place.told[:1], place.hints) == (["job.removed"], [Hint.SETTLED, Hint.JOBS])


async def test_whoever_waits_for_a_job_is_answered_by_its_move(place: Place) -> None:
    [added] = await place.repository.add([place.job()])
    waiting = asyncio.ensure_future(place.publisher.wait_until_final(added.job.id, None))
    await asyncio.sleep(0)
    with place.publisher.writing([added.job.id]) as write:
        _ = write.moved(added.job, added.job.cancel("no"), place.clock.now())
    assert (await waiting).cancel_reason == "no"


async def test_closing_waits_for_the_writes_under_way(place: Place) -> None:
    with place.publisher.writing(()), place.publisher.writing(()):
        closing = [
            asyncio.ensure_future(place.publisher.close(AlreadyClosed("q"))) for _ in range(2)
        ]
        await asyncio.sleep(0)
        assert not any(each.done() for each in closing)
    async with asyncio.timeout(10):
        await asyncio.gather(*closing)


async def test_nothing_is_drained_while_a_worker_here_holds_a_job(place: Place) -> None:
    place.listen()
    held, other = (
        place.job(state=JobState.ACTIVE, token=LockToken(1), attempt=1),
        place.job(),
    )
    place.publisher.claimed([held])
    with place.publisher.writing([other.id]) as write:
        _ = write.moved(other, other.cancel("no"), place.clock.now())
    await asyncio.sleep(0.01)
    assert "queue.drained" not in place.told
    place.publisher.lock_lost(held.id, LockToken(2))  # that of somebody else
    place.publisher.lock_lost(held.id, held.token)
    with place.publisher.writing(()) as write:
        write.removed_all({JobState.WAITING}, 0)
    await eventually(lambda: "queue.drained" in place.told)


async def test_removing_what_had_ended_long_ago_drains_nothing(place: Place) -> None:
    place.listen()
    with place.publisher.writing(()) as write:
        write.removed_all({JobState.COMPLETED}, 3)
    await asyncio.sleep(0.01)
    assert (place.told, place.hints) == ([], [Hint.SETTLED, Hint.JOBS])


async def test_pausing_and_resuming_are_told(place: Place) -> None:
    place.listen()
    place.publisher.paused()
    assert (place.told, place.hints) == (["queue.paused"], [Hint.CONTROL])
    place.publisher.resumed()
    assert place.told == ["queue.paused", "queue.resumed"]
    assert place.hints == [Hint.CONTROL, Hint.CONTROL, Hint.JOBS]


async def test_a_publisher_that_nobody_can_listen_to_still_wakes_others(place: Place) -> None:
    silent = Publisher("q", place.repository, place.wake_up)
    job = replace(place.job(), run_at=place.clock.now() + timedelta(hours=1))
    with silent.writing([job.id]) as write:
        write.added([Added(job)])
    silent.check_open()
    assert (place.told, place.hints) == ([], [Hint.JOBS])
