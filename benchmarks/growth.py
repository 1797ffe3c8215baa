"""Measures whether claiming and settling a job costs more when there is much else in the table.

A worker of its own process drains no-op jobs, alone and then beside other rows; what counts is the
ratio. The rows beside are copies of real ones, made with plain SQL.

    python -m benchmarks.growth               millions of rows: many minutes
    python -m benchmarks.growth --scale 0.01  quick, to see that it works
    python -m benchmarks.growth --only history,payloads
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.measuring import System, drain, first_mark
from benchmarks.report import number
from benchmarks.stores import (
    STANDARD_POSTGRES,
    NoServerError,
    PostgresStore,
    SqliteStore,
    SqlStore,
    scratch_folder,
)
from benchmarks.systems import Kind, enfila
from enfila import ActiveJob, Enfila, JobOptions, WorkerOptions

TABLE: Final = "enfila_jobs"
QUEUE: Final = "bench"
CONCURRENCY: Final = 100
LEFT: Final = "select count(*) from enfila_jobs where name = 'noop' and state <> 'completed'"
DRAIN_TIMEOUT: Final = 600.0


class Ground(NamedTuple):
    """Where it is measured."""

    kind: Kind
    store: SqlStore
    system: System


class Size(NamedTuple):
    """How much is measured."""

    jobs: int
    scale: float
    rounds: int

    def rows(self, count: int) -> int:
        """So many, scaled."""
        return max(round(count * self.scale), 1)


# ── the drain ────────────────────────────────────────────────────────────────────────────────


def instants(system: System, jobs: int) -> list[float]:
    """Adds and drains jobs; when each handler started, in order."""
    system.forget_marks()
    system.do("bulk", jobs)
    with system.workers(CONCURRENCY) as workers:
        workers.start()
        first = first_mark(system, workers)
        while system.runs() < jobs or system.left():
            workers.check()
            if time.time() > first + DRAIN_TIMEOUT:
                raise TimeoutError(f"{system.runs()} of {jobs} jobs ran")
            time.sleep(0.02)
    return [instant for _, instant in system.marks("runs")]


def cost(run: Sequence[float]) -> float:
    """Microseconds per job."""
    return (run[-1] - run[0]) / (len(run) - 1) * 1e6


def costs(system: System, size: Size) -> float:
    """The median of some drains, one after the other in the same table."""
    return statistics.median(cost(instants(system, size.jobs)) for _ in range(size.rounds))


def alone(system: System, size: Size) -> float:
    """The cost in a table that has nothing else."""
    system.prepare()
    instants(system, size.jobs)  # the first one makes the tables
    system.store.settle()
    return costs(system, size)


def say(what: str, value: float, base: float | None = None) -> None:
    """One line."""
    ratio = "" if base is None else f"ratio {value / base:.2f}"
    print(f"  {what:72} {number(value):>8} µs a job  {ratio}".rstrip(), flush=True)


# ── rows beside ──────────────────────────────────────────────────────────────────────────────


async def seed(ground: Ground) -> None:
    """Leaves a waiting, a delayed, a completed and an active row, all named `seed`."""
    async with Enfila(ground.store.url) as app:
        queue = app.queue("seeds")
        holds = asyncio.Event()
        ends = asyncio.Event()

        async def handle(job: ActiveJob[bool]) -> None:
            if job.payload:
                holds.set()
                await ends.wait()

        await queue.add("seed", None, JobOptions(delay=timedelta(days=1)))
        done = await queue.add("seed", False)
        await queue.add("seed", True)
        async with app.worker(queue, handle, WorkerOptions(concurrency=2)):
            await done.result(timeout=30)
            await holds.wait()
            tomorrow = "(select run_at from enfila_jobs where state = 'delayed' and name = 'seed')"
            copy(ground, "active", 1, {"locked_until": tomorrow, "queue": "'kept'"})
            ends.set()
        await queue.add("seed", None)


def copy(ground: Ground, state: str, count: int, other: Mapping[str, str] | None = None) -> None:
    """Copies the seed in this state.

    Args:
        other: columns that are not copied, with SQL in which `series.n` counts from 1.
    """
    copy_ids = next(_FREE_IDS)
    values = {
        "id": _ID[ground.kind].format(n=f"series.n + {copy_ids}"),
        "name": "'copy'" if count > 1 else "'seed'",
        "queue": f"'{QUEUE}'",
        "position": "seed.position + series.n",
        **(other or {}),
    }
    columns = ground.store.columns(TABLE)
    selected = ", ".join(values.get(column, f"seed.{column}") for column in columns)
    kept = "queue = 'kept'" if state == "active" and count > 1 else "true"
    ground.store.execute(f"""
        insert into {TABLE} ({", ".join(columns)})
        select {selected} from {TABLE} as seed, {_SERIES[ground.kind].format(count=count)} as series
        where seed.id = (
            select id from {TABLE} where name = 'seed' and state = '{state}' and {kept} limit 1
        )
    """)


_FREE_IDS: Final = iter(range(0, 10**12, 10**8))
_ID: Final[Mapping[Kind, str]] = {
    "postgres": "cast(format('00000000-0000-7000-8000-%s', lpad(to_hex({n}), 12, '0')) as uuid)",
    "sqlite": "printf('00000000-0000-7000-8000-%012x', {n})",
}
_SERIES: Final[Mapping[Kind, str]] = {
    "postgres": "(select n::bigint from generate_series(1, {count}) as given (n))",
    "sqlite": """(
        with recursive counted (n) as (
            select 1 union all select n + 1 from counted where n < {count}
        )
        select n from counted
    )""",
}


# ── what is measured ─────────────────────────────────────────────────────────────────────────


def history(ground: Ground, size: Size) -> None:
    """Beside finished, delayed and active rows; statistics as of the empty table, then fresh."""
    base = alone(ground.system, size)
    say("alone", base)
    asyncio.run(seed(ground))
    if ground.kind == "postgres":
        ground.store.execute(f"alter table {TABLE} set (autovacuum_enabled = off)")
    counts = {"completed": 1_000_000, "delayed": 1_000_000, "active": 100_000}
    for state, count in counts.items():
        copy(ground, state, size.rows(count))
    beside = ", ".join(f"{size.rows(count):,} {state}" for state, count in counts.items())
    say(f"beside {beside}; no ANALYZE since", costs(ground.system, size), base)
    ground.store.execute("analyze")
    say("the same, after ANALYZE", costs(ground.system, size), base)


def queues(ground: Ground, size: Size) -> None:
    """Beside a thousand other queues with a thousand waiting jobs each."""
    base = alone(ground.system, size)
    say("alone", base)
    asyncio.run(seed(ground))
    count = size.rows(1_000_000)
    copy(ground, "waiting", count, {"queue": "'other-' || (series.n % 1000)"})
    ground.store.settle()
    say(
        f"beside 1,000 queues with {count // 1000:,} waiting jobs each",
        costs(ground.system, size),
        base,
    )


def snapshot(ground: Ground, size: Size) -> None:
    """While an old transaction keeps every version of every row."""
    jobs = 10 * size.jobs
    for what, is_held in (("", False), (", beside an open transaction", True)):
        alone(ground.system, size._replace(rounds=1))
        with ground.store.held_open(TABLE) if is_held else nullcontext():
            run = instants(ground.system, jobs)
        first = cost(run[: size.jobs])
        say(f"the first {size.jobs:,} of {jobs:,} jobs{what}", first)
        say(f"the last {size.jobs:,}", cost(run[-size.jobs :]), first)


def payloads(ground: Ground, size: Size) -> None:
    """With payloads of three sizes."""
    base = None
    for name, length, share in (("100 B", 100, 1), ("10 kB", 10_000, 10), ("500 kB", 500_000, 50)):
        environment = {**ground.system.environment, "BENCH_PAYLOAD": str(length)}
        sized = replace(ground.system, environment=environment)
        jobs = max(size.jobs // share, 20)
        drained = [drain(sized, jobs, CONCURRENCY) for _ in range(size.rounds)]
        value = 1e6 / statistics.median(each.rate for each in drained)
        say(f"payloads of {name}, {jobs:,} jobs", value, base)
        say("  add_bulk", 1e6 / statistics.median(each.added for each in drained))
        base = base or value


Scenario = Callable[[Ground, Size], None]
SCENARIOS: Final[Mapping[str, Scenario]] = {
    "history": history,
    "queues": queues,
    "snapshot": snapshot,
    "payloads": payloads,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postgres", default=STANDARD_POSTGRES, help="'' leaves it out")
    parser.add_argument("--only", default="", help=", ".join(SCENARIOS))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    names = given.only.split(",") if given.only else list(SCENARIOS)
    if unknown := set(names) - set(SCENARIOS):
        sys.exit(f"no such scenarios: {', '.join(sorted(unknown))}")
    size = Size(max(round(10_000 * given.scale), 500), given.scale, given.rounds)
    stores: dict[Kind, Callable[[Path], SqlStore]] = {"sqlite": SqliteStore}
    if given.postgres:
        stores["postgres"] = lambda _folder: PostgresStore(given.postgres)
    print(f"claim and settle, concurrency {CONCURRENCY}, {size.jobs:,} jobs at a time")
    with scratch_folder() as folder:
        for kind, make in stores.items():
            try:
                store = make(folder)
            except NoServerError as error:
                print(f"\n{kind}: {error}")
                continue
            with closing(store):
                system = replace(enfila(kind).system(store, folder, None), unfinished=(LEFT,))
                for name in names:
                    print(f"\n{kind}, {name}")
                    SCENARIOS[name](Ground(kind, store, system), size)


if __name__ == "__main__":
    main()
