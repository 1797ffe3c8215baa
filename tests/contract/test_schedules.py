"""The contract of `IScheduleRepository`. Slugs are of one test alone: tables outlive a test."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.schedule_repository import ScheduleFilter
from enfila.core.domain.errors import InvalidRequest, ScheduleExists
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.state import JobState
from enfila.core.domain.schedule.rules.misfire import Misfire
from enfila.core.domain.schedule.rules.overlap import Overlap
from enfila.core.domain.schedule.runs.run import NewRun, Origin, RunState
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import Owner, ScheduleState
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.testing import FrozenClock
from tests.contract.building import Line
from tests.contract.conftest import Connect
from tests.contract.scheduling import MINUTE, Board


@pytest.fixture
def board(repository: IJobRepository, clock: FrozenClock, queue: str) -> Board:
    return Board(repository, clock, queue)


# ── schedules ────────────────────────────────────────────────────────────────────────────────


async def test_a_schedule_is_stored_as_it_is(board: Board) -> None:
    now = board.clock.now()
    schedule = await board.insert(
        target=Target.of("biz:pipeline", {"to": "ünï 🎉"}, queue=board.prefix),
        trigger=Cron("0 12 * * mon-fri"),
        name="The pipeline",
        description="Two\nlines",
        category="reports",
        time_zone="America/Sao_Paulo",
        start_at=now,
        end_at=now + timedelta(days=400),
        max_runs=7,
        misfire=Misfire("all", grace=60, cap=5),
        overlap=Overlap.QUEUE_ONE,
        jitter=timedelta(seconds=1.5),
        owner=Owner.CODE,
    )
    assert await board.read(schedule.slug) == schedule


async def test_a_slug_is_taken_once(board: Board) -> None:
    schedule = await board.insert()
    with pytest.raises(ScheduleExists, match="exists already"):
        await board.insert(name="another")
    assert await board.read(schedule.slug) == schedule


async def test_what_is_not_there_is_not_there(board: Board) -> None:
    assert await board.repository.storage.schedules.get(board.prefix) is None
    assert await board.repository.storage.schedules.change(board.prefix, lambda it, _: it) is None
    assert await board.repository.storage.schedules.delete(board.prefix) is False
    assert await board.repository.storage.schedule_runs.add(board.prefix, []) is None
    assert await board.runs(board.prefix) == []
    assert await board.repository.storage.schedule_runs.unfinished_jobs([board.prefix]) == {}


async def test_schedules_are_listed_by_slug_and_in_pages(board: Board) -> None:
    slugs = [(await board.insert(name)).slug for name in ("b", "a", "a-b", "a.b", "a1")]
    mine = [
        each.slug for each in await board.repository.storage.schedules.find() if each.slug in slugs
    ]
    assert mine == sorted(slugs)
    after = await board.repository.storage.schedules.find(after=mine[1], limit=2)
    assert [each.slug for each in after] == mine[2:4]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ScheduleFilter(owner=Owner.CODE), {"code"}),
        (ScheduleFilter(category="mail"), {"mail"}),
        (ScheduleFilter(job_type="other"), {"other"}),
        (ScheduleFilter(state=ScheduleState.DISABLED), {"rest"}),
        (ScheduleFilter(category="mail", state=ScheduleState.DISABLED), set()),
    ],
)
async def test_schedules_are_found_by_what_they_are(
    board: Board, wanted: ScheduleFilter, expected: set[str]
) -> None:
    await board.insert("code", owner=Owner.CODE)
    await board.insert("mail", category="mail")
    await board.insert("other", target=Target.of("other"))
    await board.insert("rest")
    await board.repository.storage.schedules.change(
        f"{board.prefix}-rest", lambda it, _: it.disable("not needed")
    )
    found = [each.slug for each in await board.repository.storage.schedules.find(wanted)]
    ours = {each.removeprefix(f"{board.prefix}-") for each in found if board.prefix in each}
    assert ours == expected


async def test_a_change_is_given_what_stands_and_the_instant(board: Board) -> None:
    schedule = await board.insert()
    seen = []

    def change(found: Schedule, now: object) -> Schedule:
        seen.append((found, now))
        return found.disable("not needed")

    changed = await board.repository.storage.schedules.change(schedule.slug, change)
    assert (schedule, board.clock.now()) in seen
    assert changed == schedule.disable("not needed")
    assert await board.read(schedule.slug) == changed


async def test_a_change_that_raises_changes_nothing(board: Board) -> None:
    schedule = await board.insert()

    def refuse(found: Schedule, now: object) -> Schedule:
        raise InvalidRequest("version", 1, "give 2")

    with pytest.raises(InvalidRequest, match="give 2"):
        await board.repository.storage.schedules.change(schedule.slug, refuse)
    assert await board.read(schedule.slug) == schedule


async def test_no_change_is_lost_when_many_processes_change_at_once(
    connect: Connect, board: Board
) -> None:
    schedule = await board.insert()
    processes = [await connect() for _ in range(4)]
    await asyncio.gather(
        *(
            process.storage.schedules.change(
                schedule.slug, lambda it, now: it.edited(it.definition, now)
            )
            for process in processes * 3
        )
    )
    assert (await board.read(schedule.slug)).version == 13


async def test_a_deleted_schedule_leaves_its_jobs_and_begins_anew(board: Board) -> None:
    schedule = await board.insert()
    run = await board.run(schedule.slug)
    assert await board.repository.storage.schedules.delete(schedule.slug) is True
    assert await board.repository.storage.schedules.get(schedule.slug) is None
    assert await board.repository.get([run.job_id or ""]) != {}  # type: ignore[list-item]
    await board.insert()
    assert await board.runs(schedule.slug) == []


# ── ticks ────────────────────────────────────────────────────────────────────────────────────


async def test_due_are_those_whose_time_has_come_the_longest_due_first(board: Board) -> None:
    hourly = await board.insert("hourly", trigger=Interval(3600))
    later = await board.insert("later", trigger=Interval(120))
    sooner = await board.insert("sooner")
    assert await board.due() == []
    board.clock.advance(120)
    assert [each.slug for each in await board.due()] == [sooner.slug, later.slug]
    assert hourly.slug not in [each.slug for each in await board.due()]


async def test_a_due_answer_says_when_the_next_is_due(board: Board) -> None:
    schedule = await board.insert()
    found = await board.repository.storage.schedules.due(1000)
    assert found.now == board.clock.now()
    assert found.wake_at is not None
    assert found.wake_at <= (schedule.next_run_at or found.now)
    board.clock.advance(3600 * 24 * 365)
    await board.insert("other")
    part = await board.repository.storage.schedules.due(0)
    assert (list(part.schedules), part.wake_at) == ([], None)


async def test_a_failed_enqueue_is_due_again_when_it_is_to_be_retried(board: Board) -> None:
    schedule = await board.insert()
    board.clock.advance(60)
    await board.repository.storage.schedules.change(
        schedule.slug, lambda it, now: it.enqueue_failed("no", now)
    )
    assert await board.due() == []
    board.clock.advance(5)
    assert [each.slug for each in await board.due()] == [schedule.slug]


async def test_a_tick_moves_the_schedule_and_adds_its_job(board: Board) -> None:
    schedule = await board.insert()
    board.clock.advance(60)
    advance = board.advance(schedule)
    run = await board.tick(schedule)
    assert await board.read(schedule.slug) == schedule.after(advance)
    assert (run.nominal, run.origin, run.by) == (advance.ticks[0].nominal, Origin.RULE, None)
    assert run.made_at == board.clock.now()
    assert run.state is RunState.WAITING
    assert run.job is not None
    assert (run.job.schedule_id, run.job.queue) == (schedule.slug, board.prefix)
    assert board.prefix in await board.repository.storage.queues.names()
    assert (await board.repository.storage.queues.counts(board.prefix)).waiting == 1


async def test_many_schedules_tick_in_one_step(board: Board) -> None:
    schedules = [await board.insert(f"s{number}") for number in range(3)]
    board.clock.advance(180)
    steps = [board.step(each) for each in schedules]
    await board.repository.storage.schedules.change(
        schedules[1].slug, lambda it, _: it.disable("no")
    )
    assert await board.repository.storage.schedules.tick(steps) == [True, False, True]
    counts = [len(await board.runs(each.slug)) for each in schedules]
    assert counts == [1, 0, 1]


@pytest.mark.parametrize("change", ["edit", "disable", "tick", "delete"])
async def test_an_advance_that_rests_on_what_was_writes_nothing(board: Board, change: str) -> None:
    schedule = await board.insert()
    board.clock.advance(60)
    step = board.step(schedule)
    match change:
        case "edit":
            await board.repository.storage.schedules.change(
                schedule.slug, lambda it, now: it.edited(it.definition, now)
            )
        case "disable":
            await board.repository.storage.schedules.change(
                schedule.slug, lambda it, _: it.disable("no")
            )
        case "tick":
            assert await board.repository.storage.schedules.tick([board.step(schedule)]) == [True]
        case _:
            await board.repository.storage.schedules.delete(schedule.slug)
    stands, runs = (
        await board.repository.storage.schedules.get(schedule.slug),
        await board.runs(schedule.slug),
    )
    assert await board.repository.storage.schedules.tick([step]) == [False]
    assert await board.repository.storage.schedules.get(schedule.slug) == stands
    assert await board.runs(schedule.slug) == runs
    assert (await board.repository.storage.queues.counts(board.prefix)).waiting == len(runs)


async def test_one_of_many_processes_makes_the_tick(connect: Connect, board: Board) -> None:
    schedules = [await board.insert(f"s{number}") for number in range(5)]
    processes = [await connect() for _ in range(4)]
    board.clock.advance(60)

    async def work(process: IJobRepository, order: int) -> list[bool]:
        return await process.storage.schedules.tick(
            [board.step(each) for each in schedules[::order]]
        )

    orders = (1, -1, 1, -1)
    answers = await asyncio.gather(*map(work, processes, orders))
    in_order = [each[::order] for each, order in zip(answers, orders, strict=True)]
    assert [sum(each) for each in zip(*in_order, strict=True)] == [1] * 5
    assert (await board.repository.storage.queues.counts(board.prefix)).waiting == 5


async def test_a_skipped_tick_is_recorded_without_a_job(board: Board) -> None:
    schedule = await board.insert()
    board.clock.advance(60)
    step = board.step(schedule)
    skipped = replace(step, runs=(NewRun(step.runs[0].nominal, None),))
    assert await board.repository.storage.schedules.tick([skipped]) == [True]
    [run] = await board.runs(schedule.slug)
    assert (run.state, run.job_id) == (RunState.SKIPPED, None)
    assert await board.ended() == []
    assert (await board.repository.storage.queues.counts(board.prefix)).waiting == 0


async def test_a_time_has_one_run_of_rule_and_backfill(board: Board) -> None:
    schedule = await board.insert()
    nominal = schedule.next_run_at or board.clock.now()
    runs = [
        NewRun(nominal - MINUTE, board.job(schedule.slug), Origin.BACKFILL, "ada"),
        NewRun(nominal, board.job(schedule.slug), Origin.BACKFILL, "ada"),
    ]
    assert await board.repository.storage.schedule_runs.add(schedule.slug, runs) == [True, True]
    assert await board.repository.storage.schedule_runs.add(schedule.slug, runs) == [False, False]
    board.clock.advance(60)
    assert await board.repository.storage.schedules.tick([board.step(schedule)]) == [True]
    assert len(await board.runs(schedule.slug)) == 2
    assert (await board.repository.storage.queues.counts(board.prefix)).waiting == 2


async def test_a_run_by_hand_takes_no_time_of_the_rule(board: Board) -> None:
    schedule = await board.insert()
    board.clock.advance(60)
    by_hand = [await board.run(schedule.slug), await board.run(schedule.slug)]
    assert [(each.origin, each.by) for each in by_hand] == [(Origin.MANUAL, "ada")] * 2
    assert (await board.tick(schedule)).nominal == by_hand[0].nominal


async def test_a_job_that_is_blocked_runs_when_the_other_has_ended(board: Board) -> None:
    schedule = await board.insert()
    first = await board.run(schedule.slug)
    behind = board.job(schedule.slug).behind(first.job_id or "")  # type: ignore[arg-type]
    await board.repository.storage.schedule_runs.add(
        schedule.slug, [NewRun(board.clock.now(), behind, Origin.MANUAL)]
    )
    assert (await board.runs(schedule.slug))[0].state is RunState.BLOCKED
    await board.complete(first)
    assert (await board.runs(schedule.slug))[0].state is RunState.WAITING


async def test_a_job_whose_predecessor_has_ended_meanwhile_is_not_blocked(board: Board) -> None:
    schedule = await board.insert()
    first = await board.run(schedule.slug)
    assert first.job_id is not None
    await board.complete(first)
    later = board.clock.now() + MINUTE
    behind = [
        board.job(schedule.slug).behind(first.job_id),
        board.job(schedule.slug, run_at=later).behind(first.job_id),
        board.job(schedule.slug).behind(board.job("gone").id),
    ]
    runs = [NewRun(board.clock.now(), job, Origin.MANUAL) for job in behind]
    assert await board.repository.storage.schedule_runs.add(schedule.slug, runs) == [
        True,
        True,
        True,
    ]
    states = [run.state for run in reversed(await board.runs(schedule.slug))]
    assert states[1:] == [RunState.WAITING, RunState.DELAYED, RunState.WAITING]


async def test_a_job_may_wait_for_one_of_the_same_step(board: Board) -> None:
    schedule = await board.insert()
    first = board.job(schedule.slug)
    second = board.job(schedule.slug).behind(first.id)
    now = board.clock.now()
    runs = [NewRun(now, first, Origin.MANUAL), NewRun(now, second, Origin.MANUAL)]
    assert await board.repository.storage.schedule_runs.add(schedule.slug, runs) == [True, True]
    blocked, waiting = await board.runs(schedule.slug)
    assert (blocked.state, waiting.state) == (RunState.BLOCKED, RunState.WAITING)
    await board.complete(waiting)
    assert (await board.runs(schedule.slug))[0].state is RunState.WAITING


async def test_a_deduplicated_run_is_the_job_that_holds_the_key(board: Board) -> None:
    schedule = await board.insert()
    first = await board.run(schedule.slug, deduplication=Deduplication("key"))
    second = await board.run(schedule.slug, deduplication=Deduplication("key"))
    assert first.job_id == second.job_id
    assert (await board.repository.storage.queues.counts(board.prefix)).waiting == 1


# ── runs ─────────────────────────────────────────────────────────────────────────────────────


async def test_unfinished_jobs_are_those_of_open_runs(board: Board) -> None:
    one, other = await board.insert("one"), await board.insert("other")
    first = await board.run(one.slug)
    await board.complete(first)
    second, third = await board.run(one.slug), await board.run(one.slug)
    slugs = [one.slug, other.slug]
    found = await board.repository.storage.schedule_runs.unfinished_jobs(slugs)
    assert {slug: [job.id for job in jobs] for slug, jobs in found.items()} == {
        one.slug: [second.job_id, third.job_id]
    }


async def test_the_end_of_a_run_is_told_once(board: Board, connect: Connect) -> None:
    schedule = await board.insert()
    run = await board.run(schedule.slug)
    assert await board.ended() == []
    board.clock.advance(3)
    await board.complete(run)
    [ended] = await board.ended()
    others = [await connect() for _ in range(3)]
    told = await asyncio.gather(*(each.storage.schedule_runs.record([ended]) for each in others))
    assert sorted(map(len, told)) == [0, 0, 1]
    statistics = (await board.read(schedule.slug)).statistics
    assert (statistics.runs, statistics.successes) == (1, 1)
    assert await board.ended() == []
    assert (await board.runs(schedule.slug))[0].state is RunState.COMPLETED


async def test_a_cancelled_and_a_removed_job_end_their_runs_too(board: Board) -> None:
    schedule = await board.insert(trigger=AfterCompletion(60))
    line = Line(board.repository, board.clock, board.prefix)
    for _ in range(2):
        board.clock.advance(60)
        run = await board.tick(await board.read(schedule.slug))
        assert (await board.read(schedule.slug)).state is ScheduleState.WAITING
        assert run.job is not None
        if (await board.read(schedule.slug)).statistics.runs == 0:
            await line.move(run.job, run.job.cancel("not wanted"))
        else:
            await board.repository.remove([run.job])
        assert await board.repository.storage.schedule_runs.record(await board.ended()) == {run.id}
        assert (await board.read(schedule.slug)).next_run_at == board.clock.now() + MINUTE
    assert [run.state for run in await board.runs(schedule.slug)] == [
        RunState.REMOVED,
        RunState.CANCELLED,
    ]


async def test_the_next_tick_follows_the_end_of_the_last_run(board: Board) -> None:
    schedule = await board.insert(trigger=AfterCompletion(60))
    board.clock.advance(60)
    rule = await board.tick(schedule)
    by_hand = await board.run(schedule.slug)
    await board.complete(rule)
    assert await board.repository.storage.schedule_runs.record(await board.ended()) == {rule.id}
    assert (await board.read(schedule.slug)).state is ScheduleState.WAITING
    board.clock.advance(30)
    await board.complete(by_hand)
    assert await board.repository.storage.schedule_runs.record(await board.ended()) == {by_hand.id}
    assert (await board.read(schedule.slug)).next_run_at == board.clock.now() + MINUTE
    assert (await board.read(schedule.slug)).statistics.runs == 2


async def test_a_run_that_goes_on_is_not_recorded(board: Board) -> None:
    schedule = await board.insert()
    run = await board.run(schedule.slug)
    assert not await board.repository.storage.schedule_runs.record([run])
    assert (await board.read(schedule.slug)).statistics.runs == 0


async def test_open_runs_are_looked_at_in_parts(board: Board) -> None:
    schedule = await board.insert()
    runs = [await board.run(schedule.slug) for _ in range(4)]
    await board.complete(runs[0])
    before = type(runs[0].id)(runs[0].id - 1)
    part = await board.repository.storage.schedule_runs.ended(before, 2)
    assert ([each.id for each in part.runs], part.last) == ([runs[0].id], runs[1].id)
    part = await board.repository.storage.schedule_runs.ended(runs[1].id, 2)
    assert (list(part.runs), part.last) == ([], runs[3].id)
    part = await board.repository.storage.schedule_runs.ended(runs[3].id, 2)
    assert (list(part.runs), part.last) == ([], None)


async def test_a_history_is_read_in_pages_the_newest_first(board: Board) -> None:
    schedule = await board.insert()
    runs = [(await board.run(schedule.slug)).id for _ in range(5)]
    first = await board.repository.storage.schedule_runs.find(schedule.slug, limit=2)
    rest = await board.repository.storage.schedule_runs.find(schedule.slug, before=first[-1].id)
    assert [each.id for each in [*first, *rest]] == runs[::-1]


async def test_old_closed_runs_are_forgotten(board: Board) -> None:
    schedule = await board.insert()
    closed = await board.run(schedule.slug)
    await board.complete(closed)
    await board.repository.storage.schedule_runs.record(await board.ended())
    board.clock.advance(60)
    still_open = await board.run(schedule.slug)
    assert await board.repository.storage.schedule_runs.forget(2 * MINUTE, 100) == 0
    board.clock.advance(60)
    assert await board.repository.storage.schedule_runs.forget(2 * MINUTE, 10_000) >= 1
    assert [each.id for each in await board.runs(schedule.slug)] == [still_open.id]
    job = await board.repository.get([closed.job_id or ""])  # type: ignore[list-item]
    assert [each.state for each in job.values()] == [JobState.COMPLETED]
