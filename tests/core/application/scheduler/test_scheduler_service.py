"""The life of a scheduler, and several of them on one store."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from enfila.core.application.ports.wake_up import ALL_SCHEDULES, Hint
from enfila.core.application.scheduler.scheduler_options import SchedulerOptions
from enfila.core.application.scheduler.scheduler_service import SchedulerService
from enfila.core.domain.errors import (
    AlreadyClosed,
    AlreadyRunning,
    InvalidRequest,
    RepositoryUnavailable,
)
from enfila.core.domain.events import Event
from enfila.core.domain.job.state import JobState
from enfila.core.domain.schedule.rules.misfire import Misfire
from enfila.core.domain.schedule.triggers.interval import AfterCompletion
from tests.core.application.scheduler.stage import QUEUE, Stage

MakeScheduler = Callable[..., SchedulerService]
PATIENCE = 10


@pytest.fixture
async def make_scheduler(stage: Stage) -> AsyncIterator[MakeScheduler]:
    """Makes schedulers that look only when they are told to; keywords are options."""
    async with AsyncExitStack() as stack:

        def make(**options: Any) -> SchedulerService:
            chosen = {"poll_interval": 3600, "record_interval": 3600, **options}
            scheduler = SchedulerService(
                stage.repository, stage.wake_up, SchedulerOptions(**chosen), clock=stage.clock
            )
            stack.push_async_callback(scheduler.close)
            return scheduler

        yield make


def heard(scheduler: SchedulerService, name: Any) -> asyncio.Future[Event]:
    """The next event of this name; from now on, whenever it is awaited."""
    arrived: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
    scheduler.once(name, arrived.set_result)
    return asyncio.ensure_future(asyncio.wait_for(arrived, PATIENCE))


async def until(condition: Callable[[], bool], stage: Stage) -> None:
    """Lets others work until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            stage.wake_up.hint(ALL_SCHEDULES, Hint.SCHEDULES)
            await asyncio.sleep(0)


async def test_it_is_woken_by_an_edit_and_ticks_when_time_has_come(
    stage: Stage, make_scheduler: MakeScheduler
) -> None:
    async with make_scheduler() as scheduler:
        ticked = heard(scheduler, "schedule.ticked")
        await stage.create(overlap="skip")
        stage.clock.advance(60)
        stage.wake_up.hint(ALL_SCHEDULES, Hint.SCHEDULES)
        await ticked
    assert len(await stage.runs()) == 1


async def test_it_wakes_by_itself_at_the_due_time(
    stage: Stage, make_scheduler: MakeScheduler
) -> None:
    """The wait is real time, so the clock stands a moment before the tick."""
    await stage.create()
    stage.clock.advance(59.95)
    waited = asyncio.get_running_loop().time()
    async with make_scheduler() as scheduler:
        due = heard(scheduler, "schedule.ticked")
        asyncio.get_running_loop().call_later(0.04, stage.clock.advance, 0.05)
        await due
    assert asyncio.get_running_loop().time() - waited < 1


async def test_workers_of_this_process_are_told_of_its_jobs(
    stage: Stage, make_scheduler: MakeScheduler
) -> None:
    jobs = stage.wake_up.listen(QUEUE, Hint.JOBS)
    await stage.create()
    stage.clock.advance(60)
    async with make_scheduler():
        await asyncio.wait_for(jobs.wait(), PATIENCE)


async def test_the_end_of_a_run_has_the_next_one_aimed_at(
    stage: Stage, make_scheduler: MakeScheduler
) -> None:
    await stage.create(trigger=AfterCompletion(60))
    await stage.tick()
    await stage.settle(await stage.claim())
    async with make_scheduler(record_interval=0.01) as scheduler:
        await heard(scheduler, "schedule.run_ended")
        stage.clock.advance(60)
        ticked = heard(scheduler, "schedule.ticked")
        stage.wake_up.hint(ALL_SCHEDULES, Hint.SCHEDULES)
        await ticked


async def test_it_runs_once(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    await scheduler.start()
    with pytest.raises(AlreadyRunning):
        await scheduler.start()
    await asyncio.gather(scheduler.close(), scheduler.close())
    assert not scheduler.is_running
    with pytest.raises(AlreadyClosed):
        await scheduler.start()


async def test_run_goes_on_until_it_is_closed(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler(handle_signals=False)
    ready, running = (
        heard(scheduler, "scheduler.ready"),
        asyncio.create_task(scheduler.run()),
    )
    await ready
    assert not running.done()
    await scheduler.close()
    await running


async def test_cancelling_run_closes_it(make_scheduler: MakeScheduler) -> None:
    scheduler = make_scheduler()
    ready = heard(scheduler, "scheduler.ready")
    running = asyncio.create_task(scheduler.run())
    await ready
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not scheduler.is_running


async def test_an_outage_is_reported_once_and_then_it_goes_on(
    stage: Stage, make_scheduler: MakeScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.create()
    stage.clock.advance(60)
    due, tries = stage.repository.storage.schedules.due, 0

    async def away(limit: int) -> object:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise RepositoryUnavailable("here", "gone")
        return await due(limit)

    monkeypatch.setattr(stage.repository.storage.schedules, "due", away)
    scheduler = make_scheduler()
    errors: list[Any] = []
    scheduler.on("scheduler.error", errors.append)
    ticked = heard(scheduler, "schedule.ticked")
    async with scheduler:
        await ticked
    assert [each.during for each in errors] == ["ticking"]


async def test_old_runs_are_forgotten_and_next_times_looked_up_at_the_start(
    stage: Stage, make_scheduler: MakeScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await stage.create("rule", trigger="0 12 * * *")
    moved = created.next_run_at
    assert moved is not None
    rule = stage.memory.storage.store.schedules["rule"]
    rule.next_run_at = moved + timedelta(hours=1)
    await stage.create()
    await stage.tick()
    await stage.settle(await stage.claim())
    await stage.record()
    stage.clock.advance(3600)
    forgotten: list[int] = []
    forget = stage.repository.storage.schedule_runs.forget

    async def counted(older_than: timedelta, limit: int) -> int:
        forgotten.append(await forget(older_than, limit))
        return forgotten[-1]

    monkeypatch.setattr(stage.repository.storage.schedule_runs, "forget", counted)
    async with make_scheduler(keep_runs=60):
        await until(lambda: bool(forgotten), stage)
        rules = stage.memory.storage.store.schedules
        await until(lambda: rules["rule"].next_run_at == moved, stage)
    assert forgotten[0] == 1


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"poll_interval": 0}, {"most_enqueue_failures": 0}]
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(wrong))):
        SchedulerOptions(**wrong)


# ── several ──────────────────────────────────────────────────────────────────────────────────


async def test_several_schedulers_make_each_tick_once(
    stage: Stage, make_scheduler: MakeScheduler
) -> None:
    slugs = [
        (await stage.create(f"s{number}", misfire=Misfire("all"))).slug for number in range(20)
    ]
    schedulers = [make_scheduler(batch=7) for _ in range(4)]
    for scheduler in schedulers:
        await scheduler.start()
    for minutes in range(1, 31):
        stage.clock.advance(60)
        await until(partial(have_run, stage, 20 * minutes), stage)
    for slug in slugs:
        nominal = [run.nominal for run in await stage.runs(slug)]
        assert nominal == [
            stage.clock.now() - timedelta(minutes=number) for number in range(29, -1, -1)
        ]


async def test_no_tick_of_the_old_rule_is_made_after_an_edit_under_load(
    stage: Stage, make_scheduler: MakeScheduler
) -> None:
    """Edits, disables and deletes meet schedules that are due, with other schedulers at work."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    schedulers = [make_scheduler(batch=3) for _ in range(3)]
    for scheduler in schedulers:
        await scheduler.start()
    for number in range(60):
        await stage.create(f"s{number}", payload="old")
    made: dict[str, int] = {}
    stage.clock.advance(60)
    stage.wake_up.hint(ALL_SCHEDULES, Hint.SCHEDULES)
    kinds = Counter[str]()
    for number in chance.sample(range(60), 60):
        slug, kind = f"s{number}", chance.choice(["edit", "disable", "delete"])
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        kinds[kind] += 1
        if kind == "edit":
            new = stage.schedules.define(slug, "noop", "@yearly", "new", queue=QUEUE)
            await stage.schedules.update(new, version=1)
        elif kind == "disable":
            await stage.schedules.disable(slug)
        else:
            await stage.schedules.delete(slug)
        made[slug] = await count_of(stage, slug)
    stage.clock.advance(600)
    for _ in range(100):
        stage.wake_up.hint(ALL_SCHEDULES, Hint.SCHEDULES)
        await asyncio.sleep(0)
    after = {slug: await count_of(stage, slug) for slug in made}
    assert after == made, f"seed {seed}"
    assert len(kinds) == 3


def have_run(stage: Stage, count: int) -> bool:
    """Whether there are so many runs."""
    return len(stage.memory.storage.store.schedule_runs) >= count


async def count_of(stage: Stage, slug: str) -> int:
    """How many jobs a schedule has made; they outlive it."""
    jobs = await stage.repository.find(QUEUE, list(JobState), limit=10_000)
    return sum(job.schedule_id == slug for job in jobs)
