"""The use cases on schedules."""

from datetime import timedelta
from typing import Any

import pytest

from enfila.core.application.scheduler.managing.schedules import Schedules
from enfila.core.application.scheduler.managing.target_check import TargetCheck
from enfila.core.domain.errors import (
    InvalidRequest,
    ScheduleChanged,
    ScheduleExists,
    ScheduleNotFound,
    UnknownTimeZone,
)
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.schedule.runs.run import Origin, RunState
from enfila.core.domain.schedule.scheduled_for import ScheduledFor
from enfila.core.domain.schedule.state import Owner, ScheduleState
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.core.domain.schedule.triggers.times_of_day import TimesOfDay
from tests.core.application.scheduler.stage import QUEUE, Stage, at

HOUR = timedelta(hours=1)


# ── making ───────────────────────────────────────────────────────────────────────────────────


async def test_a_text_is_a_cron_expression_and_the_zone_that_of_the_app(stage: Stage) -> None:
    check = TargetCheck(stage.types, stage.repository.storage.job_types)
    schedules = Schedules(stage.repository, check, stage.wake_up, time_zone="America/Sao_Paulo")
    definition = schedules.define("daily", "noop", "0 12 * * *", queue=QUEUE)
    assert (definition.trigger, definition.time_zone) == (Cron("0 12 * * *"), "America/Sao_Paulo")
    created = await schedules.create(definition)
    assert created.next_run_at is not None
    assert created.next_run_at.hour == 15
    assert await schedules.get("daily") == created


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trigger": "61 * * * *"}, "minute"),
        ({"trigger": "0 0 30 2 *"}, "no date can ever match"),
        ({"trigger": "0 12 * *"}, "cron"),
        ({"time_zone": "America/Sao_Paolo"}, "did you mean 'America/Sao_Paulo'"),
        ({"slug": "No good"}, "slug: 'No good'"),
        ({"overlap": "never"}, "overlap: 'never' .* allow, skip, queue_one, cancel_old"),
        ({"payload": {1, 2}}, "target.payload"),
        ({"options": JobOptions(delay=5)}, "the schedule says when"),
        ({"max_runs": 0}, "max_runs: 0"),
    ],
)
async def test_a_wrong_definition_is_refused(
    stage: Stage, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        stage.schedules.define(
            **{"slug": "one", "job": "noop", "trigger": Interval(60), "queue": QUEUE, **given}
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"job": "biz:pipelin", "queue": None}, "did you mean 'biz:pipeline'"),
        ({"job": "biz:pipelin", "queue": "biz"}, "did you mean 'biz:pipeline'"),
        ({"job": "quite:other", "queue": None}, "or the queue whose workers know such jobs"),
        ({"job": "biz:pipeline", "queue": None, "payload": {"too": "ada"}}, "payload"),
        ({"job": "biz:pipeline", "queue": "other", "payload": {"to": 5}}, "payload"),
    ],
)
async def test_a_target_that_nobody_could_run_is_refused_before_any_write(
    stage: Stage, given: dict[str, Any], message: str
) -> None:
    @stage.types.job("biz:pipeline", queue="biz")
    async def pipeline(to: str) -> None: ...

    await stage.create("kept")
    definition = stage.schedules.define("one", trigger=Interval(60), **given)
    with pytest.raises(InvalidRequest, match=message):
        await stage.schedules.create(definition)
    with pytest.raises(InvalidRequest, match=message):
        await stage.schedules.sync(
            [stage.schedules.define("two", "noop", "@daily", queue=QUEUE), definition]
        )
    assert [each.slug for each in await stage.schedules.all()] == ["kept"]


async def test_a_type_that_another_program_declares_is_good_enough(stage: Stage) -> None:
    other = Stage()

    @other.types.job("biz:pipeline", queue="biz")
    async def pipeline(to: str) -> None: ...

    await stage.repository.storage.job_types.declare(list(other.types))
    await stage.create(job="biz:pipeline", queue=None, payload={"whatever": 1})
    await stage.tick()
    [run] = await stage.runs()
    assert run.job is not None
    assert run.job.queue == "biz"


async def test_a_declared_job_can_be_given_itself(stage: Stage) -> None:
    @stage.types.job("biz:pipeline", queue="biz")
    async def pipeline(to: str, count: int = 1) -> None: ...

    created = await stage.create(job=pipeline, queue=None, payload={"to": "ada"})
    assert created.definition.target.job_type == "biz:pipeline"


async def test_a_slug_is_taken_once(stage: Stage) -> None:
    await stage.create()
    with pytest.raises(ScheduleExists, match="'one' exists already"):
        await stage.create()


async def test_what_is_not_there_is_said_so(stage: Stage) -> None:
    schedules, now = stage.schedules, stage.clock.now()
    definition = schedules.define("gone", "noop", Interval(60), queue=QUEUE)
    for call in (
        schedules.get("gone"),
        schedules.update(definition, version=1),
        schedules.enable("gone"),
        schedules.disable("gone"),
        schedules.delete("gone"),
        schedules.run_now("gone", by="ada"),
        schedules.history("gone"),
        schedules.preview("gone"),
        schedules.backfill("gone", now - HOUR, now, by="ada"),
    ):
        with pytest.raises(ScheduleNotFound, match="'gone' does not exist"):
            await call


# ── changing ─────────────────────────────────────────────────────────────────────────────────


async def test_an_edit_counts_from_now_and_no_tick_of_the_old_rule_is_made(stage: Stage) -> None:
    created = await stage.create()
    stage.clock.advance(90)
    new = stage.schedules.define("one", "noop", Interval(3600), queue=QUEUE)
    edited = await stage.schedules.update(new, version=created.version)
    assert edited.version == created.version + 1
    await stage.tick(0)
    assert await stage.runs() == []
    assert edited.next_run_at == at(stage.clock, seconds=3600 - 90)


async def test_an_edit_of_an_old_version_is_refused(stage: Stage) -> None:
    created = await stage.create()
    await stage.schedules.update(created.definition, version=1)
    with pytest.raises(ScheduleChanged, match="version 2 by now and not 1"):
        await stage.schedules.update(created.definition, version=1)


async def test_an_edit_leaves_the_owner(stage: Stage) -> None:
    definition = stage.schedules.define("one", "noop", Interval(60), queue=QUEUE)
    await stage.schedules.sync([definition])
    edited = await stage.schedules.update(definition, version=1)
    assert (edited.definition.owner, edited.definition.source) == (Owner.CODE, "default")


async def test_a_disabled_schedule_rests_until_it_is_enabled(stage: Stage) -> None:
    await stage.create()
    disabled = await stage.schedules.disable("one", "too expensive")
    assert (disabled.state, disabled.disabled_reason) == (ScheduleState.DISABLED, "too expensive")
    assert (await stage.schedules.disable("one")).version == disabled.version
    await stage.tick(3600)
    assert await stage.runs() == []
    enabled = await stage.schedules.enable("one")
    assert (await stage.schedules.enable("one")).version == enabled.version
    await stage.tick(60)
    assert len(await stage.runs()) == 1


async def test_a_deleted_schedule_makes_no_tick(stage: Stage) -> None:
    await stage.create()
    stage.clock.advance(60)
    await stage.schedules.delete("one")
    await stage.tick(0)
    assert await stage.schedules.all() == []
    assert (await stage.repository.storage.queues.counts(QUEUE)).waiting == 0


# ── running and looking ──────────────────────────────────────────────────────────────────────


async def test_a_run_by_hand_is_in_the_history_with_who_wanted_it(stage: Stage) -> None:
    await stage.create(overlap="skip")
    await stage.tick()
    await stage.schedules.disable("one")
    run = await stage.schedules.run_now("one", by="ada")
    assert (run.origin, run.by, run.state) == (Origin.MANUAL, "ada", RunState.WAITING)
    assert (await stage.schedules.history("one", limit=1)) == [run]
    with pytest.raises(InvalidRequest, match="by: ''"):
        await stage.schedules.run_now("one", by="")


async def test_the_details_of_a_run_are_its_attempts_and_its_log(stage: Stage) -> None:
    await stage.create()
    run = await stage.schedules.run_now("one", by="ada")
    job = await stage.claim()
    await stage.settle(job)
    [run] = await stage.runs()
    details = await stage.schedules.details(run)
    assert ([each.number for each in details.attempts], details.log) == ([1], ())
    assert (run.attempts, run.duration) == (1, timedelta(0))
    assert run.job is not None
    await stage.repository.remove([run.job])
    [run] = await stage.runs()
    assert (await stage.schedules.details(run)).attempts == ()
    assert (run.state, run.attempts, run.duration, run.items) == (RunState.REMOVED, 0, None, None)


async def test_a_preview_is_of_a_stored_schedule_or_of_a_definition(stage: Stage) -> None:
    trigger = TimesOfDay(["12:00"])
    created = await stage.create(trigger=trigger, time_zone="America/Sao_Paulo")
    stored = await stage.schedules.preview("one", 2)
    assert stored == await stage.schedules.preview(created.definition, 2)
    assert [each.utc.hour for each in stored.times] == [15, 15]
    assert stored.times[0].utc == created.next_run_at


async def test_a_backfill_makes_what_is_missing_and_may_be_repeated(stage: Stage) -> None:
    await stage.create(misfire=None)
    await stage.tick(60)
    first = stage.clock.now()
    await stage.tick(240)
    end = stage.clock.now()
    planned = await stage.schedules.backfill("one", first, end, by="ada", dry_run=True)
    minutes = [first + timedelta(minutes=number) for number in range(4)]
    assert (list(planned.times), planned.made) == (minutes, ())
    done = await stage.schedules.backfill("one", first, end, by="ada")
    assert list(done.made) == minutes[1:]
    assert (await stage.schedules.backfill("one", first, end, by="ada")).made == ()
    made = [run for run in await stage.runs() if run.origin is Origin.BACKFILL]
    assert [(run.by, run.state) for run in made] == [("ada", RunState.WAITING)] * 3
    told = [ScheduledFor.of(run.job.options.metadata) for run in made if run.job is not None]
    assert told[0] == ScheduledFor("one", minutes[1], minutes[0], minutes[2])
    assert told[2] == ScheduledFor("one", minutes[3], minutes[2], end)


async def test_a_backfill_of_what_has_no_past_is_refused(stage: Stage) -> None:
    now = stage.clock.now()
    await stage.create()
    await stage.create("after", trigger=AfterCompletion(60))
    for slug, start, end, message in (
        ("one", now, now + HOUR, "end: .* or earlier"),
        ("one", now, now - HOUR, "end: .* or later"),
        ("after", now - HOUR, now, "follow from runs"),
        ("one", now - timedelta(days=8), now, "at most 10,000 times"),
    ):
        with pytest.raises(InvalidRequest, match=message):
            await stage.schedules.backfill(slug, start, end, by="ada")
    assert (await stage.schedules.backfill("one", now, now, by="ada")).times == ()


# ── synchronising ────────────────────────────────────────────────────────────────────────────


async def test_a_deploy_brings_changes_and_removes_its_own(stage: Stage) -> None:
    schedules = stage.schedules

    def define(slug: str, seconds: int = 60) -> Any:
        return schedules.define(slug, "noop", Interval(seconds), queue=QUEUE)

    await stage.create("runtime")
    await schedules.sync([define("theirs")], source="billing")
    first = await schedules.sync([define("a"), define("b"), define("c")], disabled=["c"])
    assert (first.created, first.updated, first.removed) == (("a", "b", "c"), (), ())
    assert (await schedules.get("c")).state is ScheduleState.DISABLED
    assert (await schedules.get("a")).definition.owner is Owner.CODE
    await schedules.disable("a")
    await schedules.enable("c")
    second = await schedules.sync([define("a"), define("c", 120), define("d")], disabled=["c"])
    assert (second.created, second.updated, second.unchanged, second.removed) == (
        ("d",),
        ("c",),
        ("a",),
        ("b",),
    )
    states = {each.slug: each.state.value for each in await schedules.all()}
    assert states == {
        "a": "disabled",
        "c": "active",
        "d": "active",
        "runtime": "active",
        "theirs": "active",
    }


async def test_an_unchanged_schedule_keeps_its_version_and_its_due_tick(stage: Stage) -> None:
    definition = stage.schedules.define("one", "noop", Interval(60), {"to": "ada"}, queue=QUEUE)
    await stage.schedules.sync([definition])
    stage.clock.advance(60)
    before = await stage.schedules.get("one")
    assert (await stage.schedules.sync([definition])).unchanged == ("one",)
    assert await stage.schedules.get("one") == before


async def test_a_deploy_takes_no_slug_of_others_and_then_writes_nothing(stage: Stage) -> None:
    await stage.create("runtime")

    def define(slug: str) -> Any:
        return stage.schedules.define(slug, "noop", Interval(60), queue=QUEUE)

    with pytest.raises(ScheduleExists, match="'runtime'"):
        await stage.schedules.sync([define("a"), define("runtime")])
    with pytest.raises(InvalidRequest, match="give each schedule once"):
        await stage.schedules.sync([define("a"), define("a")])
    with pytest.raises(InvalidRequest, match="disabled: 'b'"):
        await stage.schedules.sync([define("a")], disabled=["b"])
    assert [each.slug for each in await stage.schedules.all()] == ["runtime"]


def test_the_zone_of_an_app_has_to_be_known(stage: Stage) -> None:
    with pytest.raises(UnknownTimeZone, match="Europe/Berlin"):
        Schedules(
            stage.repository,
            TargetCheck(stage.types, stage.repository.storage.job_types),
            stage.wake_up,
            time_zone="Europe/Berlim",
        )
