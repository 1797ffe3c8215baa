"""Next times that are looked up anew."""

from datetime import timedelta

import pytest

from enfila.core.application.scheduler.ticks.recomputing import Recomputing
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import ScheduleState
from enfila.core.domain.schedule.triggers.interval import AfterCompletion
from tests.core.application.scheduler.stage import Stage, at, forget_zone


async def recompute(stage: Stage) -> list[str]:
    """One round; during what something was reported."""
    reported: list[str] = []
    storage = stage.repository.storage
    recomputing = Recomputing(
        storage.schedules,
        storage.schedule_runs,
        report=lambda _error, during: reported.append(during),
    )
    while await recomputing.recompute():
        pass
    return reported


async def shift(stage: Stage, slug: str, length: timedelta) -> None:
    """Has the next time be another one, as it was under old rules of the zone."""

    def shifted(schedule: Schedule, _now: object) -> Schedule:
        assert schedule.next_run_at is not None
        schedule.next_run_at += length
        return schedule

    await stage.repository.storage.schedules.change(slug, shifted)


async def test_next_times_follow_the_newest_rules_of_the_zone(stage: Stage) -> None:
    right = stage.clock.now().replace(hour=12)
    for number in range(501):
        await stage.create(f"s{number:03}", trigger="0 12 * * *")
        await shift(stage, f"s{number:03}", timedelta(hours=1))
    assert await recompute(stage) == []
    assert {each.next_run_at for each in await stage.schedules.all()} == {right}


async def test_a_due_tick_stays_due(stage: Stage) -> None:
    await stage.create()
    stage.clock.advance(90)
    await recompute(stage)
    await stage.tick(0)
    assert len(await stage.runs()) == 1


async def test_a_zone_that_is_gone_is_reported_and_hinders_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create("a", trigger="0 12 * * *", time_zone="Europe/Berlin")
    right = (await stage.create("b", trigger="0 12 * * *")).next_run_at
    await shift(stage, "b", timedelta(hours=1))
    forget_zone(monkeypatch, "Europe/Berlin")
    assert await recompute(stage) == ["looking at schedule a"]
    assert (await stage.schedules.get("b")).next_run_at == right


async def test_a_schedule_that_waits_for_nothing_goes_on(stage: Stage) -> None:
    await stage.create(trigger=AfterCompletion(60), overlap="skip")
    await stage.tick()
    await recompute(stage)
    assert (await stage.schedules.get("one")).state is ScheduleState.WAITING
    await stage.settle(await stage.claim())
    await recompute(stage)
    assert (await stage.schedules.get("one")).next_run_at == at(stage.clock, seconds=60)
