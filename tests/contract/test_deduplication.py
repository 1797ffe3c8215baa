"""Deduplication: a key is held by one job of a queue at a time."""

import asyncio
from uuid import uuid4

import pytest

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.running.outcome import Cancelled, Failed, Outcome, Released, Snoozed
from enfila.core.domain.job.state import JobState
from tests.contract.building import ALL_STATES, BOOM, FAILED, LOCK, Line, completed, ids
from tests.contract.conftest import Connect

UNFINISHED = Deduplication.while_unfinished("key")
REPLACE = Deduplication.replace("key")
DEBOUNCE = Deduplication.debounce("key")
KEEP_LAST = Deduplication.keep_last("key")
HOUR = 3600

FINAL_OUTCOMES: list[Outcome] = [
    completed(),
    Failed(BOOM, is_recoverable=False),
    Cancelled("enough"),
]


async def jobs_of(line: Line) -> list[Job]:
    """All jobs of the queue in the order of their addition."""
    return await line.repository.find(line.queue, ALL_STATES)


# ── while unfinished ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", [UNFINISHED, REPLACE, DEBOUNCE, KEEP_LAST])
async def test_the_first_job_with_a_key_is_simply_added(line: Line, mode: Deduplication) -> None:
    added = await line.put(line.make(deduplication=mode))
    assert not added.is_duplicate
    assert added.job.state is JobState.WAITING


async def test_a_second_job_with_the_key_is_not_added_and_the_first_is_returned(
    line: Line,
) -> None:
    first = await line.add(payload=1, deduplication=UNFINISHED)
    second = await line.put(line.make(payload=2, deduplication=UNFINISHED))
    assert second.is_duplicate
    assert second.job == first
    assert await jobs_of(line) == [first]
    assert await line.count(JobState.WAITING) == 1


@pytest.mark.parametrize(
    "state", [JobState.WAITING, JobState.DELAYED, JobState.ACTIVE, JobState.BLOCKED]
)
async def test_a_key_is_held_in_every_unfinished_state(line: Line, state: JobState) -> None:
    job = line.make(deduplication=UNFINISHED, delay=HOUR if state is JobState.DELAYED else 0)
    if state is JobState.BLOCKED:
        job = job.behind((await line.add(delay=HOUR)).id)
    holder = (await line.put(job)).job
    if state is JobState.ACTIVE:
        holder = await line.claim_one()
    assert holder.state is state
    second = await line.put(line.make(deduplication=UNFINISHED))
    assert (second.is_duplicate, second.job) == (True, holder)


@pytest.mark.parametrize("outcome", FINAL_OUTCOMES)
async def test_a_key_frees_when_its_job_is_final(line: Line, outcome: Outcome) -> None:
    first = await line.add_active(deduplication=UNFINISHED)
    await line.settle(first, outcome)
    second = await line.add(deduplication=UNFINISHED)
    assert second.id != first.id


async def test_a_key_frees_when_its_job_is_removed(line: Line) -> None:
    first = await line.add(deduplication=UNFINISHED)
    await line.repository.remove([first])
    second = await line.add(deduplication=UNFINISHED)
    assert ids(await jobs_of(line)) == [second.id]


async def test_a_retry_between_attempts_does_not_free_a_key(line: Line) -> None:
    first = await line.add_active(deduplication=UNFINISHED, attempts=2)
    await line.settle(first, FAILED)
    assert (await line.put(line.make(deduplication=UNFINISHED))).is_duplicate


async def test_a_crashed_holder_does_not_block_a_key_for_ever(line: Line) -> None:
    job = await line.add_active(deduplication=UNFINISHED)
    line.clock.advance(LOCK * 2)
    assert (await line.put(line.make(deduplication=UNFINISHED))).is_duplicate
    stalled = await line.read(job)
    await line.move(stalled, stalled.stall(max_stalled_count=0))
    assert not (await line.put(line.make(deduplication=UNFINISHED))).is_duplicate


async def test_keys_of_different_queues_do_not_meet(line: Line) -> None:
    other = Line(line.repository, line.clock, f"other-{uuid4().hex}")
    await line.add(deduplication=UNFINISHED)
    await other.add(deduplication=UNFINISHED)


async def test_keys_are_compared_exactly(line: Line) -> None:
    for key in ("key", "KEY", "key ", "ключ", "👩‍👩‍👧‍👦", "k" * 255, "%s '\"\\"):
        await line.add(deduplication=Deduplication.while_unfinished(key))
    assert await line.count(JobState.WAITING) == 7


async def test_jobs_without_a_key_are_never_duplicates(line: Line) -> None:
    await line.add(deduplication=UNFINISHED)
    await line.add()
    await line.add()


async def test_a_new_job_takes_the_key_over_for_itself(line: Line) -> None:
    first = await line.add_active(deduplication=UNFINISHED)
    await line.settle(first, completed())
    second = await line.add(deduplication=UNFINISHED)
    third = await line.put(line.make(deduplication=UNFINISHED))
    assert third.job.id == second.id


# ── for a time ───────────────────────────────────────────────────────────────────────────────


async def test_a_key_with_a_time_is_held_though_its_job_has_finished(line: Line) -> None:
    key = Deduplication.for_time("key", HOUR)
    first = await line.settle(await line.add_active(deduplication=key), completed())
    line.clock.advance(HOUR - 1)
    again = await line.put(line.make(deduplication=key))
    assert (again.is_duplicate, again.job) == (True, first)


async def test_a_key_with_a_time_frees_after_it_though_its_job_has_not_finished(
    line: Line,
) -> None:
    key = Deduplication.for_time("key", HOUR)
    first = await line.add(deduplication=key)
    line.clock.advance(HOUR)
    second = await line.add(deduplication=key)
    assert ids(await jobs_of(line)) == ids([first, second])
    assert (await line.put(line.make(deduplication=key))).job.id == second.id


async def test_a_key_with_a_time_is_held_though_its_job_was_removed(line: Line) -> None:
    """Retention may be shorter than the time of a key."""
    key = Deduplication.for_time("key", HOUR)
    first = await line.settle(await line.add_active(deduplication=key), completed())
    assert await line.repository.remove([first]) == [True]
    again = await line.put(line.make(deduplication=key))
    assert (again.is_duplicate, again.job.id) == (True, first.id)
    assert await jobs_of(line) == []
    line.clock.advance(HOUR)
    await line.repository.storage.compact()
    await line.add(deduplication=key)


async def test_compacting_frees_no_key_before_its_time(line: Line) -> None:
    key = Deduplication.for_time("key", HOUR)
    first = await line.settle(await line.add_active(deduplication=key), completed())
    await line.repository.remove([first])
    await line.add(deduplication=Deduplication.while_unfinished("other"))
    line.clock.advance(HOUR - 1)
    await line.repository.storage.compact()
    assert (await line.put(line.make(deduplication=key))).is_duplicate
    other = line.make(deduplication=Deduplication.while_unfinished("other"))
    assert (await line.put(other)).is_duplicate


# ── replace ──────────────────────────────────────────────────────────────────────────────────


async def test_replace_gives_payload_and_options_to_the_job_that_has_not_started(
    line: Line,
) -> None:
    first = await line.add(payload=1, deduplication=REPLACE, delay=HOUR)
    line.clock.advance(60)
    new = line.make(payload=2, deduplication=REPLACE, priority=-3, attempts=4, delay=5)
    answer = await line.put(new)
    assert answer.is_duplicate
    assert answer.job == await line.read(first)
    assert ids(await jobs_of(line)) == [first.id]
    assert (answer.job.payload, answer.job.priority, answer.job.max_attempts) == (2, -3, 4)
    assert answer.job.options == new.options
    assert (answer.job.state, answer.job.run_at) == (JobState.DELAYED, first.run_at)


async def test_replace_keeps_the_attempts_that_were_made(line: Line) -> None:
    first = await line.add_active(deduplication=REPLACE, attempts=3)
    await line.settle(first, FAILED)
    answer = await line.put(line.make(deduplication=REPLACE, attempts=1))
    assert (answer.job.attempt, answer.job.max_attempts) == (1, 2)
    again = await line.claim_one()
    assert (again.id, again.attempt) == (first.id, 2)


async def test_replace_leaves_an_active_job_alone(line: Line) -> None:
    first = await line.add_active(payload=1, deduplication=REPLACE)
    answer = await line.put(line.make(payload=2, deduplication=REPLACE))
    assert (answer.is_duplicate, answer.job) == (True, first)
    assert await jobs_of(line) == [first]


async def test_a_replaced_job_keeps_its_place(line: Line) -> None:
    first = await line.add(deduplication=REPLACE)
    second = await line.add()
    await line.put(line.make(deduplication=REPLACE))
    assert ids(await line.claim()) == ids([first, second])


# ── debounce ─────────────────────────────────────────────────────────────────────────────────


async def test_debounce_begins_the_delay_anew(line: Line) -> None:
    first = await line.add(payload=1, deduplication=DEBOUNCE, delay=10)
    for payload in (2, 3):
        line.clock.advance(9)
        answer = await line.put(line.make(payload=payload, deduplication=DEBOUNCE, delay=10))
        assert (answer.is_duplicate, answer.job.id) == (True, first.id)
        assert (answer.job.run_at - line.clock.now()).total_seconds() == 10
        assert await line.claim() == []
    line.clock.advance(10)
    job = await line.claim_one()
    assert (job.id, job.payload) == (first.id, 3)
    assert len(await jobs_of(line)) == 1


async def test_debounce_moves_the_job_to_the_instant_of_the_new_one(line: Line) -> None:
    first = await line.add(deduplication=DEBOUNCE, delay=10)
    line.clock.advance(3)
    run_at = line.clock.now().replace(microsecond=123456)
    answer = await line.put(line.make(deduplication=DEBOUNCE, run_at=run_at))
    assert (answer.job.id, answer.job.run_at) == (first.id, run_at)


async def test_debounce_leaves_an_active_job_alone(line: Line) -> None:
    first = await line.add_active(payload=1, deduplication=DEBOUNCE)
    answer = await line.put(line.make(payload=2, deduplication=DEBOUNCE, delay=10))
    assert (answer.is_duplicate, answer.job) == (True, first)


# ── keep last ────────────────────────────────────────────────────────────────────────────────


async def test_keep_last_lets_one_job_wait_behind_the_active_one(line: Line) -> None:
    running = await line.add_active(payload=1, deduplication=KEEP_LAST)
    second = await line.put(line.make(payload=2, deduplication=KEEP_LAST))
    assert not second.is_duplicate
    assert (second.job.state, second.job.depends_on) == (JobState.BLOCKED, (running.id,))
    assert await line.read(running) == running
    assert await line.claim() == []


async def test_keep_last_drops_those_between(line: Line) -> None:
    running = await line.add_active(payload=1, deduplication=KEEP_LAST)
    second = await line.put(line.make(payload=2, deduplication=KEEP_LAST))
    third = await line.put(line.make(payload=3, deduplication=KEEP_LAST))
    assert (third.is_duplicate, third.job.id) == (True, second.job.id)
    assert ids(await jobs_of(line)) == [running.id, second.job.id]
    await line.settle(running, completed())
    last = await line.claim_one()
    assert (last.id, last.payload) == (second.job.id, 3)


async def test_keep_last_replaces_a_job_that_has_not_started(line: Line) -> None:
    first = await line.add(payload=1, deduplication=KEEP_LAST)
    second = await line.put(line.make(payload=2, deduplication=KEEP_LAST))
    assert (second.is_duplicate, second.job.id, second.job.payload) == (True, first.id, 2)


@pytest.mark.parametrize("outcome", FINAL_OUTCOMES)
async def test_the_last_one_joins_the_line_when_the_one_before_is_final(
    line: Line, outcome: Outcome
) -> None:
    running = await line.add_active(deduplication=KEEP_LAST)
    last = (await line.put(line.make(deduplication=KEEP_LAST))).job
    await line.settle(running, outcome)
    after = await line.read(last)
    assert (after.state, after.depends_on) == (JobState.WAITING, ())
    assert await line.count(JobState.BLOCKED) == 0
    assert await line.count(JobState.WAITING) == 1
    assert ids(await line.claim()) == [last.id]


async def test_the_last_one_keeps_its_delay(line: Line) -> None:
    running = await line.add_active(deduplication=KEEP_LAST)
    last = (await line.put(line.make(deduplication=KEEP_LAST, delay=60))).job
    await line.settle(running, completed())
    after = await line.read(last)
    assert (after.state, after.run_at) == (JobState.DELAYED, last.run_at)
    line.clock.advance(60)
    assert ids(await line.claim()) == [last.id]


@pytest.mark.parametrize("outcome", [FAILED, Snoozed(LOCK), Released()])
async def test_the_last_one_waits_while_the_one_before_has_not_ended(
    line: Line, outcome: Outcome
) -> None:
    running = await line.add_active(deduplication=KEEP_LAST, attempts=2)
    last = (await line.put(line.make(deduplication=KEEP_LAST))).job
    await line.settle(running, outcome)
    assert await line.state(last) is JobState.BLOCKED
    line.clock.advance(LOCK)
    again = await line.claim_one()
    assert again.id == running.id
    await line.settle(again, completed())
    assert ids(await line.claim()) == [last.id]


async def test_a_stall_that_fails_the_one_before_frees_the_last_one(line: Line) -> None:
    running = await line.add_active(deduplication=KEEP_LAST)
    last = (await line.put(line.make(deduplication=KEEP_LAST))).job
    await line.move(running, running.stall(max_stalled_count=0))
    assert ids(await line.claim()) == [last.id]


@pytest.mark.parametrize("how", ["remove", "remove_all"])
async def test_the_last_one_is_not_lost_when_the_one_before_is_removed(
    line: Line, how: str
) -> None:
    running = await line.add_active(deduplication=KEEP_LAST)
    last = (await line.put(line.make(deduplication=KEEP_LAST))).job
    holder = await line.settle(running, Released())
    if how == "remove":
        assert await line.repository.remove([holder]) == [True]
    else:
        assert await line.repository.remove_all(line.queue, [JobState.WAITING], limit=9) == 1
    assert await line.count(JobState.BLOCKED) == 0
    assert await line.count(JobState.WAITING) == 1
    assert ids(await line.claim()) == [last.id]


async def test_a_cancelled_one_before_frees_the_last_one(line: Line) -> None:
    running = await line.add_active(deduplication=KEEP_LAST)
    last = (await line.put(line.make(deduplication=KEEP_LAST))).job
    holder = await line.settle(running, Released())
    await line.move(holder, holder.cancel("not wanted"))
    assert ids(await line.claim()) == [last.id]


async def test_a_chain_of_last_ones_runs_one_after_the_other(line: Line) -> None:
    running = await line.add_active(payload=0, deduplication=KEEP_LAST)
    for payload in (1, 2, 3):
        added = await line.put(line.make(payload=payload, deduplication=KEEP_LAST))
        assert not added.is_duplicate
        assert await line.claim() == []
        await line.settle(running, completed())
        running = await line.claim_one()
        assert running.payload == payload


async def test_nothing_waits_behind_a_finished_job_whose_key_is_held_for_a_time(
    line: Line,
) -> None:
    first = await line.add_active(deduplication=Deduplication.for_time("key", HOUR))
    finished = await line.settle(first, completed())
    answer = await line.put(line.make(deduplication=KEEP_LAST))
    assert (answer.is_duplicate, answer.job) == (True, finished)
    assert await line.count(JobState.BLOCKED) == 0


# ── several at once ──────────────────────────────────────────────────────────────────────────


async def test_two_jobs_of_one_addition_with_one_key_make_one_job(line: Line) -> None:
    jobs = [
        line.make(payload=1, deduplication=UNFINISHED),
        line.make(payload=2),
        line.make(payload=3, deduplication=UNFINISHED),
    ]
    first, second, third = await line.repository.add(jobs)
    assert [first.is_duplicate, second.is_duplicate, third.is_duplicate] == [False, False, True]
    assert third.job == first.job
    assert ids(await jobs_of(line)) == ids(jobs[:2])


async def test_the_last_of_one_addition_replaces_the_first(line: Line) -> None:
    jobs = [line.make(payload=payload, deduplication=REPLACE) for payload in range(3)]
    added = await line.repository.add(jobs)
    assert [answer.is_duplicate for answer in added] == [False, True, True]
    [job] = await jobs_of(line)
    assert (job.id, job.payload) == (jobs[0].id, 2)


async def test_one_addition_may_both_follow_and_replace(line: Line) -> None:
    running = await line.add_active(payload=0, deduplication=KEEP_LAST)
    jobs = [line.make(payload=payload, deduplication=KEEP_LAST) for payload in (1, 2, 3)]
    added = await line.repository.add(jobs)
    assert [answer.is_duplicate for answer in added] == [False, True, True]
    await line.settle(running, completed())
    last = await line.claim_one()
    assert (last.id, last.payload) == (jobs[0].id, 3)


@pytest.mark.parametrize("mode", [UNFINISHED, REPLACE, DEBOUNCE, KEEP_LAST])
async def test_two_processes_adding_one_key_at_once_make_one_job(
    line: Line, connect: Connect, mode: Deduplication
) -> None:
    other = await connect()
    repositories = [line.repository, other] * 5
    jobs = [line.make(deduplication=mode, payload=place) for place in range(10)]
    answers = await asyncio.gather(
        *(repository.add([job]) for repository, job in zip(repositories, jobs, strict=True))
    )
    assert sum(not answer.is_duplicate for [answer] in answers) == 1
    assert len({answer.job.id for [answer] in answers}) == 1
    assert await line.count(JobState.WAITING) == len(await jobs_of(line)) == 1


async def test_many_processes_adding_the_same_keys_in_opposite_orders_do_not_block_each_other(
    line: Line, connect: Connect
) -> None:
    other = await connect()
    keys = [Deduplication.while_unfinished(f"key {number}") for number in range(20)]
    forwards = [line.make(deduplication=key) for key in keys]
    backwards = [line.make(deduplication=key) for key in reversed(keys)]
    await asyncio.gather(line.repository.add(forwards), other.add(backwards))
    assert await line.count(JobState.WAITING) == 20


async def test_an_addition_meets_a_claim_of_the_holder(line: Line, connect: Connect) -> None:
    """Whichever comes first: the new payload is in the holder or in a job behind it."""
    other = Line(await connect(), line.clock, line.queue)
    await line.add(payload="old", deduplication=KEEP_LAST)
    added, at_once = await asyncio.gather(
        line.put(line.make(payload="new", deduplication=KEEP_LAST)), other.claim(1)
    )
    # A claim passes over a job that is being written at that moment; the next one finds it.
    [claimed] = at_once or await other.claim(1)
    if added.is_duplicate:
        assert (await line.read(claimed)).payload == "new"
    else:
        assert added.job.depends_on == (claimed.id,)
        assert (await line.read(added.job)).payload == "new"


async def test_an_addition_meets_the_end_of_the_holder(line: Line, connect: Connect) -> None:
    """Whichever comes first: the last one is not left behind."""
    other = Line(await connect(), line.clock, line.queue)
    for _ in range(5):
        running = await line.add_active(deduplication=KEEP_LAST)
        added, _ = await asyncio.gather(
            line.put(line.make(deduplication=KEEP_LAST)),
            other.repository.apply([running.settle(completed())]),
        )
        assert not added.is_duplicate
        assert await line.state(added.job) is JobState.WAITING
        await line.settle(await line.claim_one(), completed())


@pytest.mark.parametrize("mode", [UNFINISHED, REPLACE, DEBOUNCE, KEEP_LAST])
async def test_a_duplicate_is_never_counted(line: Line, mode: Deduplication) -> None:
    for _ in range(3):
        await line.put(line.make(deduplication=mode))
    assert (await line.repository.storage.queues.counts(line.queue)).total == 1
