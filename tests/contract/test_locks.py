"""Locks, stalls, and what only the holder of the current token may write."""

import asyncio
from datetime import timedelta

import pytest

from enfila.core.application.ports.job_reader import LogLine, Overdue
from enfila.core.domain.job.identity import LockToken
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.lock import Extension
from enfila.core.domain.job.running.outcome import Cancelled, Released
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import JsonDocument
from tests.contract.building import LOCK, Line, completed, ids, lock_of, make_job

MINUTE = timedelta(minutes=1)


def say(
    job: Job, *lines: str, progress: object = None, keep_logs: int | None = None
) -> ProgressUpdate:
    """A report of the holder of `job`."""
    document = None if progress is None else JsonDocument.of(progress)
    return ProgressUpdate(job.id, job.token, job.attempt, document, lines, keep_logs)


# ── extending ────────────────────────────────────────────────────────────────────────────────


async def test_an_extended_lock_holds_from_now_on(line: Line) -> None:
    job = await line.add_active()
    line.clock.advance(20)
    [extension] = await line.repository.extend([lock_of(job)], MINUTE)
    assert extension == Extension(job.id, is_held=True)
    assert (await line.read(job)).locked_until == line.clock.now() + MINUTE


async def test_an_extended_job_does_not_stall(line: Line) -> None:
    job = await line.add_active()
    for _ in range(5):
        line.clock.advance(LOCK * 0.9)
        await line.repository.extend([lock_of(job)], LOCK)
        assert await line.repository.overdue(line.queue, Overdue.STALLED, 10) == []
        assert await line.claim() == []


async def test_a_lock_that_ran_out_is_extended_while_nobody_took_the_job(line: Line) -> None:
    job = await line.add_active()
    line.clock.advance(LOCK * 3)
    [extension] = await line.repository.extend([lock_of(job)], LOCK)
    assert extension.is_held
    assert await line.repository.overdue(line.queue, Overdue.STALLED, 10) == []


async def test_a_lost_lock_is_not_extended_and_its_holder_is_told(line: Line) -> None:
    old = await line.add_active()
    await line.move(old, old.stall(max_stalled_count=1))
    current = await line.claim_one()
    assert await line.repository.extend([lock_of(old)], MINUTE) == [
        Extension(old.id, is_held=False)
    ]
    assert await line.read(old) == current


@pytest.mark.parametrize("end", ["settled", "released", "removed"])
async def test_a_lock_ends_with_its_run(line: Line, end: str) -> None:
    job = await line.add_active()
    after = await line.settle(job, Released() if end == "released" else completed())
    if end == "removed":
        await line.repository.remove([after])
    [extension] = await line.repository.extend([lock_of(job)], MINUTE)
    assert not extension.is_held


async def test_the_extensions_stand_in_the_order_of_the_locks(line: Line) -> None:
    await line.add_many(4)
    jobs = await line.claim()
    await line.settle(jobs[1], completed())
    await line.repository.request_cancellation(jobs[3].id, "stop")
    locks = [lock_of(jobs[place]) for place in (3, 1, 0, 2)]
    assert await line.repository.extend(locks, MINUTE) == [
        Extension(jobs[3].id, is_held=True, cancel_requested=True, cancel_reason="stop"),
        Extension(jobs[1].id, is_held=False),
        Extension(jobs[0].id, is_held=True),
        Extension(jobs[2].id, is_held=True),
    ]


async def test_extending_nothing_is_allowed(line: Line) -> None:
    assert await line.repository.extend([], MINUTE) == []


# ── asking for cancellation ──────────────────────────────────────────────────────────────────


async def test_the_renewal_of_a_lock_reads_a_request_for_cancellation(line: Line) -> None:
    job = await line.add_active()
    assert await line.repository.request_cancellation(job.id, "wrong address: ünï '%s'")
    [extension] = await line.repository.extend([lock_of(job)], LOCK)
    assert extension.cancel_requested
    assert extension.cancel_reason == "wrong address: ünï '%s'"
    asked = await line.read(job)
    assert (asked.state, asked.cancel_requested) == (JobState.ACTIVE, True)
    after = await line.settle(asked, Cancelled("stopped"))
    assert (after.state, after.cancel_reason) == (JobState.CANCELLED, "stopped")


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.ACTIVE])
async def test_only_an_active_job_is_asked(line: Line, state: JobState) -> None:
    job = await line.add_in(state)
    assert not await line.repository.request_cancellation(job.id, "stop")
    assert await line.read(job) == job


async def test_an_unknown_job_is_not_asked(line: Line) -> None:
    job = make_job(line.queue, clock=line.clock)
    assert not await line.repository.request_cancellation(job.id, "stop")


async def test_a_request_survives_a_run_that_did_not_know_of_it(line: Line) -> None:
    """The worker decided to give the job back before it read the request."""
    job = await line.add_active()
    await line.repository.request_cancellation(job.id, "stop")
    [written_at] = await line.repository.apply([job.settle(Released())])
    assert written_at is not None
    again = await line.claim_one()
    assert (again.cancel_requested, again.cancel_reason) == (True, "stop")


# ── stalls ───────────────────────────────────────────────────────────────────────────────────


async def test_a_job_is_stalled_once_its_lock_has_run_out(line: Line) -> None:
    job = await line.add_active()
    line.clock.advance(LOCK - timedelta(microseconds=1))
    assert await line.repository.overdue(line.queue, Overdue.STALLED, 10) == []
    line.clock.advance(timedelta(microseconds=2))
    assert await line.repository.overdue(line.queue, Overdue.STALLED, 10) == [job]


async def test_a_stalled_job_returns_to_its_queue(line: Line) -> None:
    job = await line.add_active()
    line.clock.advance(LOCK * 2)
    [stalled] = await line.repository.overdue(line.queue, Overdue.STALLED, 10)
    after = await line.move(stalled, stalled.stall(max_stalled_count=1))
    assert (after.state, after.stalled_count) == (JobState.WAITING, 1)
    again = await line.claim_one()
    assert (again.id, again.attempt, again.token) == (job.id, 1, 2)


async def test_too_many_stalls_fail_a_job(line: Line) -> None:
    job = await line.add_active(attempts=10)
    for _ in range(2):
        line.clock.advance(LOCK * 2)
        [stalled] = await line.repository.overdue(line.queue, Overdue.STALLED, 10)
        await line.move(stalled, stalled.stall(max_stalled_count=1))
        await line.claim()
    after = await line.read(job)
    assert (after.state, after.stalled_count) == (JobState.FAILED, 2)
    assert after.error is not None
    assert "stalled 2 times" in after.error.message


async def test_one_of_several_that_recover_a_stalled_job_succeeds(line: Line) -> None:
    await line.add_active()
    line.clock.advance(LOCK * 2)
    [stalled] = await line.repository.overdue(line.queue, Overdue.STALLED, 10)
    transition = stalled.stall(max_stalled_count=5)
    answers = await asyncio.gather(*(line.repository.apply([transition]) for _ in range(4)))
    assert sum(answer != [None] for answer in answers) == 1
    assert (await line.read(stalled)).stalled_count == 1


async def test_a_holder_that_extends_in_time_defeats_its_recovery_only_by_its_lock(
    line: Line,
) -> None:
    """A recovery is decided on state and token: whoever looks must find the lock run out."""
    job = await line.add_active()
    line.clock.advance(LOCK * 2)
    await line.repository.extend([lock_of(job)], LOCK)
    assert await line.repository.overdue(line.queue, Overdue.STALLED, 10) == []


# ── reporting ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("progress", [0, 50, 99.5, "halfway 🎉", {"done": 3, "of": [4]}])
async def test_the_last_progress_is_stored(line: Line, progress: object) -> None:
    job = await line.add_active()
    assert await line.repository.update_progress([say(job, progress=1)]) == [True]
    assert await line.repository.update_progress([say(job, progress=progress)]) == [True]
    assert (await line.read(job)).progress == progress


async def test_a_report_without_progress_leaves_the_last_one(line: Line) -> None:
    job = await line.add_active()
    await line.repository.update_progress([say(job, progress=7)])
    await line.repository.update_progress([say(job, "still at it")])
    assert (await line.read(job)).progress == 7


async def test_progress_outlives_the_run(line: Line) -> None:
    job = await line.add_active()
    await line.repository.update_progress([say(job, progress=7)])
    await line.repository.apply([job.settle(completed())])
    assert (await line.read(job)).progress == 7


async def test_log_lines_keep_their_order(line: Line) -> None:
    job = await line.add_active()
    first_at = line.clock.now()
    await line.repository.update_progress([say(job, "one", "two")])
    line.clock.advance(1)
    await line.repository.update_progress([say(job, "ünï 🎉 %s 'x'")])
    assert await line.repository.logs(job.id) == [
        LogLine(first_at, 1, "one"),
        LogLine(first_at, 1, "two"),
        LogLine(line.clock.now(), 1, "ünï 🎉 %s 'x'"),
    ]


async def test_log_lines_come_in_pages(line: Line) -> None:
    job = await line.add_active()
    await line.repository.update_progress([say(job, *(str(number) for number in range(10)))])
    page = await line.repository.logs(job.id, limit=3, offset=4)
    assert [entry.line for entry in page] == ["4", "5", "6"]
    assert await line.repository.logs(job.id, offset=10) == []


async def test_log_lines_tell_their_attempt(line: Line) -> None:
    job = await line.add_active(attempts=2)
    await line.repository.update_progress([say(job, "first")])
    await line.move(job, job.settle(completed()))
    after = await line.read(job)
    await line.move(after, after.retry(fresh_attempts=False))
    job = await line.claim_one()
    await line.repository.update_progress([say(job, "second")])
    logs = await line.repository.logs(job.id)
    assert [(entry.attempt, entry.line) for entry in logs] == [(1, "first"), (2, "second")]


async def test_only_the_newest_log_lines_are_kept_if_asked(line: Line) -> None:
    job = await line.add_active()
    other = await line.add_active()
    await line.repository.update_progress([say(other, "untouched", "too")])
    await line.repository.update_progress([say(job, "1", "2", keep_logs=3)])
    await line.repository.update_progress([say(job, "3", "4", keep_logs=3)])
    assert [entry.line for entry in await line.repository.logs(job.id)] == ["2", "3", "4"]
    await line.repository.update_progress([say(job, "5", "6", "7", "8", keep_logs=2)])
    assert [entry.line for entry in await line.repository.logs(job.id)] == ["7", "8"]
    await line.repository.update_progress([say(job, "9", keep_logs=0)])
    assert await line.repository.logs(job.id) == []
    assert len(await line.repository.logs(other.id)) == 2


async def test_of_a_report_with_an_old_token_nothing_is_stored(line: Line) -> None:
    old = await line.add_active()
    await line.move(old, old.stall(max_stalled_count=1))
    current = await line.claim_one()
    assert await line.repository.update_progress([say(old, "late", progress=99)]) == [False]
    assert await line.read(old) == current
    assert await line.repository.logs(old.id) == []


async def test_a_job_that_is_not_active_takes_no_report(line: Line) -> None:
    job = await line.add_active()
    after = await line.settle(job, completed())
    unclaimed = await line.add()
    unknown = make_job(line.queue, clock=line.clock)
    reports = [say(job, "late", progress=99), say(unclaimed, "early"), say(unknown, "who?")]
    assert await line.repository.update_progress(reports) == [False, False, False]
    assert await line.read(job) == after
    assert await line.repository.logs(job.id) == []
    assert await line.repository.logs(unclaimed.id) == []
    assert await line.repository.logs(unknown.id) == []


async def test_the_answers_stand_in_the_order_of_the_reports(line: Line) -> None:
    await line.add_many(4)
    jobs = await line.claim()
    await line.settle(jobs[1], completed())
    reports = [
        say(jobs[3], "3", progress=3),
        say(jobs[1], "1", progress=1),
        say(jobs[0], progress=0),
        say(jobs[2], "2a", "2b"),
    ]
    assert await line.repository.update_progress(reports) == [True, False, True, True]
    assert [(await line.read(job)).progress for job in jobs] == [0, None, None, 3]
    assert [entry.line for entry in await line.repository.logs(jobs[2].id)] == ["2a", "2b"]


async def test_one_job_may_report_twice_in_one_call(line: Line) -> None:
    job = await line.add_active()
    reports = [say(job, "a", progress=1), say(job, "b", progress=2), say(job, "c")]
    assert await line.repository.update_progress(reports) == [True, True, True]
    assert (await line.read(job)).progress == 2
    assert [entry.line for entry in await line.repository.logs(job.id)] == ["a", "b", "c"]


async def test_reporting_nothing_is_allowed(line: Line) -> None:
    assert await line.repository.update_progress([]) == []


async def test_a_token_of_the_future_is_no_better_than_an_old_one(line: Line) -> None:
    job = await line.add_active()
    forged = ProgressUpdate(job.id, LockToken(job.token + 1), 1, JsonDocument.of(1))
    assert await line.repository.update_progress([forged]) == [False]


async def test_a_run_that_was_given_back_is_told_to_stop(line: Line) -> None:
    job = await line.add_active()
    await line.settle(job, Released())
    [extension] = await line.repository.extend([lock_of(job)], LOCK)
    assert not extension.is_held
    assert await line.repository.update_progress([say(job, progress=1)]) == [False]
    assert ids(await line.claim()) == [job.id]
