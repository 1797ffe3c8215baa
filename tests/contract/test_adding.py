import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention
from enfila.core.domain.job.state import JobState
from enfila.core.domain.queue import LONGEST_NAME
from tests.contract.building import ALL_STATES, Line, ids, make_job


async def test_the_answer_is_the_job_as_it_is_stored(line: Line) -> None:
    job = await line.add("welcome", {"to": "ada@example.org"})
    assert await line.read(job) == job
    assert (job.state, job.attempt, job.token) == (JobState.WAITING, 0, 0)
    assert job.created_at == job.run_at == line.clock.now()


async def test_adding_nothing_is_allowed(repository: IJobRepository) -> None:
    assert await repository.add([]) == []


async def test_a_delayed_job_is_delayed_whatever_its_priority(line: Line) -> None:
    job = await line.add(delay=60, priority=-5)
    assert job.state is JobState.DELAYED
    assert job.run_at == line.clock.now() + timedelta(seconds=60)


async def test_no_delay_and_an_instant_in_the_past_mean_now(line: Line) -> None:
    at_once = await line.add(delay=0)
    past = await line.add(run_at=line.clock.now() - timedelta(days=1))
    assert (at_once.state, past.state) == (JobState.WAITING, JobState.WAITING)
    assert past.run_at == line.clock.now() - timedelta(days=1)
    assert ids(await line.claim()) == ids([at_once, past])


async def test_a_job_with_an_instant_runs_at_that_instant(line: Line) -> None:
    run_at = line.clock.now() + timedelta(hours=1)
    job = await line.add(run_at=run_at)
    assert (job.state, job.run_at) == (JobState.DELAYED, run_at)


async def test_times_count_from_the_repositorys_clock(line: Line) -> None:
    job = line.make(delay=60, expires_in=120)
    line.clock.advance(5)
    stored = (await line.put(job)).job
    now = line.clock.now()
    assert stored.created_at == now
    assert stored.run_at == now + timedelta(seconds=60)
    assert stored.expires_at == now + timedelta(seconds=120)


async def test_the_answers_stand_in_the_order_of_the_jobs(line: Line) -> None:
    jobs = [
        line.make("third", priority=3),
        line.make("first", priority=1),
        line.make("later", delay=9),
        line.make("front", lifo=True),
    ]
    added = await line.repository.add(jobs)
    assert ids(answer.job for answer in added) == ids(jobs)
    assert ids(await line.repository.find(line.queue, ALL_STATES)) == ids(jobs)


async def test_jobs_of_one_addition_have_their_own_options(line: Line) -> None:
    jobs = [line.make(attempts=3), line.make(priority=7), line.make(delay=5)]
    first, second, third = [answer.job for answer in await line.repository.add(jobs)]
    assert (first.max_attempts, second.priority, third.state) == (3, 7, JobState.DELAYED)
    assert second.max_attempts == 1


async def test_options_that_are_nearly_alike_are_kept_apart(line: Line) -> None:
    """In Python 1, 1.0 and True are equal."""
    given = [True, 1, 1.0, {"a": 1}, {"a": True}]
    jobs = [line.make(metadata={"v": value}) for value in given]
    await line.repository.add(jobs)
    stored = await line.repository.get(ids(jobs))
    assert [repr(stored[job.id].options.metadata["v"]) for job in jobs] == list(map(repr, given))


async def test_one_addition_may_be_for_several_queues(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    jobs = [line.make("here"), other.make("there"), line.make("here")]
    await line.repository.add(jobs)
    assert ids(await other.claim()) == [jobs[1].id]
    assert ids(await line.claim()) == [jobs[0].id, jobs[2].id]


@pytest.mark.parametrize(
    "rule", [None, Deduplication.while_unfinished("key"), Deduplication.keep_last("key")]
)
async def test_an_addition_whose_answer_never_arrived_can_be_repeated(
    line: Line, rule: Deduplication | None
) -> None:
    jobs = [line.make(deduplication=rule), line.make()]
    first = await line.repository.add(jobs)
    claimed = await line.claim_one()
    again = await line.repository.add([*jobs, line.make()])
    assert ids(answer.job for answer in again[:2]) == ids(jobs)
    assert not any(answer.is_duplicate for answer in [*first, *again])
    assert await line.read(claimed) == claimed
    assert (await line.repository.storage.queues.counts(line.queue)).total == 3
    assert len(await line.repository.find(line.queue, ALL_STATES)) == 3


async def test_a_thousand_jobs_fit_in_one_addition(line: Line) -> None:
    jobs = await line.add_many(1000)
    assert await line.count(JobState.WAITING) == 1000
    assert ids(await line.claim(1000)) == ids(jobs)


async def test_many_jobs_with_keys_fit_in_one_addition(line: Line) -> None:
    keys = [Deduplication.while_unfinished(f"key {number % 100}") for number in range(200)]
    added = await line.repository.add([line.make(deduplication=key) for key in keys])
    assert [answer.is_duplicate for answer in added] == [False] * 100 + [True] * 100
    assert ids(answer.job for answer in added[100:]) == ids(answer.job for answer in added[:100])
    assert await line.count(JobState.WAITING) == 100


async def test_jobs_added_to_a_paused_queue_wait_and_are_counted(line: Line) -> None:
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    job = await line.add()
    assert await line.count(JobState.WAITING) == 1
    assert await line.claim() == []
    await line.repository.storage.queues.set_paused(line.queue, paused=False)
    assert ids(await line.claim()) == [job.id]


async def test_concurrent_additions_are_all_stored(line: Line) -> None:
    jobs = [line.make() for _ in range(30)]
    await asyncio.gather(*(line.repository.add([job]) for job in jobs))
    assert set(ids(await line.repository.find(line.queue, ALL_STATES))) == set(ids(jobs))
    assert await line.count(JobState.WAITING) == 30


PAYLOADS = {
    "null": None,
    "booleans": [True, False],
    "empty": ["", [], {}],
    "unicode": "Grüße, Ærøskøbing, 日本語, עברית",
    "emoji": {"👩‍👩‍👧‍👦": "🎉🏳️‍🌈"},
    "control characters": "\x00\x01\t\r\n\x1f\x7f\u2028",
    "lone surrogate": "\ud800",
    "quotes and percent": "'\"\\ %s %(x)s :name ?  $1 {} --",
    "big integers": [2**63, -(2**63) - 1, 10**400],
    "floats": [0.1, 1e308, 5e-324, -0.5, 1.0],
    "nested": {"a": [{"b": [{"c": [[[[1]]]]}]}]},
    "long": "x" * 1_000_000,
}


@pytest.mark.parametrize("kind", PAYLOADS)
async def test_a_payload_is_never_altered(line: Line, kind: str) -> None:
    job = await line.add(payload=PAYLOADS[kind])
    assert job.payload == PAYLOADS[kind]
    assert (await line.read(job)).payload == PAYLOADS[kind]
    assert (await line.claim_one()).document == job.document


@pytest.mark.parametrize(
    "name", ["x" * LONGEST_NAME, "🎉" * LONGEST_NAME, "%s ' \" \\ :x", " ", "Ä", "a\nb"]
)
async def test_names_are_never_altered(repository: IJobRepository, line: Line, name: str) -> None:
    queue = f"{uuid4().hex}{name}"[:LONGEST_NAME]
    await repository.add([make_job(queue, name, clock=line.clock)])
    [job] = await Line(repository, line.clock, queue).claim(names=frozenset({name}))
    assert (job.queue, job.name) == (queue, name)
    assert queue in await repository.storage.queues.names()


async def test_queues_are_told_apart_by_case_and_trailing_blanks(line: Line) -> None:
    for queue in (line.queue.upper(), f"{line.queue} "):
        await line.repository.add([make_job(queue, clock=line.clock)])
    assert await line.claim() == []


async def test_options_come_back_as_they_were_given(line: Line) -> None:
    options: dict[str, Any] = {
        "attempts": 5,
        "backoff": Backoff.exponential(1.5, factor=3, maximum=60, jitter=0.25),
        "delay": 0.125,
        "priority": -7,
        "lifo": True,
        "timeout": 2.5,
        "expires_in": timedelta(days=3),
        "deduplication": Deduplication.for_time("ключ", 60),
        "remove_on_complete": Retention.keep_newest(3, age=9),
        "remove_on_fail": False,
        "tags": ["red", "ünï", "ünï"],
        "metadata": {"traceparent": "00-ab-cd-01", "nested": [1, {"a": None}]},
        "keep_logs": 0,
    }
    job = await line.add(**options)
    assert job.options == JobOptions(**options)
    assert (await line.read(job)).options == job.options
    line.clock.advance(1)
    assert (await line.claim_one()).options == job.options


async def test_what_later_parts_need_is_kept(line: Line) -> None:
    job = line.make()
    job.schedule_id, job.batch_id, job.tenant = "nightly", str(uuid4()), "acme"
    stored = (await line.put(job)).job
    read = await line.read(stored)
    assert (read.schedule_id, read.batch_id, read.tenant) == ("nightly", job.batch_id, "acme")


async def test_a_caller_who_changes_a_payload_changes_only_his_copy(line: Line) -> None:
    payload = {"list": [1]}
    job = line.make(payload=payload)
    answer = (await line.put(job)).job
    for mine in (job, answer, await line.read(answer)):
        mine.payload["list"].append(2)
        mine.name = "changed"
    claimed = await line.claim_one()
    assert (claimed.payload, claimed.name) == ({"list": [1]}, "noop")


@pytest.mark.parametrize("transaction", [object(), "session", 1])
async def test_what_is_no_transaction_is_refused(line: Line, transaction: object) -> None:
    """The transactions themselves are tested in the suite of the SQL adapters."""
    with pytest.raises(InvalidRequest, match="session"):
        await line.repository.storage.transactional_jobs.add([line.make()], transaction)
    with pytest.raises(InvalidRequest, match="session"):
        line.repository.storage.transactional_jobs.add_sync([line.make()], transaction)
    assert await line.repository.find(line.queue, ALL_STATES) == []


async def test_opening_and_closing_twice_is_allowed(repository: IJobRepository) -> None:
    await repository.open()
    await repository.close()
    await repository.close()
