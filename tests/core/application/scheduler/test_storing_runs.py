"""Interceptors around the jobs of schedules."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest

from enfila.core.application.ports.interceptor import Interceptor
from enfila.core.domain.job.job import Job
from enfila.core.domain.schedule.rules.misfire import Misfire
from enfila.core.domain.schedule.rules.overlap import Overlap
from enfila.core.domain.schedule.runs.run import RunState, ScheduleRun
from tests.core.application.scheduler.stage import Stage, told_times


class Tenants(Interceptor):
    """Notes the tenant; refuses the jobs of one schedule."""

    def __init__(self, refused: str | None = None) -> None:
        self.refused = refused
        self.writes: list[list[str | None]] = []

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        if any(job.schedule_id == self.refused for job in jobs):
            raise PermissionError("not this one")
        yield [job.annotated(tenant="acme", metadata={"trace": "x"}) for job in jobs]
        self.writes.append([job.schedule_id for job in jobs])


@pytest.fixture
def tenants(stage: Stage) -> Tenants:
    interceptor = Tenants()
    stage.interceptors.register(interceptor)
    return interceptor


def tenants_of(runs: Sequence[ScheduleRun]) -> list[str | None]:
    return [None if run.job is None else run.job.tenant for run in runs]


async def test_the_jobs_of_ticks_are_annotated(stage: Stage, tenants: Tenants) -> None:
    await stage.create("one", misfire=Misfire("all"))
    await stage.create("two")
    await stage.tick(120)
    runs = await stage.runs()
    assert tenants_of(runs) == ["acme", "acme"]
    assert None not in told_times(runs)  # their own metadata is still there
    assert sorted(tenants.writes[0], key=str) == ["one", "one", "two"]


async def test_a_tick_that_is_skipped_has_no_job_to_annotate(
    stage: Stage, tenants: Tenants
) -> None:
    await stage.create(overlap=Overlap.SKIP)
    await stage.tick()
    await stage.tick()
    assert await stage.states() == [RunState.WAITING, RunState.SKIPPED]
    assert tenants.writes == [["one"]]


async def test_a_refusal_is_shown_on_its_schedule_alone(stage: Stage) -> None:
    stage.interceptors.register(Tenants(refused="one"))
    await stage.create("one")
    await stage.create("two")
    await stage.tick()
    assert await stage.runs("one") == []
    assert tenants_of(await stage.runs("two")) == ["acme"]
    statistics = (await stage.schedules.get("one")).statistics
    assert statistics.last_error == "PermissionError: not this one"


async def test_manual_runs_and_backfills_are_annotated(stage: Stage, tenants: Tenants) -> None:
    await stage.create()
    stage.clock.advance(600)
    await stage.schedules.run_now("one", by="ada")
    end = stage.clock.now()
    await stage.schedules.backfill("one", end - timedelta(minutes=3), end, by="ada")
    assert tenants_of(await stage.runs()) == ["acme"] * 4
    assert tenants.writes == [["one"], ["one"] * 3]


async def test_a_refused_manual_run_is_told_to_who_wanted_it(stage: Stage) -> None:
    stage.interceptors.register(Tenants(refused="one"))
    await stage.create()
    with pytest.raises(PermissionError):
        await stage.schedules.run_now("one", by="ada")
    assert await stage.runs() == []
