"""The contract of `IJobTypeRepository`. Names are of one test alone: tables outlive a test."""

import asyncio
from datetime import timedelta

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics
from enfila.testing import FrozenClock
from tests.contract.conftest import Connect


@pytest.fixture
def name(queue: str) -> str:
    return f"type-{queue}"


async def stored(repository: IJobRepository, name: str) -> JobTypeInfo:
    info = await repository.storage.job_types.get(name)
    assert info is not None
    return info


async def test_a_type_is_stored_as_it_was_declared(
    repository: IJobRepository, clock: FrozenClock, name: str
) -> None:
    options = JobOptions(attempts=3, backoff=Backoff.exponential(1, jitter=0.5), timeout=60)
    pipeline = JobType(
        name=name,
        queue="ünï 🎉",
        options=options,
        max_concurrency=2,
        display_name="The pipeline",
        description="Two\nlines",
        enabled=False,
    )
    await repository.storage.job_types.declare([pipeline])
    assert await stored(repository, name) == JobTypeInfo(pipeline, clock.now())


async def test_there_may_be_nothing_to_declare_and_nothing_to_find(
    repository: IJobRepository, name: str
) -> None:
    await repository.storage.job_types.declare([])
    await repository.storage.job_types.count_runs({})
    assert await repository.storage.job_types.get(name) is None
    assert await repository.storage.job_types.remove(name) is False
    assert await repository.storage.job_types.set_enabled(name, enabled=False) is False


async def test_types_are_listed_by_name(repository: IJobRepository, name: str) -> None:
    names = [f"{name}{ending}" for ending in ("b", "B", "-", "ä", "a")]
    await repository.storage.job_types.declare([JobType(name=each) for each in names])
    found = [each.name for each in await repository.storage.job_types.all() if each.name in names]
    assert found == sorted(names)


async def test_a_new_declaration_replaces_the_definition(
    repository: IJobRepository, clock: FrozenClock, name: str
) -> None:
    await repository.storage.job_types.declare([JobType(name=name, queue="old", max_concurrency=1)])
    clock.advance(60)
    newest = JobType(name=name, queue="new", options=JobOptions(attempts=9), description="More")
    await repository.storage.job_types.declare([newest])
    assert await stored(repository, name) == JobTypeInfo(newest, clock.now())


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_new_declaration_leaves_it_as_people_set_it(
    repository: IJobRepository, name: str, enabled: bool
) -> None:
    await repository.storage.job_types.declare([JobType(name=name, enabled=not enabled)])
    assert await repository.storage.job_types.set_enabled(name, enabled=enabled) is True
    await repository.storage.job_types.declare([JobType(name=name, enabled=not enabled)])
    assert (await stored(repository, name)).is_enabled is enabled


async def test_setting_what_is_set_already_changes_nothing(
    repository: IJobRepository, name: str
) -> None:
    await repository.storage.job_types.declare([JobType(name=name)])
    before = await stored(repository, name)
    assert await repository.storage.job_types.set_enabled(name, enabled=True) is True
    assert await stored(repository, name) == before


async def test_runs_are_added_up(repository: IJobRepository, clock: FrozenClock, name: str) -> None:
    now, earlier = clock.now(), clock.now() - timedelta(minutes=1)
    await repository.storage.job_types.declare([JobType(name=name), JobType(name=f"{name}-other")])
    parts = [
        RunStatistics(3, 2, 1, now, AttemptOutcome.FAILED),
        RunStatistics(1, 1, 0, earlier, AttemptOutcome.COMPLETED),
        RunStatistics(1, 0, 0, now, AttemptOutcome.CANCELLED),
    ]
    for part in parts:
        await repository.storage.job_types.count_runs({name: part, "never declared": part})
    await repository.storage.job_types.declare([JobType(name=name, queue="moved")])
    total = RunStatistics(5, 3, 1, now, AttemptOutcome.CANCELLED)
    assert (await stored(repository, name)).statistics == total
    assert (await stored(repository, f"{name}-other")).statistics == RunStatistics()


async def test_no_run_is_lost_when_many_processes_count_at_once(
    connect: Connect, name: str
) -> None:
    processes = [await connect() for _ in range(4)]
    names = [f"{name}{number}" for number in range(3)]
    one = RunStatistics(1, 1, 0)

    async def work(process: IJobRepository, order: list[str]) -> None:
        await process.storage.job_types.declare([JobType(name=each) for each in order])
        await process.storage.job_types.count_runs(dict.fromkeys(order, one))

    orders = [names, names[::-1], names[1:] + names[:1], names]
    await asyncio.gather(*map(work, processes, orders))
    counted = [(await stored(processes[0], each)).statistics.runs for each in names]
    assert counted == [4, 4, 4]


async def test_a_type_that_is_removed_begins_anew(repository: IJobRepository, name: str) -> None:
    await repository.storage.job_types.declare([JobType(name=name)])
    await repository.storage.job_types.set_enabled(name, enabled=False)
    await repository.storage.job_types.count_runs({name: RunStatistics(1, 1)})
    assert await repository.storage.job_types.remove(name) is True
    assert await repository.storage.job_types.get(name) is None
    await repository.storage.job_types.declare([JobType(name=name)])
    info = await stored(repository, name)
    assert (info.is_enabled, info.statistics) == (True, RunStatistics())


async def test_another_process_sees_it(connect: Connect, name: str) -> None:
    one, other = await connect(), await connect()
    await one.storage.job_types.declare([JobType(name=name)])
    await other.storage.job_types.set_enabled(name, enabled=False)
    assert (await stored(one, name)).is_enabled is False
