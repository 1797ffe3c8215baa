"""Which jobs a worker gets, and in which order; the bullets of `IJobRepository.claim`."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.running.outcome import Snoozed
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job_type import JobType
from tests.contract.building import ALL_STATES, FAILED, Line, completed, ids
from tests.contract.conftest import Connect

# ── what a claim does to a job ───────────────────────────────────────────────────────────────


async def test_a_claim_makes_of_a_job_what_the_domain_says(line: Line) -> None:
    job = await line.add(expires_in=60, attempts=2)
    line.clock.advance(1)
    worker_id = new_worker_id()
    [claimed] = await line.claim(worker_id=worker_id, lock=timedelta(seconds=7))
    now = line.clock.now()
    assert claimed == job.claimed(worker_id, now, now + timedelta(seconds=7))
    assert await line.read(job) == claimed


async def test_a_claimed_job_tells_its_lock(line: Line) -> None:
    job = await line.add_active()
    assert (job.state, job.token, job.attempt) == (JobState.ACTIVE, 1, 1)
    assert job.lock is not None
    assert job.expires_at is None


async def test_the_token_rises_with_every_claim(line: Line) -> None:
    job = await line.add(attempts=10)
    for token in (1, 2, 3):
        claimed = await line.claim_one()
        assert (claimed.id, claimed.token) == (job.id, token)
        await line.settle(claimed, Snoozed(timedelta(0)))


async def test_a_claim_of_an_empty_queue_is_empty(line: Line) -> None:
    assert await line.claim() == []


async def test_a_claim_takes_no_more_than_its_limit(line: Line) -> None:
    jobs = await line.add_many(5)
    assert ids(await line.claim(2)) == ids(jobs[:2])
    assert ids(await line.claim(2)) == ids(jobs[2:4])
    assert ids(await line.claim(2)) == ids(jobs[4:])


# ── eligible is … ────────────────────────────────────────────────────────────────────────────


async def test_only_jobs_of_the_claims_queue_are_taken(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    await other.add()
    assert await line.claim() == []


async def test_no_job_of_a_paused_queue_is_taken(line: Line) -> None:
    await line.add()
    await line.add(delay=1)
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    line.clock.advance(1)
    assert await line.claim() == []


async def test_pausing_one_queue_leaves_the_others_alone(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    job = await other.add()
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    assert ids(await other.claim()) == [job.id]


@pytest.mark.parametrize(
    "state",
    [
        JobState.DELAYED,
        JobState.BLOCKED,
        JobState.ACTIVE,
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.CANCELLED,
    ],
)
async def test_only_waiting_and_due_jobs_are_taken(line: Line, state: JobState) -> None:
    await line.add_in(state)
    assert await line.claim() == []


async def test_a_delayed_job_is_taken_when_it_is_due_and_not_before(line: Line) -> None:
    job = await line.add(delay=10)
    line.clock.advance(timedelta(seconds=10) - timedelta(microseconds=1))
    assert await line.claim() == []
    line.clock.advance(timedelta(microseconds=1))
    assert ids(await line.claim()) == [job.id]
    assert await line.claim() == []


async def test_a_waiting_job_is_not_taken_before_its_time(line: Line) -> None:
    job = await line.add()
    await line.amend(job, job.amend(run_after=timedelta(seconds=5)))
    assert await line.claim() == []
    line.clock.advance(5)
    assert ids(await line.claim()) == [job.id]


async def test_a_job_that_was_not_started_in_time_is_not_taken(line: Line) -> None:
    await line.add(expires_in=10)
    line.clock.advance(10)
    assert await line.claim() == []


async def test_a_job_is_taken_until_it_expires(line: Line) -> None:
    job = await line.add(expires_in=10)
    line.clock.advance(9.999)
    assert ids(await line.claim()) == [job.id]


async def test_a_job_that_was_started_in_time_does_not_expire(line: Line) -> None:
    job = await line.add_active(expires_in=10, attempts=2)
    await line.settle(job, FAILED)
    line.clock.advance(10)
    assert ids(await line.claim()) == [job.id]


async def test_only_jobs_with_the_names_asked_for_are_taken(line: Line) -> None:
    await line.add("mail")
    second = await line.add("resize")
    third = await line.add("report")
    names = frozenset({"resize", "report", "unknown"})
    assert ids(await line.claim(names=names)) == ids([second, third])
    assert await line.claim(names=names) == []
    assert len(await line.claim()) == 1


async def test_a_claim_by_name_takes_no_job_of_a_disabled_type(line: Line) -> None:
    on, off, unknown = (f"{name}-{line.queue}" for name in ("on", "off", "unknown"))
    await line.repository.storage.job_types.declare([JobType(name=on), JobType(name=off)])
    await line.repository.storage.job_types.set_enabled(off, enabled=False)
    jobs = {name: await line.add(name) for name in (off, on, unknown)}
    delayed = await line.add(off, delay=1)
    line.clock.advance(2)
    names = frozenset({on, off, unknown})
    assert ids(await line.claim(names=names)) == ids([jobs[on], jobs[unknown]])
    await line.repository.storage.job_types.set_enabled(off, enabled=True)
    assert ids(await line.claim(names=names)) == ids([jobs[off], delayed])


async def test_a_type_that_is_declared_disabled_is_not_taken(line: Line) -> None:
    name = f"off-{line.queue}"
    await line.repository.storage.job_types.declare([JobType(name=name, enabled=False)])
    await line.add(name)
    assert await line.claim(names=frozenset({name})) == []


async def test_a_claim_without_names_takes_jobs_of_disabled_types_too(line: Line) -> None:
    name = f"off-{line.queue}"
    await line.repository.storage.job_types.declare([JobType(name=name, enabled=False)])
    job = await line.add(name)
    assert ids(await line.claim()) == [job.id]


async def test_jobs_with_other_names_do_not_use_up_the_limit(line: Line) -> None:
    await line.add_many(5)
    job = await line.add("resize")
    assert ids(await line.claim(1, names=frozenset({"resize"}))) == [job.id]


async def test_two_claims_at_once_never_share_a_job(line: Line, connect: Connect) -> None:
    other = Line(await connect(), line.clock, line.queue)
    waiting = await line.add_many(30)
    due = await line.add_many(30, delay=1)
    line.clock.advance(1)
    claims = await asyncio.gather(
        *(worker.claim(7) for worker in (line, other, line, other, line, other))
    )
    taken = [job_id for claimed in claims for job_id in ids(claimed)]
    # A claim may pass over what another one is taking, but it never takes it as well.
    assert len(taken) == len(set(taken))
    rest = ids(await line.claim())
    assert sorted([*taken, *rest]) == sorted(ids([*waiting, *due]))


async def test_claims_at_once_keep_their_own_order(line: Line, connect: Connect) -> None:
    """Each of two workers gets its share first in, first out."""
    other = Line(await connect(), line.clock, line.queue)
    order = {job.id: place for place, job in enumerate(await line.add_many(40))}
    for claimed in await asyncio.gather(line.claim(20), other.claim(20)):
        places = [order[job.id] for job in claimed]
        assert places == sorted(places)


# ── taken are the first by (priority, position) ──────────────────────────────────────────────


async def test_equal_priority_is_first_in_first_out(line: Line) -> None:
    jobs = [await line.add(), *await line.add_many(10), await line.add()]
    line.clock.advance(1)
    jobs.append(await line.add())
    assert ids(await line.claim()) == ids(jobs)


async def test_two_workers_in_turn_start_jobs_first_in_first_out(
    line: Line, connect: Connect
) -> None:
    workers = [line, Line(await connect(), line.clock, line.queue)]
    jobs = await line.add_many(10)
    started = [await workers[turn % 2].claim_one() for turn in range(10)]
    assert ids(started) == ids(jobs)


async def test_lower_priority_numbers_go_first(line: Line) -> None:
    lowest, default, negative, high = [
        await line.add(priority=priority) for priority in (9, 0, -1, 2)
    ]
    assert ids(await line.claim()) == ids([negative, default, high, lowest])


async def test_lifo_goes_to_the_front_of_its_priority(line: Line) -> None:
    urgent = await line.add(priority=-1)
    first = await line.add()
    front = await line.add(lifo=True)
    second = await line.add()
    further_front = await line.add(lifo=True)
    assert ids(await line.claim()) == ids([urgent, further_front, front, first, second])


async def test_due_jobs_of_one_moment_keep_the_order_of_their_addition(line: Line) -> None:
    run_at = line.clock.now() + timedelta(seconds=5)
    jobs = [await line.add(run_at=run_at), *await line.add_many(5, delay=5)]
    jobs.append(await line.add(run_at=run_at))
    line.clock.advance(5)
    assert ids(await line.claim()) == ids(jobs)


async def test_due_and_waiting_jobs_stand_in_one_line(line: Line) -> None:
    """The order is by priority, then by order of addition."""
    late = await line.add(delay=5, priority=3)
    early = await line.add(delay=1)
    waiting = await line.add()
    front = await line.add(priority=-1, delay=2)
    line.clock.advance(10)
    assert ids(await line.claim()) == ids([front, early, waiting, late])


async def test_the_order_is_the_same_whether_due_jobs_were_put_in_line_or_not(line: Line) -> None:
    delayed = await line.add_many(4, delay=1)
    waiting = await line.add()
    line.clock.advance(1)
    for job in delayed[::2]:
        await line.move(job, job.mature())
    assert ids(await line.claim()) == ids([*delayed, waiting])


async def test_a_far_delayed_job_does_not_hold_up_the_others(line: Line) -> None:
    await line.add(delay=3600, priority=-9)
    job = await line.add()
    assert ids(await line.claim(1)) == [job.id]


async def test_a_promoted_job_runs_with_its_priority(line: Line) -> None:
    behind, promoted, ahead = [
        await line.add(),
        await line.add(delay=60, priority=-1),
        await line.add(priority=-2),
    ]
    after = await line.move(promoted, promoted.promote())
    assert (after.state, after.run_at, after.priority) == (JobState.WAITING, line.clock.now(), -1)
    assert ids(await line.claim()) == ids([ahead, promoted, behind])


async def test_delays_run_out_while_the_queue_is_paused(line: Line) -> None:
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    job = await line.add(delay=10)
    line.clock.advance(10)
    await line.move(job, job.mature())
    assert await line.count(JobState.WAITING) == 1
    await line.repository.storage.queues.set_paused(line.queue, paused=False)
    assert ids(await line.claim()) == [job.id]


async def test_a_job_that_comes_back_keeps_its_place(line: Line) -> None:
    jobs = await line.add_many(3, attempts=2)
    first = await line.claim_one()
    await line.settle(first, FAILED)
    assert ids(await line.claim()) == ids(jobs)


async def test_a_full_run_through_a_mixed_queue_keeps_to_the_order(line: Line) -> None:
    options: list[dict[str, Any]] = [
        {"priority": place * 7 % 5, "delay": place % 3, "lifo": place % 4 == 0}
        for place in range(60)
    ]
    jobs = [await line.add(**given) for given in options]
    line.clock.advance(2)
    expected = sorted(jobs, key=lambda job: (job.priority, job.position))
    taken = []
    while claimed := await line.claim(7):
        taken += ids(claimed)
        for job in claimed:
            await line.settle(job, completed())
    assert taken == ids(expected)
    assert await line.count(JobState.COMPLETED) == 60
    assert len(await line.repository.find(line.queue, ALL_STATES)) == 60
