"""What idle workers cost: statements on PostgreSQL, processor time on SQLite.

    python -m benchmarks.idle --postgres postgresql://user@host/database

Counted is what the server committed for the database (`pg_stat_database`), the counting itself
taken off, and the processor time of the worker processes. A hundred processes are more connections
than a server usually takes: a few are measured, and the figure is for each.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import sqlalchemy as sa

from enfila import ActiveJob, Enfila

_SETTLING = 40.0
"""Seconds until an idle worker has found its pace."""
_COMMITS = sa.text(
    "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
)


async def _work(url: str, prefix: str, workers: int) -> None:
    async with Enfila(url, table_prefix=prefix) as app:
        for _ in range(workers):
            await app.worker("idle", _nothing).start()
        print("ready", flush=True)
        await asyncio.Event().wait()


async def _nothing(job: ActiveJob[Any]) -> None:
    """Is never called."""


@contextmanager
def _processes(url: str, count: int, workers: int) -> Iterator[list[psutil.Process]]:
    prefix = f"idle{uuid4().hex[:6]}_"
    arguments = [sys.executable, "-m", "benchmarks.idle", "--run", url, prefix, str(workers)]
    started = []
    try:
        for _ in range(count):
            started.append(subprocess.Popen(arguments, stdout=subprocess.PIPE))
            assert started[-1].stdout is not None
            started[-1].stdout.readline()
        time.sleep(_SETTLING)
        yield [psutil.Process(each.pid) for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()


def commits_per_second(url: str, processes: int, workers: int, seconds: float) -> float:
    """Transactions of idle workers on PostgreSQL, in one second."""
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with _processes(url, processes, workers), engine.connect() as connection:
        before = connection.scalar(_COMMITS)
        began = time.monotonic()
        time.sleep(seconds)
        # The server counts with a delay of up to a second.
        after = connection.scalar(_COMMITS)
        return ((after or 0) - (before or 0) - 1) / (time.monotonic() - began)


def processor_share(url: str, processes: int, seconds: float) -> float:
    """How much of one core idle worker processes take together."""
    with _processes(url, processes, 1) as running:
        before = sum(sum(each.cpu_times()[:2]) for each in running)
        began = time.monotonic()
        time.sleep(seconds)
        after = sum(sum(each.cpu_times()[:2]) for each in running)
        return (after - before) / (time.monotonic() - began)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        url, prefix, workers = given.run
        asyncio.run(_work(url, prefix, int(workers)))
        return
    if given.postgres:
        rate = commits_per_second(given.postgres, 1, 100, given.seconds)
        print(f"PostgreSQL, 100 workers in one process: {rate:.1f} transactions/s")
        rate = commits_per_second(given.postgres, given.processes, 1, given.seconds)
        each = rate / given.processes
        print(
            f"PostgreSQL, {given.processes} processes: {rate:.1f} transactions/s, "
            f"that is {100 * each:.0f} for 100"
        )
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'idle.db'}"
        share = processor_share(url, 20, given.seconds)
        print(f"SQLite, 20 processes: {100 * share:.1f} % of a core")


if __name__ == "__main__":
    main()
