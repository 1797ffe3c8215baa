"""Measures enfila and its peers in turn: ours, theirs, ours, theirs, and so on.

Machines drift, so only what ran close together is compared: a ratio is the median of the ratios
between a peer's figures and ours of the moment before.

    python -m benchmarks.peers                            all peers, all rows, three rounds
    python -m benchmarks.peers --only pgqueuer,huey,hand  these, by a part of their name
    python -m benchmarks.peers --rows drain-100,pickup    these rows

Peers are installed below `.bench`, with pip and npm. They get databases of their own on the
servers, which are dropped afterwards. "By hand" is the ceiling: two SQL statements for a hundred
jobs, one connection, and nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.environments import Environments, LeftOutError
from benchmarks.measuring import System, adds, drain, pickups
from benchmarks.processes import PROJECT, DriverFailedError
from benchmarks.stores import (
    STANDARD_POSTGRES,
    STANDARD_REDIS,
    NoServerError,
    PostgresStore,
    RedisStore,
    SqliteStore,
    Store,
    scratch_folder,
)
from benchmarks.systems import PEERS, Kind, Peer, enfila

Figures = Mapping[str, float]
RATE: Final = "jobs/s"


@dataclass(frozen=True)
class Row:
    """What is compared.

    Attributes:
        key: its name on the command line.
        title: its name in the report.
        measure: one run of one system, given a number of jobs; figures by their units.
    """

    key: str
    title: str
    measure: Callable[[System, int], Figures]


@dataclass
class Pair:
    """A peer beside us, and the figures of both, one of each per round."""

    peer: str
    ours: System
    theirs: System
    figures: list[tuple[Figures, Figures]] = field(default_factory=list)
    problem: str = ""

    def run(self, row: Row, jobs: int) -> None:
        """One round."""
        if self.problem:
            return
        try:
            self.figures.append((row.measure(self.ours, jobs), row.measure(self.theirs, jobs)))
        except DriverFailedError as error:
            self.problem = _reason(str(error))


def _reason(output: str) -> str:
    """The line that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line.lower()), [*lines, "no output"][-1])


def _drain(concurrency: int, system: System, jobs: int) -> Figures:
    drained = drain(system, jobs, concurrency)
    return {
        RATE: drained.rate,
        "MB, peak memory of the worker": drained.memory,
        "CPU seconds of the worker per 1,000": drained.worker_cpu,
        **(
            {}
            if drained.server_cpu is None
            else {"CPU seconds of the server per 1,000": drained.server_cpu}
        ),
    }


def _add(how: str, share: int, system: System, jobs: int) -> Figures:
    return {RATE: adds(system, how, max(jobs // share, 100))}


def _pickup(system: System, jobs: int) -> Figures:
    found = pickups(system, max(min(jobs // 100, 200), 20))
    return {"ms, median": found.median, "ms, 99 of 100": found.p99}


ROWS: Final = (
    Row("drain-100", "drain, concurrency 100", partial(_drain, 100)),
    Row("drain-10", "drain, concurrency 10", partial(_drain, 10)),
    Row("add", "add, one awaited after another", partial(_add, "add", 20)),
    Row("callers", "add, 100 callers at once", partial(_add, "callers", 4)),
    Row("bulk", "add in bulk", partial(_add, "bulk", 1)),
    Row("pickup", "pickup when idle, another process", _pickup),
)
TITLES: Final[dict[Kind, str]] = {"postgres": "PostgreSQL", "sqlite": "SQLite"}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    given = _arguments(arguments)
    keys = [key.strip() for key in given.rows.split(",")] if given.rows else []
    rows = [row for row in ROWS if not keys or row.key in keys]
    if unknown := set(keys) - {row.key for row in ROWS}:
        sys.exit(f"no such rows: {', '.join(sorted(unknown))}")
    print(f"{given.jobs:,} no-op jobs, {given.rounds} rounds, median (smallest to largest)")
    start = time.monotonic()
    with scratch_folder() as folder, ExitStack() as stack:
        stores = _stores(stack, folder, given.postgres, given.redis)
        environments = Environments(given.environments, upgrade=given.upgrade)
        peers = list(_installed(_chosen(given.only), stores, environments, folder))
        for kind in TITLES:
            if isinstance(store := stores[kind], Store):
                ours = enfila(kind).system(store, folder, None)
                beside = [(peer, system) for peer, system in peers if _stands_beside(peer, kind)]
                for row in rows:
                    pairs = [
                        Pair(peer.name, ours, theirs)
                        for peer, theirs in beside
                        if row.key not in peer.lacks
                    ]
                    for pair in pairs * given.rounds:
                        pair.run(row, given.jobs)
                    if pairs:
                        _print_row(f"{TITLES[kind]}, {row.title} [{row.key}]", pairs)
    print(f"\n{(time.monotonic() - start) / 60:.1f} minutes")


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="parts of names of peers, with commas")
    parser.add_argument("--rows", default="", help=", ".join(row.key for row in ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--environments", type=Path, default=PROJECT / ".bench")
    parser.add_argument("--upgrade", action="store_true", help="install the newest versions again")
    parser.add_argument("--postgres", default=STANDARD_POSTGRES)
    parser.add_argument("--redis", default=STANDARD_REDIS)
    return parser.parse_args(arguments)


def _stores(
    stack: ExitStack, folder: Path, postgres: str, redis: str
) -> Mapping[Kind, Store | NoServerError]:
    made: dict[Kind, Store | NoServerError] = {}
    makers: dict[Kind, Callable[[], Store]] = {
        "postgres": partial(PostgresStore, postgres),
        "sqlite": partial(SqliteStore, folder),
        "redis": partial(RedisStore, redis),
    }
    for kind, make in makers.items():
        try:
            made[kind] = store = make()
            stack.callback(store.close)
        except NoServerError as error:
            made[kind] = error
    return made


def _chosen(only: str) -> list[Peer]:
    parts = [part.strip().lower() for part in only.split(",")]
    return [peer for peer in PEERS if any(part in peer.name.lower() for part in parts)]


def _installed(
    peers: Iterable[Peer],
    stores: Mapping[Kind, Store | NoServerError],
    environments: Environments,
    folder: Path,
) -> Iterator[tuple[Peer, System]]:
    for peer in peers:
        store = stores[peer.kind]
        try:
            if isinstance(store, NoServerError):
                raise LeftOutError(f"no {peer.kind} server: {store}")  # noqa: TRY301
            system = peer.system(store, folder, environments)
            if version := peer.version(environments):
                print(f"{peer.name} {version}")
            yield peer, system
        except LeftOutError as error:
            print(f"left out: {peer.name}, {error}")


def _stands_beside(peer: Peer, kind: Kind) -> bool:
    return ("postgres" if peer.kind == "redis" else peer.kind) == kind


def _print_row(title: str, pairs: Sequence[Pair]) -> None:
    own = [figures for pair in pairs for figures, _ in pair.figures]
    print(f"\n{title}")
    for unit in own[0] if own else ():
        better = "more" if unit == RATE else "less"
        print(f"  {unit} ({better} is better)")
        print(report.line("  enfila", [figures[unit] for figures in own]))
        for pair in pairs:
            _print_pair(pair, unit)
    for pair in pairs:
        if pair.problem:
            print(f"  {pair.peer} failed: {pair.problem}")


def _print_pair(pair: Pair, unit: str) -> None:
    both = [
        (ours[unit], theirs[unit])
        for ours, theirs in pair.figures
        if unit in ours and unit in theirs
    ]
    if both:
        ratio = statistics.median(ours / theirs if theirs else 0 for ours, theirs in both)
        note = f"ours/theirs {ratio:.2f}"
        print(report.line(f"  {pair.peer}", [theirs for _, theirs in both], note=note))


if __name__ == "__main__":
    main()
