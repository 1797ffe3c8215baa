"""The facade with schedules, and schedulers of several apps on one database."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import date, timedelta
from uuid import uuid4

import pytest

from enfila import (
    ActiveJob,
    Enfila,
    Interval,
    InvalidRequest,
    JobState,
    JobTypeRegistry,
    Misfire,
    RunState,
    Schedule,
    ScheduledFor,
    SchedulerOptions,
    ScheduleRun,
    UnknownTimeZone,
    WorkerOptions,
)
from enfila.testing import FrozenClock
from tests.contract.adapters import SQL_ADAPTERS, server_url, url_of
from tests.waiting import eventually

QUICK = WorkerOptions(poll_interval=0.05, maintenance=None, concurrency=4)
EAGER = SchedulerOptions(poll_interval=0.02, record_interval=0.02)
SERVERS = ["sqlite", pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres)]


@pytest.fixture(params=["memory", *SQL_ADAPTERS])
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request.param, request)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def token() -> str:
    """Names of this test alone begin with it: a server's tables outlive the test."""
    return uuid4().hex[:8]


async def history(app: Enfila, slug: str, count: int) -> Sequence[ScheduleRun]:
    """The runs of a schedule once there are so many, the oldest first."""

    async def look() -> Sequence[ScheduleRun]:
        runs = await app.schedules.history(slug)
        return runs[::-1] if len(runs) >= count else []

    return await eventually(look, message=f"{slug} has {count} runs")


async def told(app: Enfila, slug: str) -> Schedule:
    """The schedule once it has learnt what became of its first run."""

    async def look() -> Schedule | None:
        schedule = await app.schedules.get(slug)
        return schedule if schedule.statistics.runs else None

    found = await eventually(look, message=f"{slug} has learnt of a run")
    assert found is not None
    return found


async def test_a_schedule_runs_a_job_type(url: str, clock: FrozenClock, token: str) -> None:
    seen: list[ScheduledFor | None] = []
    prefix = f"t{token}_"  # a scheduler makes the ticks of all schedules of an installation
    zone = "America/Sao_Paulo"
    async with Enfila(url, clock=clock, time_zone=zone, table_prefix=prefix) as app:

        @app.job(f"{token}:report", queue=token)
        async def report(job: ActiveJob[dict[str, str]], to: str) -> str:
            seen.append(job.scheduled_for)
            await job.log(f"for {to}")
            return f"sent to {to}"

        daily = app.schedules.define(token, report, "0 12 * * *", {"to": "ada"})
        created = await app.schedules.create(daily)
        nominal = created.next_run_at
        assert nominal is not None
        assert nominal.hour == 15
        async with app.worker(options=QUICK), app.scheduler(EAGER):
            clock.advance(nominal - clock.now())
            schedule = await told(app, token)
        [run] = await app.schedules.history(token)
        details = await app.schedules.details(run)
    assert (schedule.statistics.successes, run.state) == (1, RunState.COMPLETED)
    assert [line.line for line in details.log] == ["for ada"]
    assert seen == [ScheduledFor(token, nominal, None, nominal + timedelta(days=1))]


async def test_leaving_the_app_closes_its_schedulers(url: str) -> None:
    async with Enfila(url) as app:
        scheduler = app.scheduler()
        await scheduler.start()
    assert not scheduler.is_running


def test_the_zone_of_an_app_is_checked_at_once() -> None:
    with pytest.raises(UnknownTimeZone, match="did you mean 'Europe/Berlin'"):
        Enfila("memory://", time_zone="europe/berlin ")


def test_a_trigger_is_a_trigger_or_a_cron_expression() -> None:
    app = Enfila("memory://")
    with pytest.raises(InvalidRequest, match=r"trigger: 60"):
        app.schedules.define("one", "noop", 60, queue="q")  # type: ignore[arg-type]


# ── several processes ────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=SERVERS)
def shared(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        file: str = request.getfixturevalue("sqlite_url")
        return file
    return server_url(request.param, request)


@pytest.fixture
async def apps(shared: str, clock: FrozenClock, token: str) -> AsyncIterator[list[Enfila]]:
    """Three apps on one database, as three processes have; each with a scheduler."""
    async with AsyncExitStack() as stack:
        apps = [
            await stack.enter_async_context(Enfila(shared, clock=clock, table_prefix=f"t{token}_"))
            for _ in range(3)
        ]
        for app in apps:
            await stack.enter_async_context(app.scheduler(EAGER))
        yield apps


async def test_an_edit_in_another_process_wakes_a_scheduler(
    shared: str, clock: FrozenClock, token: str
) -> None:
    """Polling would take it an hour. A schedule that is due at its start shows its first look."""
    async with (
        Enfila(shared, clock=clock) as one,
        Enfila(shared, clock=clock) as other,
        one.scheduler(SchedulerOptions(poll_interval=3600)),
    ):
        for name in ("due-at-first", "due-later"):
            slug = f"{token}-{name}"
            every = other.schedules.define(slug, "noop", Interval(60), queue=token)
            await other.schedules.create(every)
            clock.advance(60)
            await other.schedules.create(
                other.schedules.define(f"{slug}-wakes", "noop", "@yearly", queue=token)
            )
            await history(other, slug, 1)


async def test_one_of_several_schedulers_makes_a_tick(
    apps: list[Enfila], clock: FrozenClock, token: str
) -> None:
    slugs = [f"{token}-{number}" for number in range(10)]
    for slug in slugs:
        every = apps[0].schedules.define(
            slug, "noop", Interval(60), queue=token, misfire=Misfire("all")
        )
        await apps[0].schedules.create(every)
    began = clock.now()
    for minutes in range(1, 6):
        clock.advance(60)
        for slug in slugs:
            nominal = [run.nominal for run in await history(apps[1], slug, minutes)]
            assert nominal == [began + timedelta(minutes=each + 1) for each in range(minutes)]


async def test_after_the_commit_of_an_edit_no_tick_of_the_old_rule_is_made(
    apps: list[Enfila], clock: FrozenClock, token: str
) -> None:
    """Forty schedules come due at once; while three schedulers tick, another process edits them."""
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    slugs = [f"{token}-{number}" for number in range(40)]
    editor = apps[0].schedules
    for slug in slugs:
        await editor.create(editor.define(slug, "noop", Interval(60), "old", queue=token))
    clock.advance(60)
    counts: dict[str, int] = {}
    for slug in chance.sample(slugs, len(slugs)):
        match chance.choice(["edit", "disable", "delete"]):
            case "edit":
                yearly = editor.define(slug, "noop", "@yearly", "new", queue=token)
                await editor.update(yearly, version=1)
            case "disable":
                await editor.disable(slug)
            case _:
                await editor.delete(slug)
        counts[slug] = await jobs_of(apps[0], token, slug)
    clock.advance(600)
    beacon = editor.define(f"{token}-beacon", "noop", Interval(60), queue=token)
    await editor.create(beacon)
    for beats in range(1, 4):  # each of them shows that the schedulers have looked again
        clock.advance(60)
        await history(apps[0], f"{token}-beacon", beats)
    after = {slug: await jobs_of(apps[0], token, slug) for slug in slugs}
    assert after == counts, f"seed {seed}"


async def jobs_of(app: Enfila, queue: str, slug: str) -> int:
    """How many jobs a schedule has made; they outlive it."""
    jobs = await app.repository.find(queue, list(JobState), limit=10_000)
    return sum(job.schedule_id == slug for job in jobs)


# ── a declared job type ──────────────────────────────────────────────────────────────────────


async def test_a_declared_job_is_scheduled_with_its_arguments(token: str) -> None:
    async with Enfila("memory://", clock=FrozenClock(), time_zone="Europe/Berlin") as app:

        @app.job(f"{token}:send", queue="post", attempts=3)
        async def send(to: str, on: date, copies: int = 1) -> None: ...

        often = send.with_options(priority=5)
        definition = often.schedule(f"{token}-post", "0 7 * * *", max_runs=2)(
            "ada@example.org", on=date(2026, 5, 1)
        )
        assert definition.target.job_type == f"{token}:send"
        assert definition.target.document.value == {"to": "ada@example.org", "on": "2026-05-01"}
        assert definition.target.options.priority == 5
        assert definition.time_zone == "Europe/Berlin"
        assert definition.max_runs == 2
        created = await app.schedules.create(definition)
        assert created.next_run_at is not None
        run = await app.schedules.run_now(definition.slug, by="ada")
        assert run.job is not None
        assert (run.job.queue, run.job.name) == ("post", f"{token}:send")
        assert run.job.max_attempts == 3


async def test_arguments_that_do_not_fit_make_no_definition(token: str) -> None:
    async with Enfila("memory://") as app:

        @app.job(f"{token}:send")
        async def send(to: str, copies: int = 1) -> None: ...

        with pytest.raises(InvalidRequest, match="missing a required argument: 'to'"):
            send.schedule("daily", "0 7 * * *")()  # type: ignore[call-arg]
        with pytest.raises(InvalidRequest, match="copies"):
            send.schedule("daily", "0 7 * * *")("ada", copies="many")  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match="leave out delay and run_at"):
            send.with_options(delay=5).schedule("daily", "0 7 * * *")("ada")


async def test_a_registry_without_an_app_makes_no_schedules() -> None:
    types = JobTypeRegistry()

    @types.job("send")
    async def send(to: str) -> None: ...

    with pytest.raises(InvalidRequest, match="a registry without an app"):
        send.schedule("daily", "0 7 * * *")("ada")
