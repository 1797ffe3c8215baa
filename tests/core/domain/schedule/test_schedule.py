"""The life of a schedule: ticks, edits, ends, failures, outcomes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from enfila.core.domain.errors import InvalidRequest, UnknownTimeZone
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.rules.jitter import jittered
from enfila.core.domain.schedule.rules.misfire import Misfire
from enfila.core.domain.schedule.rules.overlap import Overlap, OverlapDecision
from enfila.core.domain.schedule.rules.tick import Advance
from enfila.core.domain.schedule.runs.statistics import RunOutcome, RunStatus
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import FinishReason, Owner, ScheduleState
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.core.domain.schedule.triggers.once import Once
from enfila.core.domain.schedule.triggers.times_of_day import TimesOfDay
from enfila.core.domain.schedule.triggers.trigger import Trigger

NOON = datetime(2025, 3, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOURLY = ScheduleDefinition("report", Target.of("report:send", {"to": "ada"}), Cron("@hourly"))


def new(now: datetime = NOON, **changes: Any) -> Schedule:
    return Schedule.new(replace(HOURLY, **changes), now)


def due(schedule: Schedule, now: datetime) -> Advance:
    found = schedule.due(now)
    assert found is not None
    return found


def ticked(schedule: Schedule, now: datetime) -> Schedule:
    found = due(schedule, now)
    assert schedule.accepts(found)
    return schedule.after(found)


def ended(start: datetime, seconds: float = 30, error: str | None = None) -> RunOutcome:
    status = RunStatus.COMPLETED if error is None else RunStatus.FAILED
    return RunOutcome(status, start, start + timedelta(seconds=seconds), error)


# ── ticks ────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_due_before_the_next_time() -> None:
    schedule = new()
    assert schedule.next_run_at == NOON + 60 * MINUTE
    assert schedule.due(NOON + 59 * MINUTE) is None


def test_a_due_tick_moves_the_next_time_on() -> None:
    schedule = new()
    found = due(schedule, NOON + 61 * MINUTE)
    (tick,) = found.ticks
    assert (tick.nominal, tick.run_at) == (NOON + 60 * MINUTE,) * 2
    assert tick.previous is None
    assert tick.next == found.next_run_at == NOON + 120 * MINUTE
    after = schedule.after(found)
    assert (after.ticks_made, after.last_nominal, after.version) == (1, tick.nominal, 1)
    assert due(after, NOON + 120 * MINUTE).ticks[0].previous == tick.nominal


def test_an_advance_is_refused_once_another_process_has_applied_its_own() -> None:
    schedule = new()
    mine, theirs = (due(schedule, NOON + 61 * MINUTE) for _ in range(2))
    assert mine == theirs
    assert not schedule.after(theirs).accepts(mine)


def test_an_advance_is_refused_after_an_edit() -> None:
    schedule = new()
    found = due(schedule, NOON + 61 * MINUTE)
    for changed in (
        schedule.edited(HOURLY, NOON),
        schedule.disable("holidays"),
        schedule.disable("holidays").enable(NOON),
    ):
        assert not changed.accepts(found)


@given(
    st.lists(st.integers(-7_200, 20_000), min_size=1, max_size=30),
    st.sampled_from(["none", "latest", "all"]),
)
@settings(max_examples=40)
def test_no_tick_comes_twice_however_the_clock_jumps(steps: list[int], catch_up: str) -> None:
    schedule, now, seen = new(misfire=Misfire(catch_up)), NOON, list[datetime]()
    for position, step in enumerate(steps):
        now += timedelta(seconds=step)
        if position % 7 == 3:
            schedule = schedule.edited(HOURLY, now)
        if (found := schedule.due(now)) is not None:
            schedule = schedule.after(found)
            seen += [tick.nominal for tick in found.ticks]
    assert seen == sorted(set(seen))


def test_a_clock_that_steps_back_fires_nothing_again() -> None:
    schedule = ticked(new(), NOON + 61 * MINUTE)
    assert schedule.due(NOON + 30 * MINUTE) is None
    assert schedule.enable(NOON + 30 * MINUTE).next_run_at == NOON + 120 * MINUTE


def test_with_all_caught_up_no_tick_is_missing() -> None:
    schedule, seen = new(misfire=Misfire("all", cap=1_000)), list[datetime]()
    for hours in (1, 1.5, 4, 4.1, 30, 31):
        if (found := schedule.due(NOON + timedelta(hours=hours))) is not None:
            schedule = schedule.after(found)
            seen += [tick.nominal for tick in found.ticks]
    assert seen == [NOON + timedelta(hours=hour) for hour in range(1, 32)]


# ── edits ────────────────────────────────────────────────────────────────────────────────────


def test_an_edit_leaves_no_tick_of_the_old_rule() -> None:
    overdue = new()
    edited = overdue.edited(replace(HOURLY, trigger=TimesOfDay("18:30")), NOON + 90 * MINUTE)
    assert edited.version == 2
    assert edited.due(NOON + 90 * MINUTE) is None
    assert edited.next_run_at == datetime(2025, 3, 5, 18, 30, tzinfo=UTC)


def test_a_schedule_keeps_its_slug() -> None:
    with pytest.raises(InvalidRequest, match=r"slug: 'other' is not allowed; .* report"):
        new().edited(replace(HOURLY, slug="other"), NOON)


def test_a_disabled_schedule_rests_and_catches_nothing_up_when_enabled() -> None:
    disabled = new().disable("holidays")
    assert disabled.state is ScheduleState.DISABLED
    assert disabled.due(NOON + 500 * MINUTE) is None
    enabled = disabled.enable(NOON + 500 * MINUTE)
    assert enabled.state is ScheduleState.ACTIVE
    assert enabled.disabled_reason is None
    assert enabled.next_run_at == NOON + 540 * MINUTE


def test_a_schedule_may_be_created_disabled() -> None:
    schedule = Schedule.new(HOURLY, NOON, enabled=False)
    assert (schedule.next_run_at, schedule.state) == (None, ScheduleState.DISABLED)


# ── its end ──────────────────────────────────────────────────────────────────────────────────


def test_bounds_are_part_of_the_time_between_them() -> None:
    schedule = new(start_at=NOON + 120 * MINUTE, end_at=NOON + 180 * MINUTE)
    assert schedule.next_run_at == NOON + 120 * MINUTE
    schedule = ticked(schedule, NOON + 120 * MINUTE)
    assert schedule.next_run_at == NOON + 180 * MINUTE
    schedule = ticked(schedule, NOON + 180 * MINUTE)
    assert (schedule.finished, schedule.state) == (
        FinishReason.END_REACHED,
        ScheduleState.FINISHED,
    )
    assert schedule.due(NOON + 999 * MINUTE) is None


def test_the_last_of_its_runs_finishes_it_and_an_edit_wakes_it() -> None:
    schedule = ticked(new(max_runs=1), NOON + 61 * MINUTE)
    assert schedule.finished is FinishReason.OUT_OF_RUNS
    assert schedule.enable(NOON + 61 * MINUTE).state is ScheduleState.FINISHED
    more = schedule.edited(replace(HOURLY, max_runs=2), NOON + 61 * MINUTE)
    assert (more.state, more.next_run_at) == (ScheduleState.ACTIVE, NOON + 120 * MINUTE)


def test_once_is_finished_when_it_has_run() -> None:
    schedule = ticked(new(trigger=Once(NOON + MINUTE)), NOON + 2 * MINUTE)
    assert schedule.finished is FinishReason.NO_MORE_TIMES


# ── after completion ─────────────────────────────────────────────────────────────────────────


def test_a_pause_after_completion_waits_for_the_end_of_the_run() -> None:
    schedule = new(trigger=AfterCompletion(60))
    assert schedule.next_run_at == NOON + MINUTE
    schedule = ticked(schedule, NOON + MINUTE)
    assert (schedule.state, schedule.next_run_at) == (ScheduleState.WAITING, None)
    schedule = schedule.run_ended(ended(NOON + MINUTE, seconds=600, error="boom"))
    assert schedule.next_run_at == NOON + 12 * MINUTE


def test_an_edit_while_it_runs_waits_for_the_end_all_the_same() -> None:
    running = ticked(new(trigger=AfterCompletion(60)), NOON + MINUTE)
    longer = replace(running.definition, trigger=AfterCompletion(120))
    edited = running.edited(longer, NOON + 2 * MINUTE)
    assert (edited.version, edited.next_run_at) == (running.version + 1, None)
    after = edited.run_ended(ended(NOON + MINUTE, seconds=600))
    assert after.next_run_at == NOON + 13 * MINUTE
    hourly = replace(running.definition, trigger=Interval(3600))
    assert running.edited(hourly, NOON + 2 * MINUTE).next_run_at is not None


def test_one_that_is_enabled_while_it_runs_waits_for_the_end() -> None:
    running = ticked(new(trigger=AfterCompletion(60)), NOON + MINUTE)
    rested = running.disable("by hand")
    enabled = rested.enable(NOON + 2 * MINUTE, is_running=True)
    assert (enabled.state, enabled.next_run_at) == (ScheduleState.WAITING, None)
    assert rested.enable(NOON + 2 * MINUTE).next_run_at == NOON + 3 * MINUTE


@pytest.mark.parametrize(
    "trigger", [Interval(60), Cron("* * * * *"), Once(NOON + MINUTE), AfterCompletion(30)]
)
def test_an_edit_waits_for_the_run_of_any_older_rule(trigger: Trigger) -> None:
    running = ticked(new(trigger=trigger), NOON + MINUTE)
    other = replace(running.definition, trigger=AfterCompletion(60))
    edited = running.edited(other, NOON + 2 * MINUTE, is_running=True)
    assert (edited.state, edited.next_run_at) == (ScheduleState.WAITING, None)
    assert edited.run_ended(ended(NOON + MINUTE), is_last=False).next_run_at is None
    after = edited.run_ended(ended(NOON + MINUTE, seconds=600))
    assert after.next_run_at == NOON + 12 * MINUTE
    # Disabled in between, and enabled again.
    enabled = edited.disable("by hand").enable(NOON + 3 * MINUTE, is_running=True)
    assert (enabled.state, enabled.next_run_at) == (ScheduleState.WAITING, None)
    rested = running.disable("by hand").edited(other, NOON + 2 * MINUTE, is_running=True)
    assert rested.state is ScheduleState.DISABLED
    assert rested.enable(NOON + 3 * MINUTE, is_running=True).state is ScheduleState.WAITING
    assert rested.enable(NOON + 3 * MINUTE).next_run_at == NOON + 4 * MINUTE


def test_an_edit_while_it_runs_finishes_what_has_no_more_times() -> None:
    running = ticked(new(trigger=Interval(60)), NOON + MINUTE)
    other = replace(running.definition, trigger=AfterCompletion(60))
    over = running.edited(replace(other, end_at=NOON), NOON + 2 * MINUTE, is_running=True)
    assert over.finished is FinishReason.END_REACHED
    spent = running.edited(replace(other, max_runs=1), NOON + 2 * MINUTE, is_running=True)
    assert spent.finished is FinishReason.OUT_OF_RUNS
    often = running.edited(replace(other, trigger=Interval(30)), NOON + 2 * MINUTE, is_running=True)
    assert often.state is ScheduleState.ACTIVE


def test_a_tick_dropped_as_too_late_does_not_wait_for_a_run() -> None:
    schedule = new(trigger=AfterCompletion(60), misfire=Misfire("none"))
    found = due(schedule, NOON + 30 * MINUTE)
    assert (found.ticks, found.next_run_at) == ((), NOON + 31 * MINUTE)


# ── failures and outcomes ────────────────────────────────────────────────────────────────────


def test_an_enqueue_that_fails_is_tried_again_and_then_disables() -> None:
    schedule, now = new(), NOON + 60 * MINUTE
    for failure in range(1, 5):
        schedule = schedule.enqueue_failed("no such queue", now)
        assert schedule.enqueue_failures == failure
        assert schedule.due(now) is None
        assert schedule.wake_at is not None
        now = schedule.wake_at
        assert due(schedule, now).ticks[0].nominal == NOON + 60 * MINUTE
    assert now == NOON + 60 * MINUTE + timedelta(seconds=5 + 10 + 20 + 40)
    schedule = schedule.enqueue_failed("no such queue", now)
    assert schedule.state is ScheduleState.DISABLED
    assert schedule.disabled_reason == (
        "its job could not be added 5 times in a row: no such queue"
    )
    assert schedule.statistics.last_error == "no such queue"


def test_a_success_forgets_the_failures_before_it() -> None:
    failed = new().enqueue_failed("busy", NOON + 60 * MINUTE)
    assert ticked(failed, NOON + 70 * MINUTE).enqueue_failures == 0


def test_outcomes_are_counted_in_any_order() -> None:
    later, earlier = ended(NOON + MINUTE), ended(NOON, error="boom")
    schedule = new().run_ended(later).run_ended(earlier)
    told = schedule.statistics
    assert (told.runs, told.successes, told.failures) == (2, 1, 1)
    assert (told.last_run_at, told.last_status) == (NOON + MINUTE, RunStatus.COMPLETED)
    failed = schedule.run_ended(ended(NOON + 2 * MINUTE, seconds=7, error="boom")).statistics
    assert (failed.last_error, failed.last_duration) == ("boom", timedelta(seconds=7))
    cancelled = RunOutcome(RunStatus.CANCELLED, NOON, NOON)
    assert failed.after_run(cancelled).consecutive_failures == failed.consecutive_failures == 2
    assert failed.after_run(later).consecutive_failures == 0


# ── overlap and jitter ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("overlap", "running", "waiting", "decision"),
    [
        (Overlap.ALLOW, 3, 0, OverlapDecision.ENQUEUE),
        (Overlap.SKIP, 0, 0, OverlapDecision.ENQUEUE),
        (Overlap.SKIP, 1, 0, OverlapDecision.SKIP),
        (Overlap.QUEUE_ONE, 0, 0, OverlapDecision.ENQUEUE),
        (Overlap.QUEUE_ONE, 1, 0, OverlapDecision.ENQUEUE_BEHIND),
        (Overlap.QUEUE_ONE, 1, 1, OverlapDecision.SKIP),
        (Overlap.CANCEL_OLD, 0, 0, OverlapDecision.ENQUEUE),
        (Overlap.CANCEL_OLD, 1, 0, OverlapDecision.CANCEL_AND_ENQUEUE),
    ],
)
def test_what_a_tick_does_while_a_run_goes_on(
    overlap: Overlap, running: int, waiting: int, decision: OverlapDecision
) -> None:
    schedule = new(overlap=overlap)
    assert schedule.decide_overlap(running=running, waiting=waiting) is decision


def test_jitter_is_the_same_in_every_process_and_other_for_every_slug() -> None:
    jitter, following = timedelta(minutes=10), NOON + 60 * MINUTE
    moved = [jittered(f"report-{number}", NOON, following, jitter) for number in range(50)]
    assert moved[0].isoformat() == "2025-03-05T12:03:04.620081+00:00"
    assert all(NOON <= each < NOON + jitter for each in moved)
    assert len(set(moved)) == 50


def test_jitter_never_reaches_the_next_tick() -> None:
    schedule = new(trigger=Interval(2), jitter=timedelta(hours=1), misfire=Misfire("all"))
    for tick in due(schedule, NOON + MINUTE).ticks:
        assert tick.next is not None
        assert tick.nominal <= tick.run_at < tick.next


# ── zones that change, storage, bad input ────────────────────────────────────────────────────


def test_recomputing_finds_the_time_that_the_zone_has_now() -> None:
    schedule = new(trigger=TimesOfDay("12:00"), time_zone="America/Sao_Paulo")
    stale = replace(schedule, next_run_at=NOON + 120 * MINUTE)
    assert stale.recomputed(NOON).next_run_at == NOON + 180 * MINUTE
    overdue = replace(schedule, next_run_at=NOON - MINUTE)
    assert overdue.recomputed(NOON) == overdue
    assert [tick.nominal for tick in due(overdue, NOON).ticks] == [NOON - MINUTE]


def test_a_schedule_whose_zone_was_removed_is_read_and_says_so_when_it_is_due() -> None:
    stored = new().to_document()
    stored["definition"]["time_zone"] = "America/Atlantis"
    schedule = Schedule.from_document(stored)
    with pytest.raises(UnknownTimeZone, match="America/Atlantis"):
        schedule.due(NOON + 61 * MINUTE)


def test_a_schedule_survives_storage_as_json() -> None:
    schedule = new(
        target=Target.of("send", [1, {"ä": None}], JobOptions(attempts=3, timeout=5), "mail"),
        trigger=Interval(60, NOON),
        time_zone="Asia/Kathmandu",
        start_at=NOON,
        end_at=NOON + 99 * MINUTE,
        max_runs=7,
        misfire=Misfire("all", 30, 5),
        overlap=Overlap.QUEUE_ONE,
        jitter=timedelta(seconds=2.5),
        owner=Owner.CODE,
        name="The report",
    )
    schedule = ticked(schedule, NOON + MINUTE).run_ended(ended(NOON, error="boom"))
    for each in (
        schedule,
        schedule.enqueue_failed("busy", NOON),
        ticked(new(max_runs=1), NOON + 61 * MINUTE),
    ):
        assert Schedule.from_document(json.loads(json.dumps(each.to_document()))) == each


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slug": "No Capitals"}, r"slug: 'No Capitals' .* small letters"),
        ({"slug": ""}, r"slug: ''"),
        ({"slug": "a" * 101}, r"slug: .* 1 to 100"),
        ({"name": "x" * 256}, r"name: .* at most 255"),
        ({"description": "\x00"}, r"description: .* none of them NUL"),
        ({"trigger": "@daily"}, r"trigger: '@daily' .* cron, interval, after_completion"),
        ({"overlap": "sometimes"}, r"overlap: 'sometimes' .* allow, skip, queue_one, cancel_old"),
        ({"max_runs": 0}, r"max_runs: 0 .* from 1 to"),
        ({"jitter": timedelta(seconds=-1)}, r"jitter: "),
        ({"start_at": datetime(2025, 1, 1)}, r"start_at: .* aware"),  # noqa: DTZ001
        (
            {"start_at": NOON, "end_at": NOON - MINUTE},
            r"end_at: '2025-03-05T11:59:00\+00:00' is not allowed; give 2025-03-05T12:00",
        ),
        ({"time_zone": "Europe/Berlln"}, r"time_zone: .* did you mean 'Europe/Berlin'"),
    ],
)
def test_a_wrong_definition_is_refused_in_one_sentence(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        new(**changes)


def test_a_target_says_what_runs_and_not_when() -> None:
    with pytest.raises(InvalidRequest, match=r"target\.options: .* leave out delay"):
        Target.of("send", options=JobOptions(delay=5))
    with pytest.raises(InvalidRequest, match=r"target\.payload: .* give JSON"):
        Target.of("send", {1: 2})
    with pytest.raises(InvalidRequest, match=r"target\.job_type: ''"):
        Target.of("")
