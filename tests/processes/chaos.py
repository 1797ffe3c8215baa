"""Kills workers at random and proves that no job is lost: `python -m tests.processes.chaos`.

Worker and enqueuing processes share a database while they are killed (SIGKILL), stopped for longer
than their locks hold (SIGSTOP, SIGCONT), ended (SIGTERM) and started anew, and on PostgreSQL their
connections are cut. Then the queue drains, and the checker compares what the processes wrote down
with what stands in the database.
"""

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import sqlalchemy as sa

from tests.postgres_servers import new_database, postgres_server
from tests.processes.chaos_command import command
from tests.processes.checker import History, Stored, violations
from tests.processes.enqueuer_program import EnqueuerPlan
from tests.processes.history import Added, Blow, Ended, Lost, Ready, Stalled, Started, Struck
from tests.processes.place import Place, orders_table, own_engine, read_stored, unfinished
from tests.processes.programs import Program, Programs
from tests.processes.worker_program import WorkerPlan

QUEUE: Final = "chaos"
_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class ChaosPlan:
    """How wild it gets. Lengths of time in seconds.

    Attributes:
        seed: of all chances; the processes' own timing is not in its power.
        seconds: how long jobs are added and processes struck.
        rate: jobs in a second, of all who add together.
        lock: how long the workers' locks hold.
        patience: how long the queue may take to drain afterwards.
    """

    seed: int
    seconds: float = 60.0
    workers: int = 3
    enqueuers: int = 2
    rate: float = 220.0
    lock: float = 2.0
    patience: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came out of one run."""

    seed: int
    database: str
    violations: list[str]
    history: History
    stored: Stored
    drained_in: float

    def __str__(self) -> str:
        blows = Counter(struck.blow for struck in self.history.all(Struck))
        runs = self.history.all(Started)
        facts = [
            f"{len(self.stored.jobs):,} jobs",
            f"{len(runs):,} runs",
            f"{sum(len(added.jobs) for added in self.history.all(Added)):,} accepted",
            f"{blows[Blow.KILL]} kills",
            f"{blows[Blow.STOP]} stops",
            f"{blows[Blow.TERMINATE]} ends",
            f"{blows[Blow.CUT]} cuts",
            f"{blows[Blow.OUTAGE]} outages",
            f"{len(self.history.all(Stalled))} stalled",
            f"{len(self.history.all(Lost))} locks lost",
            f"drained in {self.drained_in:.1f} s",
        ]
        word = "VIOLATED" if self.violations else "ok"
        lines = [f"seed {self.seed} {self.database}: {word}: {', '.join(facts)}"]
        lines += [f"  {sentence}" for sentence in self.violations[:_SHOWN]]
        if len(self.violations) > _SHOWN:
            lines.append(f"  … and {len(self.violations) - _SHOWN} more")
        return "\n".join(lines)


@dataclass
class Crowd:
    """The processes of one run.

    Attributes:
        blows: what may be done to them, and how likely each is.
        due: when stopped processes are to be continued.
    """

    plan: ChaosPlan
    place: Place
    programs: Programs
    random: random.Random
    blows: Mapping[Callable[[], object], int] = field(default_factory=dict)
    workers: list[Program] = field(default_factory=list)
    enqueuers: list[Program] = field(default_factory=list)
    due: list[tuple[float, Program]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _ended: list[Program] = field(default_factory=list)

    # ── starting ─────────────────────────────────────────────────────────────────────────────

    def start_all(self) -> None:
        for _ in range(self.plan.workers):
            self.start_worker()
        for _ in range(self.plan.enqueuers):
            self.start_enqueuer()
        since = time.monotonic()
        while self._is_patient(since) and not all(each.has(Ready) for each in self.programs.all):
            time.sleep(0.02)

    def start_worker(self) -> None:
        program = self.programs.start(
            "worker_program",
            WorkerPlan,
            place=self.place,
            queue=QUEUE,
            concurrency=self.random.choice([4, 16, 50]),
            lock=self.plan.lock,
            grace=self.random.choice([0.3, 5.0]),
            cancellation_grace=1.0,
        )
        self.workers.append(program)

    def start_enqueuer(self) -> None:
        program = self.programs.start(
            "enqueuer_program",
            EnqueuerPlan,
            place=self.place,
            queue=QUEUE,
            seed=self.random.getrandbits(32),
            rate=self.plan.rate / self.plan.enqueuers,
            longest=self.plan.lock * 1.25,
        )
        self.enqueuers.append(program)

    # ── striking ─────────────────────────────────────────────────────────────────────────────

    def torment(self) -> None:
        """Strikes until the time is over, then lets everybody go on."""
        ends = time.monotonic() + self.plan.seconds
        while (now := time.monotonic()) < ends:
            next_blow = now + self.random.uniform(0.1, 0.9)
            while (now := time.monotonic()) < next_blow:
                self.go_on(now)
                self.replace_unborn()
                time.sleep(0.02)
            self.strike()
        self.go_on(float("inf"))

    def strike(self) -> None:
        """One blow, if there is anybody to take it."""
        [blow] = self.random.choices(list(self.blows), list(self.blows.values()))
        blow()

    def kill(self) -> None:
        if victim := self._victim(self.workers):
            self.workers.remove(victim)
            victim.kill()
            self.start_worker()

    def kill_enqueuer(self) -> None:
        if victim := self._victim(self.enqueuers):
            self.enqueuers.remove(victim)
            victim.kill()
            self.start_enqueuer()

    def stop(self) -> None:
        """For longer than the lock holds; others take its jobs over meanwhile."""
        if len(self.due) < self.plan.workers - 1 and (victim := self._victim(self.workers)):
            victim.strike(Blow.STOP)
            wait = self.plan.lock * self.random.uniform(1.1, 1.8)
            self.due.append((time.monotonic() + wait, victim))

    def end(self) -> None:
        if victim := self._victim(self.workers):
            self.workers.remove(victim)
            self._ended.append(victim)
            victim.strike(Blow.TERMINATE)
            self.start_worker()

    def cut_connections(self) -> None:
        self.programs.blows.write(Struck, target="all", blow=Blow.CUT)
        cut_connections(self.place)

    def replace_unborn(self) -> None:
        """Starts others for those that found no database when they began, as a supervisor does."""
        for programs, start in (
            (self.workers, self.start_worker),
            (self.enqueuers, self.start_enqueuer),
        ):
            for program in [each for each in programs if each.is_unborn]:
                programs.remove(program)
                start()

    def go_on(self, now: float) -> None:
        """Continues those whose time has come."""
        for due, program in [each for each in self.due if each[0] <= now]:
            self.due.remove((due, program))
            program.strike(Blow.CONTINUE)

    def _victim(self, among: list[Program]) -> Program | None:
        stopped = [program for _, program in self.due]
        able = [each for each in among if each not in stopped and each.has(Ready)]
        return self.random.choice(able) if able else None

    # ── coming to rest ───────────────────────────────────────────────────────────────────────

    def rest(self) -> float:
        """Ends those who add, waits until all is done, ends the workers; the seconds it took."""
        self._end_all(self.enqueuers)
        since = time.monotonic()
        while (left := unfinished(self.place, QUEUE)) and self._is_patient(since):
            self.replace_unborn()
            time.sleep(0.05)
        if left:
            self.faults.append(f"{left} jobs are left after {self.plan.patience:g} s")
        drained_in = time.monotonic() - since
        self._end_all(self.workers)
        self._end_all(self._ended, is_told=True)
        return drained_in

    def _is_patient(self, since: float) -> bool:
        return time.monotonic() - since < self.plan.patience

    def _end_all(self, programs: list[Program], *, is_told: bool = False) -> None:
        since = time.monotonic()
        for program in programs:
            # Before it is ready it does not hear signals yet.
            while program.is_running and not program.has(Ready) and self._is_patient(since):
                time.sleep(0.02)
            if not is_told:
                program.strike(Blow.TERMINATE)
        for program in programs:
            program.process.join(self.plan.patience)
            is_well = program.process.exitcode == 0 and program.has(Ended)
            if not is_well and not program.is_unborn:
                self.faults.append(
                    f"{program.name} ended with {program.process.exitcode}: {program.said}"
                )


Blows = Mapping[Callable[[], object], int]
"""What may be done, and how likely each is."""


def all_blows(crowd: Crowd) -> Blows:
    """Everything that can be done to processes."""
    blows: dict[Callable[[], object], int] = {
        crowd.kill: 5,
        crowd.stop: 4,
        crowd.end: 2,
        crowd.kill_enqueuer: 1,
    }
    if not crowd.place.is_file:
        blows[crowd.cut_connections] = 2
    return blows


def cut_connections(place: Place) -> int:
    """Ends all other connections to the database of a place, as a failing network would."""
    with place.connection() as connection:
        ended = connection.scalars(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        return sum(ended)


def run_chaos(
    plan: ChaosPlan, place: Place, folder: Path, blows: Callable[[Crowd], Blows] = all_blows
) -> Verdict:
    """One run in an empty place.

    Args:
        folder: where the processes write; it must not exist yet.
        blows: what is done to them.
    """
    asyncio.run(_prepare(place))
    with Programs(folder) as programs:
        crowd = Crowd(plan, place, programs, random.Random(plan.seed))
        crowd.blows = blows(crowd)
        crowd.start_all()
        crowd.torment()
        drained_in = crowd.rest()
        history = History(records=programs.history())
    stored = read_stored(place, QUEUE, asyncio.run(counters(place, QUEUE)))
    return Verdict(
        seed=plan.seed,
        database=place.kind,
        violations=[*crowd.faults, *violations(history, stored)],
        history=history,
        stored=stored,
        drained_in=drained_in,
    )


async def _prepare(place: Place) -> None:
    async with place.app():
        pass
    engine = own_engine(place)
    orders_table().create(engine)
    engine.dispose()


async def counters(place: Place, queue: str) -> dict[str, int]:
    """How many jobs are in each state, as the queue says."""
    async with place.app() as app:
        counts = await app.queue(queue).counts()
    return {state: getattr(counts, state) for state in counts.__slots__}


# ── the command ──────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def places(wanted: str, folder: Path) -> Iterator[list[Place]]:
    """An empty place for each database that is wanted."""
    with contextlib.ExitStack() as stack:
        found = []
        if wanted in {"sqlite", "both"}:
            found.append(Place(f"sqlite:///{folder / 'jobs.db'}"))
        if wanted in {"postgres", "both"}:
            server = stack.enter_context(postgres_server())
            database = stack.enter_context(new_database(server))
            url = database.render_as_string(hide_password=False)
            found.append(Place(url, f"processes_{uuid4().hex[:8]}"))
        yield found


def _torment(seed: int, seconds: float, place: Place, folder: Path) -> Verdict:
    return run_chaos(ChaosPlan(seed=seed, seconds=seconds), place, folder)


def main() -> int:
    return command("tests.processes.chaos", __doc__, torment=_torment, places=places, seconds=60.0)


if __name__ == "__main__":
    sys.exit(main())
