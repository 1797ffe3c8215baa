"""How schedules learn what became of their runs."""

from datetime import timedelta

import pytest

from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.running.outcome import Completed
from enfila.core.domain.json_document import JsonDocument
from enfila.core.domain.schedule.events import ScheduleRunEnded
from enfila.core.domain.schedule.runs.run import ItemCounts, RunState
from enfila.core.domain.schedule.runs.statistics import RunStatus
from enfila.core.domain.schedule.state import ScheduleState
from enfila.core.domain.schedule.triggers.interval import AfterCompletion
from tests.contract.building import FAILED
from tests.core.application.scheduler.stage import Stage, at, forget_zone


async def test_a_schedule_shows_its_last_run_and_counts(stage: Stage) -> None:
    await stage.create()
    for outcome, seconds in ((None, 3), (FAILED, 5)):
        await stage.tick(60 - stage.clock.now().second)
        job = await stage.claim()
        stage.clock.advance(seconds)
        await stage.settle(job, outcome)
        await stage.record()
    statistics = (await stage.schedules.get("one")).statistics
    assert (statistics.runs, statistics.successes, statistics.failures) == (2, 1, 1)
    assert statistics.last_status is RunStatus.FAILED
    assert statistics.last_duration == timedelta(seconds=5)
    assert statistics.last_error == "boom"
    assert [each.status for each in stage.heard(ScheduleRunEnded)] == ["completed", "failed"]


async def test_a_run_is_told_once_whatever_is_looked_at_again(stage: Stage) -> None:
    await stage.create()
    await stage.tick()
    await stage.settle(await stage.claim())
    for _ in range(3):
        await stage.record()
    assert (await stage.schedules.get("one")).statistics.runs == 1
    assert len(stage.heard(ScheduleRunEnded)) == 1


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "removed"])
async def test_the_next_tick_follows_the_end_of_the_run_however_it_ends(
    stage: Stage, end: str
) -> None:
    await stage.create(trigger=AfterCompletion(60))
    await stage.tick()
    assert (await stage.schedules.get("one")).state is ScheduleState.WAITING
    await stage.tick(3600)
    await stage.record()
    assert len(await stage.runs()) == 1
    [run] = await stage.runs()
    assert run.job is not None
    match end:
        case "completed":
            await stage.settle(await stage.claim())
        case "failed":
            await stage.settle(await stage.claim(), FAILED)
        case "cancelled":
            await stage.repository.apply([run.job.cancel("not wanted")])
        case _:
            await stage.repository.remove([run.job])
    await stage.record()
    assert (await stage.schedules.get("one")).next_run_at == at(stage.clock, seconds=60)
    await stage.tick()
    assert len(await stage.runs()) == 2


async def test_a_schedule_whose_zone_is_gone_hinders_no_other_and_is_told_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create("lost", trigger=AfterCompletion(60), time_zone="Europe/Berlin")
    await stage.create("good", trigger=AfterCompletion(60))
    await stage.tick()
    for _ in range(2):
        await stage.settle(await stage.claim())
    forget_zone(monkeypatch, "Europe/Berlin")
    await stage.record()
    assert (await stage.schedules.get("good")).state is ScheduleState.ACTIVE
    assert [during for _, during in stage.reported] == ["recording a run of schedule lost"]
    monkeypatch.undo()
    await stage.record()
    assert (await stage.schedules.get("lost")).state is ScheduleState.ACTIVE


async def test_an_outage_is_left_to_the_loop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.create()
    await stage.tick()
    await stage.settle(await stage.claim())

    async def out(_runs: object) -> object:
        raise RepositoryUnavailable("here", "gone")

    monkeypatch.setattr(stage.repository.storage.schedule_runs, "record", out)
    with pytest.raises(RepositoryUnavailable):
        await stage.record()
    monkeypatch.undo()
    await stage.record()
    assert (await stage.schedules.get("one")).statistics.runs == 1


async def test_a_handler_may_count_items(stage: Stage) -> None:
    await stage.create()
    await stage.tick()
    result = {"processed": 9, "succeeded": 8, "note": "fine"}
    await stage.settle(await stage.claim(), Completed(JsonDocument.of(result)))
    [run] = await stage.runs()
    assert run.items == ItemCounts(9, 8, None)
    assert run.state is RunState.COMPLETED
    assert ItemCounts.of({"processed": True}) is None
