"""Lists, counts and what maintenance looks for; amendments, whose effect is on the lists."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest

from enfila.core.application.ports.job_reader import Overdue
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.running.outcome import Cancelled, Outcome, Released, Snoozed
from enfila.core.domain.job.state import FINAL, JobState
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.json_document import JsonDocument
from enfila.core.domain.queue import QueueCounts
from tests.contract.building import ALL_STATES, FAILED, LOCK, Line, completed, ids, make_job

# ── get and find ─────────────────────────────────────────────────────────────────────────────


async def test_getting_leaves_out_ids_that_do_not_exist(line: Line) -> None:
    jobs = await line.add_many(3)
    unknown = make_job(line.queue, clock=line.clock)
    found = await line.repository.get([jobs[2].id, unknown.id, jobs[0].id])
    assert found == {jobs[0].id: jobs[0], jobs[2].id: jobs[2]}
    assert await line.repository.get([]) == {}


async def test_getting_a_thousand_jobs(line: Line) -> None:
    jobs = await line.add_many(1000)
    assert set(await line.repository.get(set(ids(jobs)))) == set(ids(jobs))


@pytest.mark.parametrize("state", JobState)
async def test_finding_by_state(line: Line, state: JobState) -> None:
    wanted = await line.add_in(state)
    if state is not JobState.DELAYED:
        await line.add(delay=3600)
    if state is not JobState.WAITING:
        await line.add()
    assert wanted in await line.repository.find(line.queue, [state])
    assert {job.state for job in await line.repository.find(line.queue, [state])} == {state}
    others = await line.repository.find(line.queue, ALL_STATES - {state})
    assert others
    assert wanted.id not in ids(others)


async def test_found_jobs_stand_in_the_order_of_their_addition(line: Line) -> None:
    jobs = [
        await line.add(priority=5),
        await line.add(lifo=True),
        await line.add(delay=60),
        *await line.add_many(3),
        await line.add(priority=-5),
    ]
    await line.settle(await line.claim_one(), completed())
    assert ids(await line.repository.find(line.queue, ALL_STATES)) == ids(jobs)
    newest_first = await line.repository.find(line.queue, ALL_STATES, newest_first=True)
    assert ids(newest_first) == ids(reversed(jobs))


async def test_found_jobs_come_in_pages(line: Line) -> None:
    jobs = await line.add_many(7)
    await line.add(delay=60)
    find = line.repository.find
    waiting = [JobState.WAITING]
    pages = [await find(line.queue, waiting, limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [ids(page) for page in pages] == [ids(jobs[0:3]), ids(jobs[3:6]), ids(jobs[6:]), []]
    last = await find(line.queue, waiting, limit=2, offset=1, newest_first=True)
    assert ids(last) == ids([jobs[5], jobs[4]])


async def test_a_page_has_a_hundred_jobs_unless_asked_otherwise(line: Line) -> None:
    await line.add_many(101)
    assert len(await line.repository.find(line.queue, ALL_STATES)) == 100
    assert len(await line.repository.find(line.queue, ALL_STATES, limit=1000)) == 101


async def test_finding_keeps_to_its_queue_and_states(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    await other.add()
    await line.add()
    assert await line.repository.find(line.queue, []) == []
    assert await line.repository.find(f"unknown-{line.queue}", ALL_STATES) == []
    assert len(await line.repository.find(line.queue, ALL_STATES)) == 1


# ── overdue ──────────────────────────────────────────────────────────────────────────────────


async def test_due_are_delayed_jobs_whose_time_has_come(line: Line) -> None:
    second, first, later = [await line.add(delay=delay) for delay in (5, 3, 60)]
    await line.add()
    assert await line.repository.overdue(line.queue, Overdue.DUE, 10) == []
    line.clock.advance(5)
    assert await line.repository.overdue(line.queue, Overdue.DUE, 10) == [first, second]
    assert await line.repository.overdue(line.queue, Overdue.DUE, 1) == [first]
    assert later.id not in ids(await line.repository.overdue(line.queue, Overdue.DUE, 10))


async def test_due_jobs_are_found_in_a_paused_queue_too(line: Line) -> None:
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    job = await line.add(delay=5)
    line.clock.advance(5)
    assert await line.repository.overdue(line.queue, Overdue.DUE, 10) == [job]


async def test_expired_are_jobs_that_never_started_in_time(line: Line) -> None:
    waiting = await line.add(expires_in=5)
    delayed = await line.add(expires_in=3, delay=60)
    holder = await line.add(priority=9)
    [blocked] = await line.repository.add([line.make(expires_in=4).behind(holder.id)])
    young = await line.add(expires_in=60)
    line.clock.advance(2.999)
    assert await line.repository.overdue(line.queue, Overdue.EXPIRED, 10) == []
    line.clock.advance(3)
    expired = await line.repository.overdue(line.queue, Overdue.EXPIRED, 10)
    assert expired == [delayed, blocked.job, waiting]
    assert await line.repository.overdue(line.queue, Overdue.EXPIRED, 2) == expired[:2]
    assert ids(await line.claim()) == ids([young, holder])


async def test_a_job_expires_in_the_moment_from_which_it_is_not_claimed(line: Line) -> None:
    """Else it would be neither run nor cancelled."""
    job = await line.add(expires_in=5)
    line.clock.advance(5)
    assert await line.claim() == []
    assert await line.repository.overdue(line.queue, Overdue.EXPIRED, 10) == [job]


async def test_a_job_that_has_started_does_not_expire(line: Line) -> None:
    job = await line.add_active(expires_in=5, attempts=3)
    line.clock.advance(6)
    assert await line.repository.overdue(line.queue, Overdue.EXPIRED, 10) == []
    await line.settle(job, Released())
    assert await line.repository.overdue(line.queue, Overdue.EXPIRED, 10) == []


async def test_a_finished_job_does_not_expire(line: Line) -> None:
    job = await line.add(expires_in=5)
    await line.move(job, job.cancel("enough"))
    line.clock.advance(6)
    assert await line.repository.overdue(line.queue, Overdue.EXPIRED, 10) == []


async def test_stalled_are_active_jobs_whose_lock_has_run_out(line: Line) -> None:
    await line.add_many(3)
    [long] = await line.claim(1, lock=timedelta(minutes=9))
    [second] = await line.claim(1, lock=timedelta(seconds=20))
    [first] = await line.claim(1, lock=timedelta(seconds=10))
    line.clock.advance(21)
    assert await line.repository.overdue(line.queue, Overdue.STALLED, 10) == [first, second]
    assert await line.repository.overdue(line.queue, Overdue.STALLED, 1) == [first]
    assert (await line.read(long)).state is JobState.ACTIVE


@pytest.mark.parametrize("kind", Overdue)
async def test_looking_for_overdue_jobs_keeps_to_its_queue(line: Line, kind: Overdue) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    await other.add_active()
    await other.add(delay=1)
    await other.add(expires_in=1)
    line.clock.advance(LOCK * 2)
    assert await line.repository.overdue(line.queue, kind, 10) == []
    assert len(await other.repository.overdue(other.queue, kind, 10)) == 1


# ── until the next job is due ────────────────────────────────────────────────────────────────


async def test_the_time_until_the_next_delayed_job(line: Line) -> None:
    assert await line.repository.storage.queues.until_next_due(line.queue) is None
    await line.add()
    assert await line.repository.storage.queues.until_next_due(line.queue) is None
    await line.add(delay=60)
    job = await line.add(delay=10)
    assert await line.repository.storage.queues.until_next_due(line.queue) == timedelta(seconds=10)
    line.clock.advance(4.5)
    assert await line.repository.storage.queues.until_next_due(line.queue) == timedelta(seconds=5.5)
    line.clock.advance(60)
    assert await line.repository.storage.queues.until_next_due(line.queue) == timedelta(0)
    await line.move(job, job.promote())
    await line.claim()
    assert await line.repository.storage.queues.until_next_due(line.queue) is None


async def test_the_next_delayed_job_of_another_queue_does_not_count(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    await other.add(delay=10)
    assert await line.repository.storage.queues.until_next_due(line.queue) is None


# ── counts ───────────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_queue_counts_nothing(line: Line) -> None:
    assert await line.repository.storage.queues.counts(line.queue) == QueueCounts()


@pytest.mark.parametrize("state", JobState)
async def test_each_state_is_counted(line: Line, state: JobState) -> None:
    await line.add_in(state)
    assert await line.count(state) == 1
    await _assert_counts_equal_a_recount(line)


@pytest.mark.parametrize("seed", range(3))
async def test_counts_equal_a_recount_after_a_mixed_life(line: Line, seed: int) -> None:
    chance = random.Random(seed)
    keys = [Deduplication.keep_last("a"), Deduplication.while_unfinished("b"), None, None]
    for _ in range(12):
        await line.repository.add(
            [
                line.make(
                    attempts=chance.randint(1, 3),
                    delay=chance.choice([0, 0, 1, 5]),
                    expires_in=chance.choice([None, None, 3]),
                    priority=chance.randint(-1, 1),
                    deduplication=chance.choice(keys),
                )
                for _ in range(chance.randint(1, 4))
            ]
        )
        claimed = await line.claim(chance.randint(1, 6))
        outcomes: list[Outcome] = [
            completed(),
            FAILED,
            Snoozed(LOCK),
            Cancelled("enough"),
            Released(),
        ]
        held = [job for job in claimed if chance.random() < 0.8]
        await line.repository.apply([job.settle(chance.choice(outcomes)) for job in held])
        line.clock.advance(chance.choice([0, 1, 20, 40]))
        for kind in Overdue:
            jobs = await line.repository.overdue(line.queue, kind, 5)
            await line.repository.apply([_recovered(job, kind) for job in jobs])
        finished = await line.repository.find(line.queue, FINAL, limit=2, newest_first=True)
        await line.repository.apply([job.retry(fresh_attempts=True) for job in finished[:1]])
        await line.repository.remove(finished[1:])
        await line.repository.remove_all(line.queue, [JobState.DELAYED], limit=1)
        rule = Retention.keep_newest(3)
        await line.repository.apply_retention(line.queue, RetentionPolicy(rule, rule, rule), 2)
        await line.repository.storage.compact()
        await _assert_counts_equal_a_recount(line)


async def test_counts_are_right_after_much_happened_at_once(line: Line) -> None:

    async def work() -> None:
        await line.add_many(5)
        for job in await line.claim(4):
            await line.repository.apply([job.settle(completed())])

    await asyncio.gather(*(work() for _ in range(8)))
    await _assert_counts_equal_a_recount(line)
    assert (await line.repository.storage.queues.counts(line.queue)).total == 40


def _recovered(job: Job, kind: Overdue) -> Transition:
    match kind:
        case Overdue.STALLED:
            return job.stall(max_stalled_count=1)
        case Overdue.EXPIRED:
            return job.expire()
        case Overdue.DUE:
            return job.mature()


async def _assert_counts_equal_a_recount(line: Line) -> None:
    jobs = await line.repository.find(line.queue, ALL_STATES, limit=100_000)
    assert await line.repository.storage.queues.counts(line.queue) == QueueCounts.of(
        Counter(job.state for job in jobs)
    )


# ── amendments ───────────────────────────────────────────────────────────────────────────────


async def test_changing_the_priority_of_a_waiting_job_moves_it(line: Line) -> None:
    first, second, third = await line.add_many(3)
    await line.amend(third, third.amend(priority=-1))
    await line.amend(first, first.amend(priority=1))
    assert ids(await line.claim()) == ids([third, second, first])


async def test_a_job_that_changed_its_priority_keeps_its_place_among_equals(line: Line) -> None:
    jobs = [await line.add(priority=priority) for priority in (5, 0, 5, 0)]
    await line.amend(jobs[0], jobs[0].amend(priority=0))
    assert ids(await line.claim()) == ids([jobs[0], jobs[1], jobs[3], jobs[2]])


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.DELAYED, JobState.BLOCKED])
async def test_a_job_that_has_not_started_can_be_changed(line: Line, state: JobState) -> None:
    job = await line.add_in(state)
    after = await line.amend(
        job,
        job.amend(
            document=JsonDocument.of({"new": True}),
            options=JobOptions(attempts=4, priority=2, tags=["t"], remove_on_complete=1),
            run_after=timedelta(minutes=5),
        ),
    )
    assert (after.state, after.payload, after.max_attempts) == (state, {"new": True}, 4)
    assert (after.priority, after.run_at) == (2, line.clock.now() + timedelta(minutes=5))
    assert after.options.tags == ("t",)
    assert after.token == job.token


async def test_an_amendment_of_a_job_that_was_claimed_meanwhile_is_stale(line: Line) -> None:
    job = await line.add()
    amendment = job.amend(priority=-1)
    claimed = await line.claim_one()
    assert await line.repository.amend(amendment) is None
    assert await line.read(job) == claimed


async def test_an_amendment_of_a_job_that_ran_meanwhile_is_stale(line: Line) -> None:
    job = await line.add(attempts=2)
    amendment = job.amend(priority=-1)
    after = await line.settle(await line.claim_one(), FAILED)
    assert after.state is job.state
    assert await line.repository.amend(amendment) is None
    assert await line.read(job) == after


async def test_an_amendment_of_a_job_that_is_gone_is_stale(line: Line) -> None:
    job = await line.add()
    await line.repository.remove([job])
    assert await line.repository.amend(job.amend(priority=-1)) is None
