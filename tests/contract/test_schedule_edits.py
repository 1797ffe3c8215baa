"""An edit while a run goes on: what counts from the end of runs waits for it, whoever made it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

import pytest

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.scheduler.managing.schedules import Schedules
from enfila.core.application.scheduler.managing.target_check import TargetCheck
from enfila.core.domain.errors import ScheduleChanged
from enfila.core.domain.schedule.rules.overlap import Overlap
from enfila.core.domain.schedule.runs.run import NewRun, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import Owner, ScheduleState
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.core.domain.schedule.triggers.trigger import Trigger
from enfila.testing import FrozenClock
from tests.contract.building import Line, completed
from tests.contract.scheduling import MINUTE, Board

NEW = AfterCompletion(60)
Change = Callable[[Schedules, Schedule], Awaitable[object]]


@pytest.fixture
def board(repository: IJobRepository, clock: FrozenClock, queue: str) -> Board:
    return Board(repository, clock, queue)


@pytest.fixture
def schedules(board: Board) -> Schedules:
    storage = board.repository.storage
    targets = TargetCheck(JobTypeRegistry(), storage.job_types)
    return Schedules(board.repository, targets, InProcessWakeUp())


# ── what an edit is told ─────────────────────────────────────────────────────────────────────


async def is_running(board: Board, slug: str) -> bool:
    told: list[bool] = []

    def decide(standing: Schedule, now: datetime, is_running: bool) -> Schedule:
        assert now == board.clock.now()
        told[:] = [is_running]
        return standing

    assert await board.repository.storage.schedules.edit(slug, decide) is not None
    return told[0]


async def test_an_edit_is_told_whether_a_run_goes_on(board: Board) -> None:
    schedule = await board.insert()
    other = await board.insert("other")
    assert not await is_running(board, schedule.slug)
    board.clock.advance(60)
    run = await board.tick(schedule)
    assert await is_running(board, schedule.slug)
    assert not await is_running(board, other.slug)
    job = await Line(board.repository, board.clock, board.prefix).claim_one()
    assert await is_running(board, schedule.slug)
    _ = await Line(board.repository, board.clock, board.prefix).settle(job, completed())
    assert not await is_running(board, schedule.slug)
    assert await board.repository.storage.schedule_runs.record(await board.ended()) == {run.id}
    assert not await is_running(board, schedule.slug)


async def test_a_run_by_hand_goes_on_too_and_a_removed_one_does_not(board: Board) -> None:
    schedule = await board.insert()
    run = await board.run(schedule.slug)
    assert await is_running(board, schedule.slug)
    assert run.job is not None
    await board.repository.remove([run.job])
    assert not await is_running(board, schedule.slug)
    skipped = NewRun(board.clock.now() + MINUTE, None)
    assert await board.repository.storage.schedule_runs.add(schedule.slug, [skipped]) == [True]
    assert not await is_running(board, schedule.slug)


async def test_there_is_no_editing_what_is_not_there(board: Board) -> None:
    def never(standing: Schedule, now: datetime, is_running: bool) -> Schedule:
        raise AssertionError

    assert await board.repository.storage.schedules.edit(f"{board.prefix}-none", never) is None


async def test_what_the_decision_raises_is_raised_and_nothing_written(board: Board) -> None:
    schedule = await board.insert()

    def refuse(standing: Schedule, now: datetime, is_running: bool) -> Schedule:
        raise ScheduleChanged(standing.slug, 1, 2)

    with pytest.raises(ScheduleChanged):
        await board.repository.storage.schedules.edit(schedule.slug, refuse)
    assert await board.read(schedule.slug) == schedule


# ── a schedule that is changed to count from the end of runs ─────────────────────────────────


async def update(schedules: Schedules, schedule: Schedule) -> None:
    changed = replace(schedule.definition, trigger=NEW)
    _ = await schedules.update(changed, version=(await schedules.get(schedule.slug)).version)


async def sync(schedules: Schedules, schedule: Schedule) -> None:
    await schedules.sync([replace(schedule.definition, trigger=NEW)], source=schedule.slug[:100])


async def update_at_rest(schedules: Schedules, schedule: Schedule) -> None:
    """Disabled, changed, and enabled again."""
    _ = await schedules.disable(schedule.slug)
    await update(schedules, schedule)
    _ = await schedules.enable(schedule.slug)


async def change_and_rest(schedules: Schedules, schedule: Schedule) -> None:
    """Changed, disabled, and enabled again."""
    await update(schedules, schedule)
    _ = await schedules.disable(schedule.slug)
    _ = await schedules.enable(schedule.slug)


async def there_and_back(schedules: Schedules, schedule: Schedule) -> None:
    """Changed to the new rule, to the old one, and to the new one again."""
    await update(schedules, schedule)
    version = (await schedules.get(schedule.slug)).version
    _ = await schedules.update(schedule.definition, version=version)
    await update(schedules, schedule)


@pytest.mark.parametrize("change", [update, sync, update_at_rest, change_and_rest, there_and_back])
@pytest.mark.parametrize(
    "old", [Interval(60), Cron("* * * * *"), AfterCompletion(1)], ids=["every", "cron", "after"]
)
async def test_the_next_run_waits_for_the_one_that_goes_on(
    board: Board, schedules: Schedules, old: Trigger, change: Change
) -> None:
    slug = f"{board.prefix}-one"
    owned = {"owner": Owner.CODE, "source": slug} if change is sync else {}
    schedule = await board.insert(trigger=old, overlap=Overlap.ALLOW, **owned)
    board.clock.advance(60)
    run = await board.tick(schedule)
    await change(schedules, schedule)
    changed = await board.read(slug)
    assert isinstance(changed.definition.trigger, AfterCompletion)
    assert (changed.state, changed.next_run_at) == (ScheduleState.WAITING, None)
    board.clock.advance(600)
    assert await board.due() == []  # for as long as it takes
    await end(board, run)
    assert (await board.read(slug)).next_run_at == board.clock.now() + MINUTE
    board.clock.advance(60)
    assert [each.slug for each in await board.due()] == [slug]


async def test_without_a_run_it_counts_from_the_edit(board: Board, schedules: Schedules) -> None:
    schedule = await board.insert()
    board.clock.advance(60)
    run = await board.tick(schedule)
    await end(board, run)
    board.clock.advance(10)
    await update(schedules, schedule)
    assert (await board.read(schedule.slug)).next_run_at == board.clock.now() + MINUTE


async def test_it_waits_for_the_last_of_several(board: Board, schedules: Schedules) -> None:
    schedule = await board.insert()
    runs = []
    for _ in range(3):
        board.clock.advance(60)
        runs.append(await board.tick(await board.read(schedule.slug)))
    await update(schedules, schedule)
    for run in runs:
        assert (await board.read(schedule.slug)).state is ScheduleState.WAITING
        await end(board, run)
    assert (await board.read(schedule.slug)).next_run_at == board.clock.now() + MINUTE


async def test_an_older_plan_of_a_tick_is_stale_after_the_edit(
    board: Board, schedules: Schedules
) -> None:
    schedule = await board.insert()
    board.clock.advance(60)
    planned = board.step(schedule)
    run = await board.run(schedule.slug)
    await update(schedules, schedule)
    assert await board.repository.storage.schedules.tick([planned]) == [False]
    assert [each.id for each in await board.runs(schedule.slug)] == [run.id]
    assert (await board.read(schedule.slug)).state is ScheduleState.WAITING


async def end(board: Board, run: ScheduleRun) -> None:
    """The job of a run is done, and its schedule is told."""
    await board.complete(run)
    assert await board.repository.storage.schedule_runs.record(await board.ended()) == {run.id}
