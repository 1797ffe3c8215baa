"""Measures adds, bulk adds, drains and pickup on SQLite and PostgreSQL, and prints a table.

Machines drift, so rows are measured in rounds, one of each per round; the table has medians with
the smallest and largest. Counts are verified in the store after every drain.

    python -m benchmarks                                   SQLite, and PostgreSQL if one is there
    python -m benchmarks --postgres postgresql://host/db   that server (its tables: enfila_bench_…)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import NamedTuple
from uuid import uuid4

from enfila import ActiveJob, Enfila, NewJob, QueueCounts, WorkerOptions

Measurement = Callable[[Enfila, int], Awaitable[float]]


class Row(NamedTuple):
    """One line of the table."""

    name: str
    unit: str
    measure: Measurement


async def noop(_job: ActiveJob[dict[str, int]]) -> None:
    """The job that every queue is measured with."""


async def awaited_adds(app: Enfila, jobs: int) -> float:
    """One add after the other, each awaited."""
    queue = app.queue(f"adds-{uuid4().hex}")
    count = min(jobs // 20, 1000)
    start = perf_counter()
    for number in range(count):
        await queue.add("noop", {"n": number})
    return count / (perf_counter() - start)


async def concurrent_adds(app: Enfila, jobs: int) -> float:
    """100 callers that add one job after the other."""
    queue = app.queue(f"adds-{uuid4().hex}")
    each = max(jobs // 400, 5)

    async def caller() -> None:
        for number in range(each):
            await queue.add("noop", {"n": number})

    start = perf_counter()
    await asyncio.gather(*(caller() for _ in range(100)))
    return 100 * each / (perf_counter() - start)


async def bulk_add(app: Enfila, jobs: int) -> float:
    """All jobs in one call."""
    queue = app.queue(f"bulk-{uuid4().hex}")
    start = perf_counter()
    await queue.add_bulk([NewJob("noop", {"n": number}) for number in range(jobs)])
    return jobs / (perf_counter() - start)


def drain(concurrency: int) -> Measurement:
    """From the worker's start until the store shows every job completed."""

    async def measure(app: Enfila, jobs: int) -> float:
        queue = app.queue(f"drain-{uuid4().hex}")
        await queue.add_bulk([NewJob("noop", {"n": number}) for number in range(jobs)])
        drained = asyncio.Event()
        queue.on("queue.drained", lambda _event: drained.set())
        worker = app.worker(queue, noop, WorkerOptions(concurrency=concurrency))
        start = perf_counter()
        async with worker:
            await drained.wait()
            seconds = perf_counter() - start
        expected = QueueCounts(completed=jobs)
        if (counts := await queue.counts()) != expected:
            raise RuntimeError(f"the store shows {counts}, expected {expected}")
        return jobs / seconds

    return measure


async def pickup(app: Enfila, _jobs: int) -> float:
    """From the call of add to the start of the handler of an idle worker; milliseconds, median."""
    queue = app.queue(f"pickup-{uuid4().hex}")
    started: asyncio.Queue[float] = asyncio.Queue()

    async def note(_job: ActiveJob[None]) -> None:
        started.put_nowait(perf_counter())

    waits = []
    async with app.worker(queue, note):
        for _ in range(50):
            start = perf_counter()
            await queue.add("noop")
            waits.append(await started.get() - start)
            await asyncio.sleep(0.01)
    return statistics.median(waits) * 1000


ROWS = (
    Row("add, one awaited after another", "jobs/s", awaited_adds),
    Row("add, 100 callers at once", "jobs/s", concurrent_adds),
    Row("add_bulk", "jobs/s", bulk_add),
    Row("drain, concurrency 10", "jobs/s", drain(10)),
    Row("drain, concurrency 100", "jobs/s", drain(100)),
    Row("pickup when idle, same process", "ms", pickup),
)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Enfila]:
    """An app on tables of its own."""
    async with Enfila(url, table_prefix="enfila_bench_") as app:
        yield app


async def measure_all(url: str, rounds: int, jobs: int) -> dict[str, list[float]]:
    """All rows, one of each per round."""
    figures: dict[str, list[float]] = {row.name: [] for row in ROWS}
    for _ in range(rounds):
        for row in ROWS:
            async with opened(url) as app:
                figures[row.name].append(await row.measure(app, jobs))
    return figures


def show(title: str, figures: dict[str, list[float]]) -> None:
    """Prints the table of one database."""
    print(f"\n{title}")
    for row in ROWS:
        values = figures[row.name]
        middle = statistics.median(values)
        print(
            f"  {row.name:34} {middle:>10,.1f} {row.unit:7}"
            f" ({min(values):,.1f} to {max(values):,.1f})"
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--postgres", default=os.environ.get("ENFILA_BENCH_POSTGRES_URL"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=20_000)
    given = parser.parse_args()
    print(f"{given.jobs:,} no-op jobs, {given.rounds} rounds, median (smallest to largest)")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        show(
            "SQLite (WAL, synchronous=FULL)",
            asyncio.run(measure_all(url, given.rounds, given.jobs)),
        )
    if given.postgres is None:
        print("\nPostgreSQL: not measured; give --postgres postgresql://user@host/database")
    else:
        show("PostgreSQL", asyncio.run(measure_all(given.postgres, given.rounds, given.jobs)))


if __name__ == "__main__":
    main()
