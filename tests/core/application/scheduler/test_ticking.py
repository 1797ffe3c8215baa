"""What becomes of due schedules."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from enfila.core.application.ports.schedule_repository import ScheduleStep
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.state import JobState
from enfila.core.domain.schedule.events import (
    ScheduleFailed,
    ScheduleFinished,
    ScheduleTargetMissing,
    ScheduleTicked,
    ScheduleTicksDropped,
    ScheduleTickSkipped,
)
from enfila.core.domain.schedule.rules.misfire import Misfire
from enfila.core.domain.schedule.runs.run import RunState
from enfila.core.domain.schedule.scheduled_for import ScheduledFor
from enfila.core.domain.schedule.state import ScheduleState
from enfila.core.domain.schedule.triggers.interval import Interval
from tests.core.application.scheduler.stage import POLL, QUEUE, Stage, at, forget_zone, told_times

ALL = Misfire("all")
MINUTE = timedelta(minutes=1)


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_job_is_told_its_tick_and_the_ticks_around_it(stage: Stage) -> None:
    await stage.create(options=JobOptions(metadata={"tenant": "a"}), misfire=ALL)
    first = at(stage.clock, minutes=1)
    await stage.tick(120)
    runs = await stage.runs()
    assert told_times(runs) == [
        ScheduledFor("one", first, None, first + MINUTE),
        ScheduledFor("one", first + MINUTE, first, first + 2 * MINUTE),
    ]
    job = runs[0].job
    assert job is not None
    assert (job.schedule_id, job.options.metadata["tenant"]) == ("one", "a")
    assert stage.heard(ScheduleTicked)[0].job_id == job.id


async def test_a_job_has_the_queue_and_the_options_of_its_type(stage: Stage) -> None:
    @stage.types.job("biz:pipeline", queue=QUEUE, attempts=5, timeout=60, priority=3)
    async def pipeline(to: str) -> None: ...

    await stage.repository.storage.job_types.declare(list(stage.types))
    options = JobOptions(priority=1)
    await stage.create(job="biz:pipeline", queue=None, payload={"to": "ada"}, options=options)
    await stage.tick()
    [run] = await stage.runs()
    assert run.job is not None
    assert (run.job.queue, run.job.name, run.job.payload) == (QUEUE, "biz:pipeline", {"to": "ada"})
    assert (run.job.max_attempts, run.job.priority) == (5, 1)
    assert run.job.options.timeout == MINUTE


async def test_a_type_that_nobody_declares_any_more_is_reported_and_its_job_waits(
    stage: Stage,
) -> None:
    @stage.types.job("biz:pipeline")
    async def pipeline() -> None: ...

    await stage.create(job="biz:pipeline", queue=None)
    await stage.repository.storage.job_types.remove("biz:pipeline")
    await stage.tick()
    [run] = await stage.runs()
    assert run.state is RunState.WAITING
    assert run.job is not None
    assert run.job.queue == "default"
    [missing] = stage.heard(ScheduleTargetMissing)
    assert (missing.slug, missing.job_type) == ("one", "biz:pipeline")


async def test_jitter_delays_the_job_and_not_its_nominal_time(stage: Stage) -> None:
    await stage.create(jitter=30)
    nominal = at(stage.clock, minutes=1)
    await stage.tick()
    [run] = await stage.runs()
    assert run.nominal == nominal
    assert run.job is not None
    assert nominal < run.job.run_at < nominal + timedelta(seconds=30)
    assert run.state is RunState.DELAYED


# ── time ─────────────────────────────────────────────────────────────────────────────────────


async def test_it_sleeps_until_the_next_due_time_but_not_longer_than_the_poll(
    stage: Stage,
) -> None:
    assert await stage.ticking.tick_due() is False
    assert stage.ticking.wait == POLL
    await stage.create(trigger=Interval(3600))
    assert await stage.ticking.tick_due() is False
    assert stage.ticking.wait == POLL
    await stage.tick(3590)
    assert stage.ticking.wait == timedelta(seconds=10)
    await stage.tick(10)
    assert stage.ticking.wait == POLL


async def test_more_schedules_than_a_batch_all_tick(stage: Stage) -> None:
    slugs = [(await stage.create(f"s{number}")).slug for number in range(25)]
    await stage.tick()
    assert [await stage.states(slug) for slug in slugs] == [[RunState.WAITING]] * 25


async def test_dropped_ticks_are_told(stage: Stage) -> None:
    await stage.create()
    await stage.tick(300)
    assert len(await stage.runs()) == 1
    [event] = stage.heard(ScheduleTicksDropped)
    assert (event.dropped.count, event.dropped.first) == (4, at(stage.clock, minutes=-4))


async def test_the_last_tick_is_told_and_the_schedule_stays_visible(stage: Stage) -> None:
    await stage.create(max_runs=2)
    for _ in range(3):
        await stage.tick()
    assert len(await stage.runs()) == 2
    assert len(stage.heard(ScheduleFinished)) == 1
    assert (await stage.schedules.get("one")).state is ScheduleState.FINISHED


async def test_a_clock_that_steps_back_fires_no_tick_again(stage: Stage) -> None:
    await stage.create()
    await stage.tick(60)
    stage.clock._now -= timedelta(hours=1)  # noqa: SLF001 - it only moves forward by itself
    await stage.tick(0)
    await stage.tick(3600)
    assert len(await stage.runs()) == 1
    await stage.tick(60)
    assert len(await stage.runs()) == 2


# ── overlap ──────────────────────────────────────────────────────────────────────────────────


async def test_overlapping_runs_may_go_on_beside_each_other(stage: Stage) -> None:
    await stage.create()
    await stage.tick()
    await stage.tick()
    assert await stage.states() == [RunState.WAITING] * 2


async def test_a_tick_is_skipped_while_a_run_goes_on(stage: Stage) -> None:
    await stage.create(overlap="skip")
    await stage.tick()
    job = await stage.claim()
    await stage.tick()
    assert await stage.states() == [RunState.ACTIVE, RunState.SKIPPED]
    assert len(stage.heard(ScheduleTickSkipped)) == 1
    await stage.settle(job)
    await stage.tick()
    assert await stage.states() == [RunState.COMPLETED, RunState.SKIPPED, RunState.WAITING]


async def test_one_tick_queues_behind_a_run_that_goes_on(stage: Stage) -> None:
    await stage.create(overlap="queue_one")
    await stage.tick()
    job = await stage.claim()
    await stage.tick()
    await stage.tick()
    assert await stage.states() == [RunState.ACTIVE, RunState.BLOCKED, RunState.SKIPPED]
    await stage.settle(job)
    assert (await stage.states())[1] is RunState.WAITING


async def test_ticks_that_are_caught_up_together_count_for_each_other(stage: Stage) -> None:
    await stage.create("queued", overlap="queue_one", misfire=ALL)
    await stage.create("skipped", overlap="skip", misfire=ALL)
    await stage.create("replaced", overlap="cancel_old", misfire=ALL)
    await stage.tick(180)
    waiting, blocked, skipped = RunState.WAITING, RunState.BLOCKED, RunState.SKIPPED
    assert await stage.states("queued") == [waiting, blocked, skipped]
    assert await stage.states("skipped") == [waiting, skipped, skipped]
    assert await stage.states("replaced") == [skipped, skipped, waiting]


async def test_a_new_tick_cancels_the_old_run(stage: Stage) -> None:
    await stage.create(overlap="cancel_old")
    await stage.tick()
    await stage.tick()
    assert await stage.states() == [RunState.CANCELLED, RunState.WAITING]
    job = await stage.claim()
    await stage.tick()
    assert await stage.states() == [RunState.CANCELLED, RunState.ACTIVE, RunState.WAITING]
    active = (await stage.repository.get([job.id]))[job.id]
    assert active.cancel_requested
    assert active.cancel_reason == "replaced by a newer run of schedule one"


async def test_a_slower_process_does_not_cancel_what_a_quicker_one_began(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create(overlap="cancel_old")
    await stage.tick()
    quicker = Stage()
    quicker.repository, slow_look = (
        stage.repository,
        stage.repository.storage.schedule_runs.unfinished_jobs,
    )

    async def look_after_the_other(slugs: Sequence[str]) -> object:
        monkeypatch.undo()
        await stage.tick(0)
        return await slow_look(slugs)

    monkeypatch.setattr(
        stage.repository.storage.schedule_runs, "unfinished_jobs", look_after_the_other
    )
    await stage.tick()
    assert await stage.states() == [RunState.CANCELLED, RunState.WAITING]


# ── failures ─────────────────────────────────────────────────────────────────────────────────


class _Refusing:
    """A database that refuses the jobs of one schedule."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, slug: str = "bad") -> None:
        tick = stage.repository.storage.schedules.tick

        async def refuse(steps: Sequence[ScheduleStep]) -> list[bool]:
            if any(step.advance.slug == slug for step in steps):
                raise ValueError("the row is refused")
            return await tick(steps)

        monkeypatch.setattr(stage.repository.storage.schedules, "tick", refuse)


async def test_an_enqueue_that_fails_is_shown_and_retried_and_hinders_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slug in ("bad", "good", "other"):
        await stage.create(slug)
    with monkeypatch.context() as patch:
        _Refusing(stage, patch)
        await stage.tick()
        assert await stage.states("good") == await stage.states("other") == [RunState.WAITING]
        bad = await stage.schedules.get("bad")
        assert bad.statistics.last_error == "ValueError: the row is refused"
        assert bad.retry_at == at(stage.clock, seconds=5)
        assert [(each.slug, each.failures) for each in stage.heard(ScheduleFailed)] == [("bad", 1)]
    await stage.tick(4)
    assert await stage.states("bad") == []
    await stage.tick(1)
    assert await stage.states("bad") == [RunState.WAITING]
    assert (await stage.schedules.get("bad")).enqueue_failures == 0


async def test_after_so_many_failures_a_schedule_is_disabled_with_the_reason(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create("bad")
    _Refusing(stage, monkeypatch)
    for _ in range(4):
        await stage.tick()
    bad = await stage.schedules.get("bad")
    assert bad.state is ScheduleState.DISABLED
    assert bad.disabled_reason == (
        "its job could not be added 3 times in a row: ValueError: the row is refused"
    )
    assert [each.is_disabled for each in stage.heard(ScheduleFailed)] == [False, False, True]


async def test_a_zone_that_was_removed_is_shown_on_its_schedule(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create("lost", trigger="* * * * *", time_zone="Europe/Berlin")
    await stage.create("good")
    forget_zone(monkeypatch, "Europe/Berlin")
    await stage.tick()
    assert await stage.states("good") == [RunState.WAITING]
    lost = await stage.schedules.get("lost")
    assert "UnknownTimeZone: time_zone: 'Europe/Berlin'" in (lost.statistics.last_error or "")
    monkeypatch.undo()
    await stage.tick(5)
    assert await stage.states("lost") == [RunState.WAITING]


async def test_an_outage_of_the_database_counts_for_no_schedule(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create()
    with monkeypatch.context() as patch:

        async def out(_steps: object) -> list[bool]:
            raise RepositoryUnavailable("here", "gone")

        patch.setattr(stage.repository.storage.schedules, "tick", out)
        with pytest.raises(RepositoryUnavailable):
            await stage.tick()
    assert (await stage.schedules.get("one")).enqueue_failures == 0
    await stage.tick(0)
    assert await stage.states() == [RunState.WAITING]


async def test_a_failure_that_several_processes_meet_counts_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create("bad")
    _Refusing(stage, monkeypatch)
    due = stage.repository.storage.schedules.due
    stage.clock.advance(60)
    seen = await due(10)

    async def as_before(_limit: int) -> object:
        monkeypatch.setattr(stage.repository.storage.schedules, "due", due)
        return seen

    await stage.tick(0)
    monkeypatch.setattr(stage.repository.storage.schedules, "due", as_before)
    await stage.tick(0)
    assert (await stage.schedules.get("bad")).enqueue_failures == 1


async def test_a_job_that_moves_meanwhile_is_looked_at_again_before_it_is_cancelled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create(overlap="cancel_old")
    await stage.tick()
    apply = stage.repository.apply

    async def claimed_meanwhile(transitions: Sequence[object]) -> object:
        monkeypatch.setattr(stage.repository, "apply", apply)
        claimed.append(await stage.claim())
        return [None]

    claimed: list[Job] = []
    monkeypatch.setattr(stage.repository, "apply", claimed_meanwhile)
    await stage.tick()
    assert claimed[0].state is JobState.ACTIVE
    assert (await stage.repository.get([claimed[0].id]))[claimed[0].id].cancel_requested
