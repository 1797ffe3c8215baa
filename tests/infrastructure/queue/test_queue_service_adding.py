import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.transactional_jobs import ITransactionalJobs
from enfila.core.application.ports.wake_up import Hint, Notice
from enfila.core.application.queue.adding.new_job import NewJob
from enfila.core.domain.errors import AlreadyClosed, InvalidRequest, RepositoryUnavailable
from enfila.core.domain.job.adding.addition import Added
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.infrastructure.queue.bench import Bench, Queue


class Mail(BaseModel):
    to: str


async def test_add_returns_a_job_with_id_and_state_and_tells_it(
    queue: Queue, bench: Bench, queue_name: str
) -> None:
    bench.listen("job.added")
    job = await queue.add("welcome", {"to": "ada"}, JobOptions(priority=5))
    assert (job.name, job.payload, job.state) == ("welcome", {"to": "ada"}, JobState.WAITING)
    assert not job.is_duplicate
    [event] = bench.events
    assert (event.queue, event.job_id, event.job_name) == (queue_name, job.id, "welcome")
    assert (event.state, event.run_at) == (JobState.WAITING, job.run_at)
    stored = await queue.get_job(job.id)
    assert stored is not None
    assert stored.snapshot == job.snapshot


async def test_job_added_is_told_after_the_commit(queue: Queue) -> None:
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def look(event: Any) -> None:
        found.set_result(await queue.get_job(event.job_id))

    queue.on("job.added", look)
    job = await queue.add("welcome")
    async with asyncio.timeout(10):
        assert (await found).id == job.id


async def test_a_delayed_job_is_told_as_added_and_delayed(
    queue: Queue, bench: Bench, clock: FrozenClock
) -> None:
    bench.listen("job.added", "job.delayed")
    job = await queue.add("later", options=JobOptions(delay=60))
    assert job.state is JobState.DELAYED
    assert bench.of(job.id) == ["job.added", "job.delayed"]
    assert bench.events[1].run_at == clock.now() + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("name", "payload", "options"),
    [
        ("", {}, None),
        ("x" * 256, {}, None),
        ("nul\x00", {}, None),
        (5, {}, None),
        ("a", {"x": math.nan}, None),
        ("a", {"x": [math.inf]}, None),
        ("a", {"x": {1, 2}}, None),
        ("a", object(), None),
        ("a", "x" * 1_100_000, None),
        ("a", {}, {"delay": 5}),
    ],
)
async def test_what_is_wrong_is_refused_before_any_write(
    queue: Queue, bench: Bench, name: Any, payload: Any, options: Any
) -> None:
    bench.listen("job.added")
    with pytest.raises(InvalidRequest):
        await queue.add(name, payload, options)
    with pytest.raises(InvalidRequest):
        await queue.add_bulk([("good", 1), NewJob(name, payload, options)])
    with pytest.raises(InvalidRequest):
        queue.add_sync(name, payload, options)
    assert (await queue.counts()).total == 0
    assert bench.events == []


@pytest.mark.parametrize(
    "payload", [None, "Zürich 🚀", 2**200, {"a": [None, {"b": []}]}, "n" * 100_000, 0, False, ""]
)
async def test_payloads_survive_unaltered(queue: Queue, bench: Bench, payload: Any) -> None:
    await queue.add("keep", payload)
    job = await bench.fetch_one()
    assert queue.read_payload(job) == payload
    assert type(queue.read_payload(job)) is type(payload)


async def test_a_payload_type_is_validated_on_the_way_in_and_rebuilt_on_the_way_out(
    repository: IJobRepository,
) -> None:
    queue: QueueService[Mail, Any] = QueueService("mail", repository, payload_type=Mail)
    await queue.add("welcome", Mail(to="ada"))
    job = await Bench(queue).fetch_one()
    assert queue.read_payload(job) == Mail(to="ada")
    with pytest.raises(InvalidRequest, match=r"payload: .* is not allowed; give a Mail: \$\.to"):
        await queue.add("welcome", {"from": "ada"})  # type: ignore[arg-type]
    await queue.close()


async def test_the_limit_of_a_payload_can_be_set(repository: IJobRepository) -> None:
    async with QueueService[Any, Any]("small", repository, payload_limit=10) as queue:
        await queue.add("a", "12345678")
        with pytest.raises(InvalidRequest, match="the limit is 10"):
            await queue.add("a", "123456789")


async def test_default_options_fill_what_a_job_leaves_out(
    repository: IJobRepository, queue_name: str
) -> None:
    defaults = JobOptions(attempts=3, priority=7, delay=60)
    async with QueueService[Any, Any](
        queue_name, repository, default_job_options=defaults
    ) as queue:
        plain = await queue.add("a")
        urgent = await queue.add("a", options=JobOptions(priority=0, delay=0))
    assert (plain.max_attempts, plain.priority, plain.state) == (3, 7, JobState.DELAYED)
    assert (urgent.max_attempts, urgent.priority, urgent.state) == (3, 0, JobState.WAITING)


async def test_add_bulk_keeps_the_order_and_takes_options_for_each(
    queue: Queue, bench: Bench
) -> None:
    bench.listen("job.added", "job.delayed")
    handles = await queue.add_bulk(
        [
            NewJob("first", 1),
            ("second", 2, JobOptions(delay=60)),
            {"name": "third", "options": JobOptions(priority=-1)},
            ("fourth",),
        ]
    )
    assert [handle.name for handle in handles] == ["first", "second", "third", "fourth"]
    assert [handle.payload for handle in handles] == [1, 2, None, None]
    assert [event.job_name for event in bench.events if event.name == "job.added"] == [
        "first",
        "second",
        "third",
        "fourth",
    ]
    assert [job.name for job in await bench.fetch()] == ["third", "first", "fourth"]


async def test_an_empty_bulk_is_nothing(queue: Queue) -> None:
    assert await queue.add_bulk([]) == []


async def test_a_bulk_with_one_wrong_job_adds_none(queue: Queue) -> None:
    with pytest.raises(InvalidRequest, match="give NewJob"):
        await queue.add_bulk([("good", 1), 5])  # type: ignore[list-item]
    assert (await queue.counts()).total == 0


class CountingRepository(InMemoryJobRepository):
    """Counts the writes of `add`, and can be made to wait or to fail."""

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__(clock)
        self.writes: list[int] = []
        self.error: Exception | None = None
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.is_writing = asyncio.Event()

    async def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> list[Added]:
        self.writes.append(len(jobs))
        self.is_writing.set()
        await self.may_write.wait()
        if self.error is not None:
            raise self.error
        return await super().add(jobs, notice)


@pytest.fixture
async def counting(clock: FrozenClock) -> CountingRepository:
    return CountingRepository(clock)


async def test_concurrent_adds_share_a_write_and_a_bulk_has_its_own(
    counting: CountingRepository,
) -> None:
    async with QueueService[Any, Any]("q", counting) as queue:
        handles = await asyncio.gather(*(queue.add("a", number) for number in range(2_500)))
        assert counting.writes == [1_000, 1_000, 500]
        assert [handle.payload for handle in handles] == list(range(2_500))
        counting.writes.clear()
        await queue.add_bulk([("a", number) for number in range(2_500)])
        assert counting.writes == [2_500]


async def test_what_the_database_refuses_reaches_every_caller_and_no_listener(
    counting: CountingRepository,
) -> None:
    counting.error = RepositoryUnavailable("db", "away")
    async with QueueService[Any, Any]("q", counting) as queue:
        bench = Bench(queue)
        bench.listen("job.added")
        answers = await asyncio.gather(
            *(queue.add("a") for _ in range(3)), queue.add_bulk([("a",)]), return_exceptions=True
        )
        assert answers == [counting.error] * 4
        assert bench.events == []


async def test_a_cancelled_caller_cuts_no_write_and_no_event(counting: CountingRepository) -> None:
    counting.may_write.clear()
    async with QueueService[Any, Any]("q", counting) as queue:
        bench = Bench(queue)
        bench.listen("job.added")
        for adding in (queue.add("a"), queue.add_bulk([("a",), ("a",)])):
            counting.is_writing.clear()
            caller = asyncio.ensure_future(adding)
            async with asyncio.timeout(10):
                await counting.is_writing.wait()
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
        counting.may_write.set()
    assert bench.names() == ["job.added"] * 3
    assert (await counting.storage.queues.counts("q")).waiting == 3


async def test_closing_waits_for_what_was_handed_in(counting: CountingRepository) -> None:
    counting.may_write.clear()
    queue: Queue = QueueService("q", counting)
    adding = asyncio.create_task(queue.add("a"))
    async with asyncio.timeout(10):
        await counting.is_writing.wait()
        closing = asyncio.create_task(queue.close())
        counting.may_write.set()
        await closing
    assert (await adding).state is JobState.WAITING
    with pytest.raises(AlreadyClosed, match="queue 'q' is closed"):
        await queue.add("a")


async def test_a_taken_key_returns_the_first_job_and_tells_nothing(
    queue: Queue, bench: Bench
) -> None:
    bench.listen("job.added")
    options = JobOptions(deduplication=Deduplication.while_unfinished("k"))
    first = await queue.add("a", 1, options)
    second = await queue.add("a", 2, options)
    assert not first.is_duplicate
    assert second.is_duplicate
    assert (second.id, second.payload) == (first.id, 1)
    assert len(bench.events) == 1
    await bench.run()
    assert not (await queue.add("a", 3, options)).is_duplicate


async def test_concurrent_adds_of_one_key_make_one_job(queue: Queue, bench: Bench) -> None:
    bench.listen("job.added")
    options = JobOptions(deduplication=Deduplication.while_unfinished("k"))
    handles = await asyncio.gather(*(queue.add("a", n, options) for n in range(10)))
    assert len({handle.id for handle in handles}) == 1
    assert sorted(handle.is_duplicate for handle in handles) == [False, *[True] * 9]
    assert (await queue.counts()).total == 1
    assert len(bench.events) == 1


async def test_a_key_with_a_time_frees_after_it(queue: Queue, clock: FrozenClock) -> None:
    options = JobOptions(deduplication=Deduplication.for_time("k", 60))
    first = await queue.add("a", options=options)
    clock.advance(59)
    assert (await queue.add("a", options=options)).id == first.id
    clock.advance(1)
    assert not (await queue.add("a", options=options)).is_duplicate


async def test_an_added_job_wakes_who_listens_for_jobs(queue: Queue) -> None:
    event = queue.listen(Hint.JOBS)
    await queue.add("a")
    assert event.is_set()
    queue.ignore(Hint.JOBS, event)


# ── inside a caller's transaction ────────────────────────────────────────────────────────────


@dataclass
class Transaction:
    """A transaction of the caller, as a repository with transactions would see it."""

    jobs: list[Job] = field(default_factory=list)
    callbacks: list[Callable[[], None]] = field(default_factory=list)


class TransactionalRepository(InMemoryJobRepository):
    """The memory repository with the one thing it lacks."""

    def __init__(self, clock: FrozenClock) -> None:
        super().__init__(clock)
        self.storage.transactional_jobs = TransactionalJobs()

    async def commit(self, transaction: Transaction) -> None:
        await self.add(transaction.jobs)
        for callback in transaction.callbacks:
            callback()


class TransactionalJobs(ITransactionalJobs):
    async def add(self, jobs: Sequence[Job], transaction: Transaction) -> list[Added]:
        return self.add_sync(jobs, transaction)

    def add_sync(self, jobs: Sequence[Job], transaction: Transaction) -> list[Added]:
        transaction.jobs.extend(jobs)
        return [Added(job) for job in jobs]

    def after_commit(self, transaction: Transaction, callback: Callable[[], None]) -> None:
        transaction.callbacks.append(callback)


@pytest.fixture
async def transactional(clock: FrozenClock) -> TransactionalRepository:
    return TransactionalRepository(clock)


async def test_a_job_in_a_transaction_is_told_after_its_commit(
    transactional: TransactionalRepository,
) -> None:
    async with QueueService[Any, Any]("q", transactional) as queue:
        bench = Bench(queue)
        bench.listen("job.added", "job.delayed")
        hinted = queue.listen(Hint.JOBS)
        transaction = Transaction()
        single = await queue.add("a", options=JobOptions(delay=5), session=transaction)
        bulk = await queue.add_bulk([("b",), ("c",)], session=transaction)
        sync = queue.add_sync("d", session=transaction)
        assert bench.events == []
        assert not hinted.is_set()
        await transactional.commit(transaction)
        assert bench.names() == ["job.added", "job.delayed", *["job.added"] * 3]
        handles = [single, single, *bulk, sync]
        assert [event.job_id for event in bench.events] == [handle.id for handle in handles]
        assert hinted.is_set()


async def test_a_commit_in_another_thread_is_told_on_the_queues_loop(
    transactional: TransactionalRepository,
) -> None:
    async with QueueService[Any, Any]("q", transactional) as queue:
        heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        queue.on("job.added", heard.set_result)
        transaction = Transaction()
        job = await queue.add("a", session=transaction)
        await asyncio.to_thread(transaction.callbacks[0])
        async with asyncio.timeout(10):
            assert (await heard).job_id == job.id


def test_a_commit_without_any_loop_is_told_where_it_happens(
    transactional: TransactionalRepository,
) -> None:
    queue: Queue = QueueService("q", transactional)
    bench = Bench(queue)
    bench.listen("job.added")
    transaction = Transaction()
    queue.add_sync("a", session=transaction)
    [callback] = transaction.callbacks
    callback()
    assert bench.names() == ["job.added"]


async def test_a_wrong_payload_is_refused_before_the_transaction_is_touched(
    transactional: TransactionalRepository,
) -> None:
    async with QueueService[Any, Any]("q", transactional) as queue:
        transaction = Transaction()
        with pytest.raises(InvalidRequest):
            await queue.add_bulk([("a", 1), ("a", math.nan)], session=transaction)
        assert transaction == Transaction()
