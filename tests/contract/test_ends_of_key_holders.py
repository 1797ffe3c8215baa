"""Deduplication keys: every way in which a holder or the job behind it ends, and what comes next.

The table is in `docs/life-of-a-job.md`.
"""

from collections.abc import Awaitable, Callable

import pytest

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.running.outcome import (
    Cancelled,
    Failed,
    Outcome,
    Released,
    Snoozed,
)
from enfila.core.domain.job.state import JobState
from tests.contract.building import ALL_STATES, BOOM, FAILED, LOCK, Line, completed, ids

SECOND_DRIVER_IS_THOROUGH = True
UNFINISHED = Deduplication.while_unfinished("key")
FOR_TIME = Deduplication.for_time("key", 3600)
REPLACE = Deduplication.replace("key")
DEBOUNCE = Deduplication.debounce("key")
KEEP_LAST = Deduplication.keep_last("key")
MODES = {
    "unfinished": UNFINISHED,
    "for_time": FOR_TIME,
    "replace": REPLACE,
    "debounce": DEBOUNCE,
    "keep_last": KEEP_LAST,
}

Way = Callable[[Line, Job], Awaitable[object]]

any_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


# ── ways to end ──────────────────────────────────────────────────────────────────────────────────


async def _cancel(line: Line, job: Job) -> None:
    job = await line.read(job)
    await line.move(job, job.cancel("not wanted"))


async def _expire(line: Line, job: Job) -> None:
    job = await line.read(job)
    await line.move(job, job.expire())


async def _remove(line: Line, job: Job) -> None:
    assert await line.repository.remove([await line.read(job)]) == [True]


async def _drain(line: Line, job: Job) -> None:
    states = {JobState.WAITING, JobState.DELAYED, JobState.BLOCKED}
    assert await line.repository.remove_all(line.queue, states, limit=100)


def _settled(outcome: Outcome) -> Way:
    async def settle(line: Line, job: Job) -> None:
        await line.settle(await line.read(job), outcome)

    return settle


async def _stall_away(line: Line, job: Job) -> None:
    job = await line.read(job)
    await line.move(job, job.stall(max_stalled_count=0))


async def _clean(line: Line, job: Job) -> None:
    assert await line.repository.remove_all(line.queue, {(await line.read(job)).state}, limit=1)


async def _retain_nothing(line: Line, job: Job) -> None:
    nothing = Retention(newest=0)
    policy = RetentionPolicy(nothing, nothing, nothing)
    assert await line.repository.apply_retention(line.queue, policy, 100)


PENDING_ENDS: dict[str, Way] = {"cancelled": _cancel, "expired": _expire}
PENDING_REMOVALS: dict[str, Way] = {"removed": _remove, "drained": _drain}
ACTIVE_ENDS: dict[str, Way] = {
    "completed": _settled(completed()),
    "failed": _settled(FAILED),
    "unrecoverable": _settled(Failed(BOOM, is_recoverable=False)),
    "cancelled in its run": _settled(Cancelled("enough")),
    "stalled away": _stall_away,
}
FINAL_REMOVALS: dict[str, Way] = {
    "removed": _remove,
    "cleaned": _clean,
    "retained no longer": _retain_nothing,
}
DETOURS: dict[str, tuple[Way, JobState]] = {
    "snoozed": (_settled(Snoozed(LOCK)), JobState.DELAYED),
    "released": (_settled(Released()), JobState.WAITING),
}


async def _housekeeping(line: Line) -> None:
    """May drop no key that still counts."""
    await line.repository.storage.compact()


async def _runnable(line: Line) -> list[Job]:
    """The jobs of the queue that run, or will without waiting for another."""
    states = {JobState.WAITING, JobState.DELAYED, JobState.ACTIVE}
    return await line.repository.find(line.queue, states)


# ── a holder alone ───────────────────────────────────────────────────────────────────────────────


@any_mode
@pytest.mark.parametrize("end", ACTIVE_ENDS.values(), ids=ACTIVE_ENDS)
async def test_a_key_is_free_when_the_run_of_its_holder_has_ended_it(
    line: Line, mode: Deduplication, end: Way
) -> None:
    first = await line.add_active(deduplication=mode)
    await end(line, first)
    await _housekeeping(line)
    next_one = await line.put(line.make(deduplication=mode))
    assert next_one.is_duplicate is (mode is FOR_TIME)
    assert (next_one.job.id == first.id) is (mode is FOR_TIME)


@any_mode
@pytest.mark.parametrize("end", PENDING_ENDS.values(), ids=PENDING_ENDS)
@pytest.mark.parametrize("delay", [0, 60])
async def test_a_key_is_free_when_its_holder_is_cancelled_before_it_runs(
    line: Line, mode: Deduplication, end: Way, delay: int
) -> None:
    first = await line.add(deduplication=mode, delay=delay)
    await end(line, first)
    await _housekeeping(line)
    next_one = await line.put(line.make(deduplication=mode))
    assert next_one.is_duplicate is (mode is FOR_TIME)
    if mode is FOR_TIME:
        assert next_one.job == await line.read(first)


@any_mode
@pytest.mark.parametrize("end", PENDING_REMOVALS.values(), ids=PENDING_REMOVALS)
@pytest.mark.parametrize("delay", [0, 60])
async def test_a_key_is_free_when_its_holder_is_removed_before_it_runs(
    line: Line, mode: Deduplication, end: Way, delay: int
) -> None:
    """For a time too: what the key stands for has not been done."""
    first = await line.add(payload="first", deduplication=mode, delay=delay)
    await end(line, first)
    await _housekeeping(line)
    second = await line.add(payload="second", deduplication=mode)
    assert await line.read(second) == second
    assert (await line.put(line.make(deduplication=mode))).job.id == second.id


@any_mode
@pytest.mark.parametrize("removal", FINAL_REMOVALS.values(), ids=FINAL_REMOVALS)
@pytest.mark.parametrize("end", [_settled(completed()), _stall_away], ids=["completed", "stalled"])
async def test_of_a_finished_and_removed_job_only_a_time_outlives_it(
    line: Line, mode: Deduplication, end: Way, removal: Way
) -> None:
    first = await line.add_active(deduplication=mode)
    await end(line, first)
    state = (await line.read(first)).state
    await removal(line, first)
    await _housekeeping(line)
    again = await line.put(line.make(deduplication=mode))
    assert again.is_duplicate is (mode is FOR_TIME)
    if mode is FOR_TIME:
        assert (again.job.id, again.job.state) == (first.id, state)
        line.clock.advance(3600)
        await line.add(deduplication=mode)


@any_mode
@pytest.mark.parametrize(("detour", "state"), DETOURS.values(), ids=DETOURS)
async def test_a_holder_that_comes_back_holds_its_key(
    line: Line, mode: Deduplication, detour: Way, state: JobState
) -> None:
    first = await line.add_active(deduplication=mode)
    await detour(line, first)
    assert (await line.read(first)).state is state
    again = await line.put(line.make(deduplication=mode))
    assert (again.is_duplicate, again.job.id) == (True, first.id)


@any_mode
async def test_obliterating_a_queue_frees_its_keys(line: Line, mode: Deduplication) -> None:
    await line.add(deduplication=mode)
    await line.repository.obliterate(line.queue, force=True)
    await line.add(deduplication=mode)


# ── one that follows an active one ───────────────────────────────────────────────────────────────


async def _holder_and_follower(line: Line) -> tuple[Job, Job]:
    holder = await line.add_active(payload="holder", deduplication=KEEP_LAST)
    follower = await line.add(payload="follower", deduplication=KEEP_LAST)
    assert (follower.state, follower.depends_on) == (JobState.BLOCKED, (holder.id,))
    return holder, follower


FOLLOWER_ENDS = {**PENDING_ENDS, **PENDING_REMOVALS}


@pytest.mark.parametrize("end", FOLLOWER_ENDS.values(), ids=FOLLOWER_ENDS)
async def test_when_the_follower_is_gone_the_next_one_follows_the_active_holder(
    line: Line, end: Way
) -> None:
    holder, follower = await _holder_and_follower(line)
    for _ in range(2):
        await end(line, follower)
        await _housekeeping(line)
        follower = await line.add(payload="next", deduplication=KEEP_LAST)
        assert (follower.state, follower.depends_on) == (JobState.BLOCKED, (holder.id,))
        assert ids(await _runnable(line)) == [holder.id]
    await line.settle(holder, completed())
    assert ids(await _runnable(line)) == [follower.id]


@any_mode
@pytest.mark.parametrize("end", FOLLOWER_ENDS.values(), ids=FOLLOWER_ENDS)
async def test_when_the_follower_is_gone_every_mode_meets_the_active_holder(
    line: Line, end: Way, mode: Deduplication
) -> None:
    holder, follower = await _holder_and_follower(line)
    await end(line, follower)
    await _housekeeping(line)
    answer = await line.put(line.make(deduplication=mode))
    if mode is KEEP_LAST:
        assert answer.job.depends_on == (holder.id,)
    else:
        assert (answer.is_duplicate, answer.job.id) == (True, holder.id)
    assert ids(await _runnable(line)) == [holder.id]


@pytest.mark.parametrize(("detour", "state"), DETOURS.values(), ids=DETOURS)
@pytest.mark.parametrize("end", [_cancel, _expire, _remove])
@pytest.mark.parametrize("is_detour_first", [False, True])
async def test_when_the_holder_is_back_in_line_and_the_follower_gone_the_holder_is_replaced(
    line: Line, end: Way, detour: Way, state: JobState, is_detour_first: bool
) -> None:
    holder, follower = await _holder_and_follower(line)
    steps = [(detour, holder), (end, follower)]
    for step, job in steps if is_detour_first else reversed(steps):
        await step(line, job)
    await _housekeeping(line)
    answer = await line.put(line.make(payload="new", deduplication=KEEP_LAST))
    assert (answer.is_duplicate, answer.job.id) == (True, holder.id)
    assert (answer.job.payload, answer.job.state) == ("new", state)
    assert ids(await _runnable(line)) == [holder.id]


@pytest.mark.parametrize("end_of_follower", [_cancel, _expire, _remove])
@pytest.mark.parametrize("end_of_holder", ACTIVE_ENDS.values(), ids=ACTIVE_ENDS)
@pytest.mark.parametrize("is_holder_first", [False, True])
async def test_when_both_are_gone_the_key_is_free(
    line: Line, end_of_follower: Way, end_of_holder: Way, is_holder_first: bool
) -> None:
    holder, follower = await _holder_and_follower(line)
    steps = [(end_of_holder, holder), (end_of_follower, follower)]
    for step, job in steps if is_holder_first else reversed(steps):
        await step(line, job)
    await _housekeeping(line)
    new = await line.add(deduplication=KEEP_LAST)
    assert new.state is JobState.WAITING
    assert ids(await _runnable(line)) == [new.id]


@pytest.mark.parametrize("end_of_holder", ACTIVE_ENDS.values(), ids=ACTIVE_ENDS)
async def test_when_the_holder_is_gone_the_follower_holds_the_key(
    line: Line, end_of_holder: Way
) -> None:
    holder, follower = await _holder_and_follower(line)
    await end_of_holder(line, holder)
    await _housekeeping(line)
    answer = await line.put(line.make(payload="new", deduplication=KEEP_LAST))
    assert (answer.is_duplicate, answer.job.id, answer.job.payload) == (True, follower.id, "new")
    assert ids(await _runnable(line)) == [follower.id]


# ── retried by hand ──────────────────────────────────────────────────────────────────────────────


async def _retry(line: Line, job: Job) -> bool:
    job = await line.read(job)
    [at] = await line.repository.apply([job.retry(fresh_attempts=True)])
    if at is None:
        assert await line.read(job) == job
    return at is not None


FINAL_STATES = {**ACTIVE_ENDS, **PENDING_ENDS}


@any_mode
@pytest.mark.parametrize("end", FINAL_STATES.values(), ids=FINAL_STATES)
async def test_a_retried_job_holds_its_key_again(line: Line, mode: Deduplication, end: Way) -> None:
    first = await line.add(deduplication=mode)
    if end in ACTIVE_ENDS.values():
        first = await line.claim_one()
    await end(line, first)
    await _housekeeping(line)
    assert await _retry(line, first)
    again = await line.put(line.make(deduplication=mode))
    assert (again.is_duplicate, again.job.id) == (True, first.id)
    assert ids(await _runnable(line)) == [first.id]


@any_mode
@pytest.mark.parametrize("is_active", [False, True])
async def test_a_job_whose_key_another_one_holds_is_not_retried(
    line: Line, mode: Deduplication, is_active: bool
) -> None:
    first = await line.settle(await line.add_active(deduplication=mode), FAILED)
    line.clock.advance(3600)
    second = await line.add(deduplication=mode)
    if is_active:
        second = await line.claim_one()
    assert not await _retry(line, first)
    assert ids(await _runnable(line)) == [second.id]


@any_mode
async def test_when_the_other_one_has_ended_the_job_is_retried_and_no_third_is_accepted(
    line: Line, mode: Deduplication
) -> None:
    first = await line.settle(await line.add_active(deduplication=mode), FAILED)
    line.clock.advance(3600)
    second = await line.settle(await line.add_active(deduplication=mode), completed())
    assert await _retry(line, first)
    third = await line.put(line.make(deduplication=mode))
    holder = second if mode is FOR_TIME else first
    assert (third.is_duplicate, third.job.id) == (True, holder.id)
    assert ids(await _runnable(line)) == [first.id]
    await line.settle(await line.claim_one(), completed())
    assert (await line.put(line.make(deduplication=mode))).is_duplicate is (mode is FOR_TIME)


@pytest.mark.parametrize("end", PENDING_ENDS.values(), ids=PENDING_ENDS)
async def test_a_follower_is_not_retried_while_the_one_before_runs(line: Line, end: Way) -> None:
    holder, follower = await _holder_and_follower(line)
    await end(line, follower)
    assert not await _retry(line, follower)
    await line.settle(holder, completed())
    assert await _retry(line, follower)
    answer = await line.put(line.make(deduplication=KEEP_LAST))
    assert (answer.is_duplicate, answer.job.id) == (True, follower.id)


async def test_a_holder_is_not_retried_while_its_follower_has_not_ended(line: Line) -> None:
    holder, follower = await _holder_and_follower(line)
    await line.settle(holder, FAILED)
    assert not await _retry(line, holder)
    assert ids(await _runnable(line)) == [follower.id]
    assert await line.claim_one() == await line.read(follower)
    assert not await _retry(line, holder)


async def test_jobs_without_keys_and_with_different_ones_are_retried_together(line: Line) -> None:
    jobs = []
    for key in (None, "one", "two", "one"):
        rule = None if key is None else Deduplication.while_unfinished(key)
        jobs.append(await line.settle(await line.add_active(deduplication=rule), FAILED))
    moves = [job.retry(fresh_attempts=True) for job in jobs]
    answers = await line.repository.apply(moves)
    assert [at is not None for at in answers] == [True, True, True, False]
    found = await line.repository.find(line.queue, ALL_STATES)
    assert [job.state for job in found] == [JobState.WAITING] * 3 + [JobState.FAILED]
