"""Schedules are edited while they are due, by a process that makes no ticks itself."""

import asyncio
import random
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial

import pytest
import sqlalchemy as sa

from enfila import Enfila, Interval, Misfire, ScheduleDefinition
from enfila.testing import AcceleratedClock
from tests.processes.history import Ready
from tests.processes.place import Place, tables_of
from tests.processes.programs import Program, Programs
from tests.processes.scheduler_program import SchedulerPlan
from tests.waiting import eventually

pytestmark = [pytest.mark.processes, pytest.mark.slow]

QUEUE = "ticks"
START = datetime(2026, 1, 1, tzinfo=UTC)
FACTOR = 600.0
"""So that a schedule of one minute ticks ten times a second."""
SCHEDULERS, SCHEDULES = 3, 30


async def running(programs: Programs, place: Place, began: float) -> list[Program]:
    started = [
        programs.start(
            "scheduler_program",
            SchedulerPlan,
            place=place,
            queue=QUEUE,
            start=START.isoformat(),
            began=began,
            factor=FACTOR,
        )
        for _ in range(SCHEDULERS)
    ]
    for program in started:
        await eventually(partial(program.has, Ready), message="a scheduler is ready")
    return started


async def test_after_the_commit_of_an_edit_no_process_ticks_by_the_old_rule(
    place: Place, programs: Programs
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    began = time.time()
    async with place.app(clock=AcceleratedClock(START, FACTOR, began=began)) as app:
        slugs = [f"schedule-{number}" for number in range(SCHEDULES)]
        for slug in slugs:
            await app.schedules.create(_every_minute(app, slug, "old"))
        await running(programs, place, began)
        await eventually(
            lambda: all(_ticks(place)[slug, "old"] for slug in slugs), message="all tick"
        )
        counts = await asyncio.gather(*(_edit(app, place, slug, chance) for slug in slugs))
        standing = dict(zip(slugs, counts, strict=True))
        new = [slug for slug in slugs if await _is_edited(app, slug)]
        assert new, f"seed {seed} edits none"
        before = _ticks(place)
        await eventually(
            lambda: all(_ticks(place)[slug, "new"] > before[slug, "new"] + 3 for slug in new),
            message="all that were edited tick on",
        )
        after = _ticks(place)
    assert {slug: after[slug, "old"] for slug in slugs} == standing


def _every_minute(app: Enfila, slug: str, rule: str) -> ScheduleDefinition:
    return app.schedules.define(
        slug, rule, Interval(60), queue=QUEUE, misfire=Misfire("all", cap=1_000)
    )


async def _edit(app: Enfila, place: Place, slug: str, chance: random.Random) -> int:
    """Edits, disables or deletes it; how many ticks of the old rule there were right after."""
    await asyncio.sleep(chance.uniform(0, 0.5))
    match chance.choice(["edit", "disable", "delete"]):
        case "edit":
            await app.schedules.update(_every_minute(app, slug, "new"), version=1)
        case "disable":
            await app.schedules.disable(slug)
        case _:
            await app.schedules.delete(slug)
    return _ticks(place)[slug, "old"]


async def _is_edited(app: Enfila, slug: str) -> bool:
    found = [each for each in await app.schedules.all() if each.slug == slug]
    return bool(found) and found[0].definition.target.job_type == "new"


def _ticks(place: Place) -> Counter[tuple[str, str]]:
    """How many jobs there are for each schedule and rule; a rule is told by its jobs' name."""
    jobs = tables_of(place).jobs
    with place.connection() as connection:
        rows = connection.execute(sa.select(jobs.c.schedule_id, jobs.c.name))
        return Counter((row[0], row[1]) for row in rows)
