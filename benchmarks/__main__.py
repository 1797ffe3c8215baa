"""Measures adds, drains, pickup, memory and CPU on SQLite and PostgreSQL, and prints a table.

Machines drift, so everything is measured in rounds; the table has medians with the smallest and
largest. The worker is a process of its own, and what it did is counted in the store.

    python -m benchmarks                                   SQLite, and PostgreSQL if one is there
    python -m benchmarks --postgres postgresql://host/db   that server
    python -m benchmarks.peers                             beside other job queues
    python -m benchmarks.growth                            with millions of other jobs in the table
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks import report
from benchmarks.measuring import Drained, System, adds, drain, pickups
from benchmarks.stores import (
    STANDARD_POSTGRES,
    NoServerError,
    PostgresStore,
    SqliteStore,
    Store,
    scratch_folder,
)
from benchmarks.systems import Kind, enfila, enfila_retrying

PICKUPS = 100


class Figure(NamedTuple):
    """One measured number."""

    title: str
    unit: str
    value: float


def one_round(ours: System, retrying: System, jobs: int) -> Iterator[Figure]:
    """Everything, once."""
    yield Figure("add, one awaited after another", "jobs/s", adds(ours, "add", jobs // 20))
    yield Figure("add, 100 callers at once", "jobs/s", adds(ours, "callers", jobs // 4))
    at_100, at_10 = drain(ours, jobs, 100), drain(ours, jobs, 10)
    yield Figure("add_bulk", "jobs/s", at_100.added)
    yield from _drained("drain, concurrency 100", at_100)
    yield from _drained("drain, concurrency 10", at_10)
    failing = drain(retrying, jobs // 4, 100)
    yield Figure("drain, each job fails once", "jobs/s", failing.rate)
    for processes in (2, 4):
        together = drain(ours, jobs, 100, processes=processes)
        yield Figure(f"drain, {processes} processes", "jobs/s", together.rate)
    yield from _pickups(ours, min(PICKUPS, jobs // 20), load=at_10.rate / 2)


def _drained(title: str, drained: Drained) -> Iterator[Figure]:
    yield Figure(title, "jobs/s", drained.rate)
    yield Figure("  peak memory of the worker", "MB", drained.memory)
    yield Figure("  CPU of the worker, 1,000 jobs", "s", drained.worker_cpu)
    if drained.server_cpu is not None:
        yield Figure("  CPU of the server, 1,000 jobs", "s", drained.server_cpu)


def _pickups(ours: System, count: int, load: float) -> Iterator[Figure]:
    for title, found in (
        ("pickup, idle, another process", pickups(ours, count)),
        ("pickup, idle, same process", pickups(ours, count, here=True)),
        ("pickup, half load, another process", pickups(ours, count, load=load)),
    ):
        yield Figure(title, "ms p50", found.median)
        yield Figure("", "ms p99", found.p99)


def measure(kind: Kind, store: Store, folder: Path, rounds: int, jobs: int) -> None:
    """Measures enfila on one store, and prints the table."""
    ours = enfila(kind).system(store, folder, None)
    retrying = enfila_retrying(kind).system(store, folder, None)
    measured = [list(one_round(ours, retrying, jobs)) for _ in range(rounds)]
    for figures in zip(*measured, strict=True):
        title, unit, _ = figures[0]
        print(report.line(title, [figure.value for figure in figures], unit), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postgres", default=STANDARD_POSTGRES, help="'' leaves it out")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=20_000)
    given = parser.parse_args(arguments)
    print(f"{given.jobs:,} no-op jobs, {given.rounds} rounds, median (smallest to largest)")
    with scratch_folder() as folder:
        print("\nSQLite (WAL, synchronous=FULL)")
        with closing(SqliteStore(folder)) as store:
            measure("sqlite", store, folder, given.rounds, given.jobs)
        if given.postgres:
            print("\nPostgreSQL")
            try:
                with closing(PostgresStore(given.postgres)) as server:
                    measure("postgres", server, folder, given.rounds, given.jobs)
            except NoServerError as error:
                print(f"  not measured; give --postgres postgresql://user@host/database: {error}")


if __name__ == "__main__":
    main()
