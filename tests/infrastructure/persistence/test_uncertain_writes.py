"""The connection dies after the commit and before its answer: a repeated write is recognised."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from enfila import Enfila
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.events import JobCompleted
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job.running.outcome import Released
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import StatementCall
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_database import (
    ServerDatabase,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.file_database import FileDatabase
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.contract.building import FAILED, Line, completed, ids
from tests.waiting import wait_for_event


class Wire:
    """Between the repositories and their databases; it may break at the worst moment.

    Attributes:
        loses_answers: so many of the next writes take place, and are not answered.
        loses_requests: so many of the next writes do not take place, and nobody knows.
        refuses: so many of the next transactions do not take place, and it is known. Single
            statements go through.
    """

    def __init__(self) -> None:
        self.loses_answers = 0
        self.loses_requests = 0
        self.refuses = 0


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    writes: list[tuple[Any, str, Any]] = [
        (FileDatabase, "write", FileDatabase.write),
        (ServerDatabase, "write", ServerDatabase.write),
        (ServerDatabase, "execute", ServerDatabase.execute),
    ]
    for database, name, write_it in writes:

        async def write(self: Any, work: Any, *, original: Any = write_it) -> Any:
            lost = RepositoryUnavailable("database", "the line broke", uncertain=True)
            if wire.refuses and not isinstance(work, StatementCall):
                wire.refuses -= 1
                raise RepositoryUnavailable("database", "no line")
            if wire.loses_requests:
                wire.loses_requests -= 1
                raise lost
            answer = await original(self, work)
            if wire.loses_answers:
                wire.loses_answers -= 1
                raise lost
            return answer

        monkeypatch.setattr(database, name, write)
    return wire


@pytest.fixture
async def line(url: str, wire: Wire) -> AsyncIterator[Line]:
    clock = FrozenClock()
    repository = SqlAlchemyJobRepository(url, clock=clock)
    line = Line(repository, clock, f"q-{uuid4().hex}")
    await line.add("registers the queue")
    [first] = await line.claim(1)
    await line.settle(first, completed())
    yield line
    await repository.close()


@pytest.fixture
async def other(url: str, line: Line) -> AsyncIterator[Line]:
    """The same queue in another process."""
    repository = SqlAlchemyJobRepository(url, clock=line.clock)
    yield Line(repository, line.clock, line.queue)
    await repository.close()


# ── adding ───────────────────────────────────────────────────────────────────────────────────


async def test_an_addition_that_is_repeated_adds_nothing_twice(line: Line, wire: Wire) -> None:
    jobs = [line.make("a"), line.make("b", delay=60), line.make("c", lifo=True)]
    wire.loses_answers = 1
    with pytest.raises(RepositoryUnavailable) as lost:
        await line.repository.add(jobs)
    assert lost.value.uncertain
    written = await line.repository.get(ids(jobs))
    added = await line.repository.add(jobs)
    assert [answer.job for answer in added] == [written[job.id] for job in jobs]
    assert not any(answer.is_duplicate for answer in added)
    assert (await line.count(JobState.WAITING), await line.count(JobState.DELAYED)) == (2, 1)
    assert [job.name for job in await line.claim()] == ["c", "a"]


async def test_an_addition_that_is_repeated_with_more_adds_the_rest(line: Line, wire: Wire) -> None:
    one, two = line.make("one"), line.make("two")
    wire.loses_answers = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.add([one])
    added = await line.repository.add([two, one])
    assert [answer.job.id for answer in added] == [two.id, one.id]
    assert [job.name for job in await line.claim()] == ["one", "two"]


async def test_an_addition_that_never_arrived_is_made_when_it_is_repeated(
    line: Line, wire: Wire
) -> None:
    job = line.make()
    wire.loses_requests = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.add([job])
    assert not await line.exists(job)
    assert not (await line.put(job)).is_duplicate
    assert await line.count(JobState.WAITING) == 1


async def test_a_job_is_not_the_duplicate_of_itself(line: Line, wire: Wire) -> None:
    job = line.make(deduplication=Deduplication.while_unfinished("key"))
    wire.loses_answers = 1
    with pytest.raises(RepositoryUnavailable):
        await line.put(job)
    again = await line.put(job)
    assert (again.job.id, again.is_duplicate) == (job.id, False)
    another = await line.put(line.make(deduplication=Deduplication.while_unfinished("key")))
    assert (another.job.id, another.is_duplicate) == (job.id, True)
    assert await line.count(JobState.WAITING) == 1


async def test_everyone_whose_job_was_in_the_group_gets_the_error(line: Line, wire: Wire) -> None:
    """And nobody's job is added a second time."""
    async with QueueService[Any, Any](line.queue, line.repository, clock=line.clock) as queue:
        wire.loses_answers = 1
        answers = await asyncio.gather(
            *(queue.add("a", number) for number in range(5)), return_exceptions=True
        )
        for answer in answers:
            assert isinstance(answer, RepositoryUnavailable)
            assert answer.uncertain
            assert str(answer).endswith("; it is unknown whether the write took place")
        assert (await queue.counts()).waiting == 5
        assert (await queue.add("a")).state is JobState.WAITING


async def test_a_caller_who_tries_again_with_a_key_makes_no_second_job(
    line: Line, wire: Wire
) -> None:
    options = JobOptions(deduplication=Deduplication.while_unfinished("order 7"))
    async with QueueService[Any, Any](line.queue, line.repository, clock=line.clock) as queue:
        wire.loses_answers = 1
        with pytest.raises(RepositoryUnavailable):
            await queue.add("a", options=options)
        again = await queue.add("a", options=options)
        assert again.is_duplicate
        assert (await queue.counts()).waiting == 1


# ── settling ─────────────────────────────────────────────────────────────────────────────────


async def test_a_completion_that_is_repeated_is_answered_as_written_and_counts_once(
    line: Line, other: Line, wire: Wire
) -> None:
    job = await line.add_active()
    completion = job.settle(completed("done"))
    wire.loses_answers = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.apply([completion])
    assert await other.is_stale(completion)  # another process did not write it
    [written_at] = await line.repository.apply([completion])
    assert written_at is not None
    assert await line.read(job) == job.after(completion, written_at)
    assert await line.is_stale(completion)  # a third time it is what it is: over
    assert (await line.count(JobState.COMPLETED), await line.count(JobState.ACTIVE)) == (2, 0)
    [attempt] = await line.repository.attempts(job.id)
    assert attempt.outcome is AttemptOutcome.COMPLETED


async def test_a_retry_that_is_repeated_keeps_its_time_and_its_record(
    line: Line, wire: Wire
) -> None:
    job = await line.add_active(attempts=3, backoff=Backoff.fixed(60))
    failure = job.settle(FAILED)
    assert failure.target is JobState.DELAYED
    now = line.clock.now()
    wire.loses_answers = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.apply([failure])
    line.clock.advance(5)
    [written_at] = await line.repository.apply([failure])
    assert written_at == now
    assert await line.read(job) == job.after(failure, written_at)
    [attempt] = await line.repository.attempts(job.id)
    assert (attempt.outcome, attempt.finished_at) == (AttemptOutcome.FAILED, now)
    assert (await line.count(JobState.DELAYED), await line.count(JobState.ACTIVE)) == (1, 0)


async def test_an_outcome_that_never_arrived_is_written_when_it_is_repeated(
    line: Line, wire: Wire
) -> None:
    job = await line.add_active()
    completion = job.settle(completed())
    wire.loses_requests = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.apply([completion])
    assert await line.state(job) is JobState.ACTIVE
    [written_at] = await line.repository.apply([completion])
    assert written_at is not None
    assert await line.state(job) is JobState.COMPLETED


async def test_what_was_written_before_a_part_failed_is_answered_as_written(
    line: Line, wire: Wire
) -> None:
    """A stale one is looked at once more, in a transaction of its own; there the line breaks."""
    good, late = await line.add_active("good"), await line.add_active("late")
    outcomes = [good.settle(completed()), late.settle(completed())]
    await line.move(late, late.stall(1))
    wire.refuses = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.apply(outcomes)
    written_at, stale = await line.repository.apply(outcomes)
    assert (written_at is not None, stale) == (True, None)
    assert await line.state(good) is JobState.COMPLETED
    assert await line.state(late) is JobState.WAITING


async def test_when_no_part_was_written_it_is_known(line: Line, wire: Wire) -> None:
    late = await line.add_active()
    outcome = late.settle(completed())
    await line.move(late, late.stall(1))
    wire.refuses = 1
    with pytest.raises(RepositoryUnavailable) as refusal:
        await line.repository.apply([outcome])
    assert not refusal.value.uncertain
    assert await line.is_stale(outcome)


async def test_an_outcome_that_never_arrived_is_stale_once_another_worker_has_the_job(
    line: Line, other: Line, wire: Wire
) -> None:
    """Though the other one's outcome is the same."""
    job = await line.add_active()
    completion = job.settle(completed())
    wire.loses_requests = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.apply([completion])
    await other.move(await other.read(job), (await other.read(job)).stall(1))
    again = await other.claim_one()
    assert again.token == job.token + 1
    await other.settle(again, completed())
    assert await line.is_stale(completion)
    assert await line.count(JobState.COMPLETED) == 2


async def test_what_was_given_back_and_is_another_workers_now_is_stale(
    line: Line, other: Line, wire: Wire
) -> None:
    job = await line.add_active()
    release = job.settle(Released())
    wire.loses_answers = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.apply([release])
    again = await other.claim_one()
    assert again.id == job.id
    assert await line.is_stale(release)
    assert await line.state(job) is JobState.ACTIVE


async def test_those_beside_an_uncertain_one_get_their_own_answers(
    line: Line, other: Line, wire: Wire
) -> None:
    await line.add_many(3)
    one, two, three = await line.claim(3)
    ends = [job.settle(completed()) for job in (one, two)]
    wire.loses_answers = 1
    with pytest.raises(RepositoryUnavailable):
        await line.repository.apply(ends)
    await other.settle(three, completed())
    answers = await line.repository.apply([three.settle(completed()), *ends])
    assert [answer is None for answer in answers] == [True, False, False]


# ── the whole way ────────────────────────────────────────────────────────────────────────────


async def test_a_worker_whose_completion_was_not_answered_completes_its_job_once(
    url: str, wire: Wire
) -> None:
    async with Enfila(url) as app:
        queue = app.queue(f"q-{uuid4().hex}")
        has_begun, may_end = asyncio.Event(), asyncio.Event()
        told: list[str] = []

        async def work(job: Any) -> str:
            has_begun.set()
            await may_end.wait()
            return "done"

        worker = app.worker(queue, work)
        for name in ("job.completed", "job.stalled", "job.failed"):
            queue.on(name, lambda event: told.append(event.name))
        worker.on("worker.lock.lost", lambda event: told.append(event.name))
        async with worker, asyncio.timeout(20):
            job = await queue.add("a")
            await has_begun.wait()
            is_completed = wait_for_event(queue, JobCompleted.name, timeout=20)
            wire.loses_answers = 1
            may_end.set()
            assert (await is_completed).result == "done"
            assert await job.result() == "done"
        assert told == ["job.completed"]
        assert (await queue.counts()).completed == 1
        assert len(await job.attempt_history()) == 1
