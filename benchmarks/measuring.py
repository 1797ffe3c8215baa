"""The measurements: each begins with an empty store and ends with a count in it."""

from __future__ import annotations

import shutil
import statistics
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

from benchmarks.processes import DriverFailedError, Workers, answer_of, cpu_seconds
from benchmarks.stores import Store

MARK = struct.Struct("<dd")
START_TIMEOUT = 30.0
LOOK_INTERVAL = 0.005
PICKUP_CONCURRENCY = 10


@dataclass(frozen=True)
class System:
    """Something that runs jobs.

    Attributes:
        name: as it stands in the report.
        command: how its driver is run.
        store: where its jobs are.
        unfinished: questions whose answers add up to the number of unfinished jobs.
        environment: for its processes.
        concurrency: the best one, if it is better off with one of its own.
        runs_per_job: how often each job's handler runs.
        needs_setup: whether its tables are not made by themselves.
    """

    name: str
    command: tuple[str, ...]
    store: Store
    unfinished: tuple[LiteralString, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    runs_per_job: int = 1
    needs_setup: bool = True

    def left(self) -> int:
        """How many jobs are not finished."""
        return sum(self.store.count(question) for question in self.unfinished)

    def do(self, command: str, count: int = 0, rate: float = 0) -> str:
        """Runs a command of its driver."""
        words = (*self.command, command, str(count), str(rate))
        return answer_of(words, self._environment())

    def workers(self, concurrency: int, processes: int = 1) -> Workers:
        """Processes that run its jobs."""
        words = (*self.command, "work", str(self.concurrency or concurrency))
        return Workers(words, self._environment(), self.folder / "worker.log", processes)

    def runs(self) -> int:
        """How often handlers have run."""
        path = self.folder / "runs"
        return path.stat().st_size // MARK.size if path.exists() else 0

    def marks(self, name: str) -> list[tuple[float, float]]:
        """Numbers of jobs and instants, as the driver has left them."""
        content = (self.folder / name).read_bytes()
        return list(MARK.iter_unpack(content[: len(content) // MARK.size * MARK.size]))

    def forget_marks(self) -> None:
        """Makes the folder of marks, empty."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def prepare(self) -> None:
        """Empties its store, and makes its tables."""
        self.forget_marks()
        self.store.reset()
        if self.needs_setup:
            self.do("setup")

    def _environment(self) -> dict[str, str]:
        own = {"BENCH_URL": self.store.url, "BENCH_MARKS": str(self.folder.absolute())}
        return {**own, **self.environment}


@dataclass(frozen=True)
class Drained:
    """What adding and draining took: jobs/s, megabytes, CPU seconds per 1,000 jobs."""

    added: float
    rate: float
    memory: float
    worker_cpu: float
    server_cpu: float | None


@dataclass(frozen=True)
class Pickups:
    """From before the call of add to the start of the handler, in milliseconds."""

    median: float
    p99: float


def adds(system: System, how: str, count: int) -> float:
    """Jobs per second of `add`, `callers` or `bulk`; afterwards they are there."""
    system.prepare()
    seconds = float(system.do(how, count).rpartition("seconds ")[2])
    if (left := system.left()) != count:
        raise DriverFailedError(f"{count} jobs were added, and the store shows {left}")
    return count / seconds


def drain(
    system: System, jobs: int, concurrency: int, *, processes: int = 1, limit: float = 10
) -> Drained:
    """From the first handler's start until the store shows that every job is finished.

    After `limit` seconds it is cut, and what is finished by then counts.
    """
    added = adds(system, "bulk", jobs)
    system.store.settle()
    with system.workers(concurrency, processes) as workers:
        server = cpu_seconds(system.store.server)
        used = workers.cpu_seconds()
        workers.start()
        first = first_mark(system, workers)
        end = _wait_for_the_end(system, workers, first, jobs, limit)
        used = workers.cpu_seconds() - used
        server = cpu_seconds(system.store.server) - server
        memory = workers.peak_memory()
        left = system.left()
    if left == 0:
        _check_runs(system, jobs)
    finished = jobs - left
    per_thousand = 1000 / max(finished, 1)
    return Drained(
        added=added,
        rate=finished / (end - first),
        memory=memory,
        worker_cpu=used * per_thousand,
        server_cpu=server * per_thousand if system.store.server else None,
    )


def pickups(system: System, count: int, *, here: bool = False, load: float = 0) -> Pickups:
    """Of jobs sent with pauses: to a worker that is idle, or has a load of so many jobs/s besides.

    Args:
        here: the sender's own process has the worker.
    """
    system.prepare()
    if here:
        system.do("pickups-here", count, load)
        _wait_for_pickups(system, count)
    else:
        with system.workers(PICKUP_CONCURRENCY) as workers:
            workers.start()
            system.do("pickups", count, load)
            _wait_for_pickups(system, count)
    started, sent = (dict(system.marks(name)) for name in ("runs", "sent"))
    waits = sorted((started[number] - sent[number]) * 1000 for number in sent)
    return Pickups(statistics.median(waits), waits[int(len(waits) * 0.99)])


def first_mark(system: System, workers: Workers) -> float:
    """Waits for the first handler, and tells when that was."""
    deadline = time.monotonic() + START_TIMEOUT
    while system.runs() == 0:
        workers.check()
        if time.monotonic() > deadline:
            raise DriverFailedError("no handler has run")
        time.sleep(LOOK_INTERVAL)
    return system.marks("runs")[0][1]


def _wait_for_the_end(
    system: System, workers: Workers, first: float, jobs: int, limit: float
) -> float:
    """The instant of the end. The store is left alone until all handlers have run."""
    while True:
        if system.runs() >= jobs * system.runs_per_job and system.left() == 0:
            return time.time()
        if (now := time.time()) > first + limit:
            return now
        workers.check()
        time.sleep(LOOK_INTERVAL)


def _check_runs(system: System, jobs: int) -> None:
    expected = jobs * system.runs_per_job
    if (runs := system.runs()) != expected:
        raise DriverFailedError(f"handlers ran {runs} times, expected {expected}")


def _wait_for_pickups(system: System, count: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while sum(number >= 0 for number, _ in system.marks("runs")) < count:
        if time.monotonic() > deadline:
            raise DriverFailedError("not all jobs were picked up")
        time.sleep(0.1)
