"""Kills schedulers at random and proves that no tick is lost: `python -m ….schedule_chaos`.

Three scheduler processes share a database while an accelerated week passes. They are killed
(SIGKILL) and started anew, and on PostgreSQL their connections are cut. At the end every schedule
that catches up all has made each tick of its rule exactly once, and none has made one twice.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from enfila import (
    CatchUp,
    Cron,
    Enfila,
    Interval,
    Misfire,
    Overlap,
    ScheduleDefinition,
    ScheduledFor,
    Target,
    TimesOfDay,
)
from enfila.core.domain.schedule.due import times_between
from enfila.core.domain.schedule.triggers.trigger import Trigger
from enfila.testing import FrozenClock
from tests.processes.chaos import cut_connections, places
from tests.processes.chaos_command import command
from tests.processes.history import Blow, Ended, Ready, Struck
from tests.processes.place import Place, tables_of
from tests.processes.programs import Program, Programs
from tests.processes.scheduler_program import SchedulerPlan

QUEUE: Final = "scheduled"
WEEK: Final = timedelta(days=7)
START: Final = datetime(2025, 10, 24, tzinfo=UTC)
"""The clocks of Europe are moved on the Sunday of that week."""
ZONES: Final = (
    "America/Sao_Paulo",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "UTC",
)
_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class SchedulePlan:
    """How wild it gets.

    Attributes:
        seed: of all chances; the processes' own timing is not in its power.
        seconds: how long the week takes.
        patience: how many seconds there are to catch up afterwards.
    """

    seed: int
    seconds: float = 45.0
    schedules: int = 200
    schedulers: int = 3
    patience: float = 60.0

    @property
    def factor(self) -> float:
        return WEEK.total_seconds() / self.seconds


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came out of one run."""

    seed: int
    database: str
    violations: list[str]
    facts: list[str]

    def __str__(self) -> str:
        word = "VIOLATED" if self.violations else "ok"
        lines = [f"seed {self.seed} {self.database}: {word}: {', '.join(self.facts)}"]
        lines += [f"  {sentence}" for sentence in self.violations[:_SHOWN]]
        if len(self.violations) > _SHOWN:
            lines.append(f"  … and {len(self.violations) - _SHOWN} more")
        return "\n".join(lines)


# ── schedules ────────────────────────────────────────────────────────────────────────────────


def definitions(plan: SchedulePlan) -> Iterator[ScheduleDefinition]:
    """Schedules of all kinds; two of three catch up all. They end with the week."""
    chance = random.Random(plan.seed)
    for number in range(plan.schedules):
        minute, hour = chance.randrange(60), chance.randrange(24)
        every = chance.choice([2, 3, 4, 6, 8, 12])
        triggers: list[Trigger] = [
            Interval(every * 3600 + chance.randrange(600)),
            Cron(f"{minute} {hour} * * *"),
            Cron(f"{minute} */{every} * * *"),
            Cron(f"{minute},30 {hour} * * mon-fri"),
            TimesOfDay([f"{hour:02}:{minute:02}", "02:30"]),
        ]
        definition = ScheduleDefinition(
            f"schedule-{number}",
            Target.of("noop", queue=QUEUE),
            chance.choice(triggers),
            time_zone=chance.choice(ZONES),
            end_at=START + WEEK,
            misfire=Misfire(CatchUp.ALL, cap=10_000),
            jitter=timedelta(minutes=chance.choice([0, 0, 10])),
        )
        if number % 3 == 0:
            rule = Misfire(chance.choice([CatchUp.LATEST, CatchUp.NONE]), 3 * 3600)
            overlap = chance.choice(list(Overlap))
            definition = replace(definition, misfire=rule, overlap=overlap)
        yield definition


# ── processes ────────────────────────────────────────────────────────────────────────────────


@dataclass
class Shift:
    """The schedulers of one run."""

    plan: SchedulePlan
    place: Place
    programs: Programs
    random: random.Random
    began: float
    running: list[Program] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def start(self) -> None:
        program = self.programs.start(
            "scheduler_program",
            SchedulerPlan,
            place=self.place,
            queue=QUEUE,
            start=START.isoformat(),
            began=self.began,
            factor=self.plan.factor,
        )
        self.running.append(program)

    def torment(self) -> None:
        """Strikes until the week is over."""
        for _ in range(self.plan.schedulers):
            self.start()
        while time.time() < self.began + self.plan.seconds:
            time.sleep(self.random.uniform(0.05, 0.5))
            self.replace_dead()
            if not self.place.is_file and self.random.random() < 0.2:
                self.programs.blows.write(Struck, target="all", blow=Blow.CUT)
                cut_connections(self.place)
            else:
                self.kill_one()

    def kill_one(self) -> None:
        """Often in the middle of what it does; now and then before it has begun."""
        victim = self.random.choice(self.running)
        if victim.has(Ready) or self.random.random() < 0.1:
            self.running.remove(victim)
            victim.kill()
            self.start()

    def replace_dead(self) -> None:
        """Starts others for those that found no database when they began, as a supervisor does."""
        for program in [each for each in self.running if each.is_unborn]:
            self.running.remove(program)
            self.start()

    def rest(self) -> float:
        """Waits until all schedules are finished, ends the schedulers; the seconds it took."""
        since = time.monotonic()
        while (left := unfinished_schedules(self.place)) and self._is_patient(since):
            self.replace_dead()
            time.sleep(0.05)
        if left:
            self.faults.append(f"{left} schedules are not finished")
        took = time.monotonic() - since
        for program in self.running:
            while program.is_running and not program.has(Ready) and self._is_patient(since):
                time.sleep(0.02)
            program.strike(Blow.TERMINATE)
        for program in self.running:
            program.process.join(self.plan.patience)
            if not (program.process.exitcode == 0 and program.has(Ended)) and not program.is_unborn:
                self.faults.append(
                    f"{program.name} ended with {program.process.exitcode}: {program.said}"
                )
        return took

    def _is_patient(self, since: float) -> bool:
        return time.monotonic() - since < self.plan.patience


def unfinished_schedules(place: Place) -> int:
    """How many schedules still have a next time."""
    schedules = tables_of(place).schedules
    with place.connection() as connection:
        found = connection.scalar(
            sa.select(sa.func.count()).where(schedules.c.wake_at.is_not(None))
        )
    return found or 0


# ── checking ─────────────────────────────────────────────────────────────────────────────────

Times = dict[str, Counter[datetime]]


def read_times(place: Place) -> tuple[Times, Times, int]:
    """The nominal times of each schedule's runs, and of its jobs; how many runs were skipped."""
    tables = tables_of(place)
    runs: Times = defaultdict(Counter)
    jobs: Times = defaultdict(Counter)
    skipped = 0
    with place.connection() as connection:
        for row in connection.execute(sa.select(tables.schedule_runs)):
            runs[row.slug][row.nominal] += 1
            skipped += row.job_id is None
        for (options,) in connection.execute(sa.select(tables.jobs.c.options)):
            told = ScheduledFor.of(json.loads(options)["metadata"])
            assert told is not None
            jobs[told.slug][told.nominal] += 1
    return runs, jobs, skipped


def violations(given: list[ScheduleDefinition], runs: Times, jobs: Times) -> list[str]:
    """What is wrong with the times of all schedules, in sentences."""
    found = []
    for definition in given:
        slug = definition.slug
        wanted = set(times_between(definition, START + timedelta.resolution, START + WEEK))
        ran, made = runs.get(slug, Counter()), jobs.get(slug, Counter())
        for what, times in (("runs", ran), ("jobs", made)):
            twice = [each.isoformat() for each, count in times.items() if count > 1]
            if twice:
                found.append(f"{slug} has {what} twice: {', '.join(twice)}")
            if foreign := set(times) - wanted:
                found.append(f"{slug} has {what} that its rule does not name: {sorted(foreign)}")
        if definition.misfire.catch_up is CatchUp.ALL:
            for what, times in (("runs", ran), ("jobs", made)):
                if lost := wanted - set(times):
                    found.append(f"{slug} lacks {what}: {sorted(map(str, lost))}")
    return found


# ── one run ──────────────────────────────────────────────────────────────────────────────────


def run_schedule_chaos(plan: SchedulePlan, place: Place, folder: Path) -> Verdict:
    """One run in an empty place; the processes write in `folder`, which must not exist yet."""
    given = list(definitions(plan))
    # At the first instant of the week: so they miss none of its ticks.
    asyncio.run(_create(place.app(clock=FrozenClock(START)), given))
    with Programs(folder) as programs:
        shift = Shift(plan, place, programs, random.Random(plan.seed), time.time())
        shift.torment()
        took = shift.rest()
        blows = Counter(each.blow for each in programs.history() if isinstance(each, Struck))
    runs, jobs, skipped = read_times(place)
    facts = [
        f"{len(given)} schedules",
        f"{sum(each.total() for each in jobs.values()):,} jobs",
        f"{skipped} skipped",
        f"{blows[Blow.KILL]} kills",
        f"{blows[Blow.CUT]} cuts",
        f"caught up in {took:.1f} s",
    ]
    return Verdict(
        seed=plan.seed,
        database=place.kind,
        violations=[*shift.faults, *violations(given, runs, jobs)],
        facts=facts,
    )


async def _create(app: Enfila, given: list[ScheduleDefinition]) -> None:
    async with app:
        await asyncio.gather(*(app.schedules.create(each) for each in given))


# ── the command ──────────────────────────────────────────────────────────────────────────────


def _torment(seed: int, seconds: float, place: Place, folder: Path) -> Verdict:
    return run_schedule_chaos(SchedulePlan(seed=seed, seconds=seconds), place, folder)


def main() -> int:
    return command(
        "tests.processes.schedule_chaos", __doc__, torment=_torment, places=places, seconds=45.0
    )


if __name__ == "__main__":
    sys.exit(main())
