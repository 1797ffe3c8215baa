"""A day of three schedules in about five seconds, on a clock that runs 21,600 times as fast.

python examples/scheduler_example.py
python examples/scheduler_example.py --url postgresql://user@host/database
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from enfila import (
    ActiveJob,
    Enfila,
    EnfilaError,
    Interval,
    JobTypeRegistry,
    Misfire,
    ScheduleDefinition,
    SchedulerOptions,
    ScheduleState,
    TimesOfDay,
    WorkerOptions,
    migrate,
)
from enfila.core.domain.schedule.events import ScheduleTicked
from enfila.testing import AcceleratedClock

TABLE_PREFIX = "scheduler_example_"
ZONE = ZoneInfo("America/Sao_Paulo")
MIDNIGHT = datetime(2026, 3, 2, tzinfo=ZONE)
EVENING_BEFORE = MIDNIGHT - timedelta(hours=3)
DAY = timedelta(days=1)
CHECKS = 288  # one every five minutes
SECONDS_OF_A_DAY = 4.0
PATIENCE = 20.0

types = JobTypeRegistry()

# ── The work ─────────────────────────────────────────────────────────────────────────────────


@types.job("shop:pipeline", queue="shop")
async def pipeline(job: ActiveJob[object], source: str) -> dict[str, int]:
    """Takes in what came since the last time; it is told when that was."""
    tick = job.scheduled_for
    if tick is not None and tick.previous is not None:
        await job.log(f"{source} since {tick.previous.astimezone(ZONE):%H:%M}")
    return {"processed": 40, "succeeded": 39, "failed": 1}


@types.job("shop:timeouts", queue="shop")
async def check_timeouts() -> None:
    """Looks for orders that nobody paid for in time."""


@types.job("shop:report", queue="shop")
async def send_report(to: str) -> str:
    """Sends the figures of the day."""
    return f"sent to {to}"


# ── The schedules ────────────────────────────────────────────────────────────────────────────


def seeds(app: Enfila) -> list[ScheduleDefinition]:
    """What the code of this program owns. Each deploy brings them again."""
    return [
        app.schedules.define(
            "pipeline",
            pipeline,
            TimesOfDay(["12:00", "18:00", "20:00"]),
            {"source": "orders"},
            category="shop",
        ),
        app.schedules.define(
            "timeouts",
            check_timeouts,
            Interval(300),
            category="shop",
            start_at=MIDNIGHT,
            end_at=MIDNIGHT + DAY - timedelta(minutes=5),
            misfire=Misfire("all"),
        ),
        app.schedules.define(
            "report", send_report, "30 7 * * mon-fri", {"to": "ada@example.org"}, category="mail"
        ),
    ]


# ── The day ──────────────────────────────────────────────────────────────────────────────────


def tell(event: ScheduleTicked) -> None:
    """Prints what happens, apart from what happens every five minutes."""
    if event.slug != "timeouts":
        print(f"  {event.nominal.astimezone(ZONE):%a %H:%M}  {event.slug}")


async def show_plan(app: Enfila) -> None:
    """The next times of each schedule, in words, by the clocks of its zone and in UTC."""
    for schedule in await app.schedules.all():
        plan = await app.schedules.preview(schedule.slug, 3)
        times = ", ".join(f"{time.local:%H:%M} ({time.utc:%H:%M} UTC)" for time in plan.times)
        print(f"{schedule.slug}, {schedule.state}: {plan.words}; next {times}")
    print()


async def wait_for_runs(app: Enfila, slug: str, count: int) -> None:
    """Waits until so many runs of a schedule have succeeded."""
    async with asyncio.timeout(PATIENCE):
        while (await app.schedules.get(slug)).statistics.successes < count:  # noqa: ASYNC110 - of any process
            await asyncio.sleep(0.1)


async def live_through_a_day(app: Enfila) -> None:
    """Has the schedules tick, and a worker do the jobs. In real life these are many processes."""
    scheduler = app.scheduler(SchedulerOptions(poll_interval=0.02, record_interval=0.1))
    scheduler.on("schedule.ticked", tell)
    # A lock is held by the app's clock too: half a minute of it would be over in no time.
    options = WorkerOptions(concurrency=4, lock_duration=timedelta(days=30), maintenance=None)
    async with app.worker(options=options), scheduler:
        await wait_for_runs(app, "timeouts", CHECKS)
        await wait_for_runs(app, "pipeline", 3)


async def check(app: Enfila) -> bool:
    """Compares the day with what the schedules say."""
    runs = (await app.schedules.history("pipeline"))[::-1][:3]
    hours = [f"{run.nominal.astimezone(ZONE):%H:%M}" for run in runs]
    log = [line.line for run in runs for line in (await app.schedules.details(run)).log]
    timeouts = await app.schedules.history("timeouts", 1_000)
    report = await app.schedules.run_now("report", by="ada")
    facts = {
        "The pipeline ran at 12:00, 18:00 and 20:00.": hours == ["12:00", "18:00", "20:00"],
        "Each run knew the one before.": log[:2] == ["orders since 12:00", "orders since 18:00"],
        "Its function counted items.": all(run.items and run.items.failed == 1 for run in runs),
        "Every five minutes there was one check.": len({run.nominal for run in timeouts})
        == len(timeouts)
        == CHECKS,
        "Its end is reached, and it is still there to be seen.": (
            await app.schedules.get("timeouts")
        ).state
        is ScheduleState.FINISHED,
        "The report rested, until somebody wanted it at once.": report.by == "ada"
        and len(await app.schedules.history("report")) == 1,
    }
    for fact, holds in facts.items():
        print(f"{'✓' if holds else '✗'} {fact}")
    return all(facts.values())


async def play(url: str) -> bool:
    """The whole story; whether all was as it should be."""
    await migrate(url, table_prefix=TABLE_PREFIX)  # before the clock starts to run
    clock = AcceleratedClock(EVENING_BEFORE, DAY.total_seconds() / SECONDS_OF_A_DAY)
    async with Enfila(
        url, clock=clock, time_zone=ZONE.key, table_prefix=TABLE_PREFIX, job_types=types
    ) as app:
        await app.schedules.sync([])  # what an earlier run has left
        await app.schedules.sync(seeds(app), disabled=["report"])
        await show_plan(app)
        await live_through_a_day(app)
        return await check(app)


def main() -> int:
    """Plays it in a file that is thrown away, or in the database that is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a database; a file that is thrown away when left out")
    given: str | None = parser.parse_args().url
    with tempfile.TemporaryDirectory() as folder:
        try:
            is_well = asyncio.run(play(given or f"sqlite:///{Path(folder) / 'schedules.db'}"))
        except EnfilaError as error:
            print(error)
            return 2
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
