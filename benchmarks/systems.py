"""What is measured: enfila, its peers at their best settings, and SQL written by hand."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, LiteralString

from benchmarks.environments import Environments
from benchmarks.measuring import System
from benchmarks.processes import PROJECT
from benchmarks.stores import Store

Kind = Literal["postgres", "sqlite", "redis"]

_ENFILA: Final = (
    "select count(*) from enfila_jobs where state in ('waiting', 'delayed', 'active', 'blocked')"
)


@dataclass(frozen=True)
class Peer:
    """How a system is installed, driven and counted.

    Attributes:
        name: as it stands in the report.
        driver: the file below `drivers`; one that ends in `.mjs` is run by node.
        kind: what it keeps its jobs in.
        unfinished: questions whose answers add up to the number of unfinished jobs.
        versions: of Python, the best first; none for the Python that measures.
        packages: what is installed for it.
        lacks: rows that it has nothing for.
        concurrency: its own best one, whatever the row says.
        runs_per_job: how often each job's handler runs.
        needs_setup: whether its tables are not made by themselves.
    """

    name: str
    driver: str
    kind: Kind
    unfinished: tuple[LiteralString, ...]
    versions: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    concurrency: int | None = None
    runs_per_job: int = 1
    needs_setup: bool = True

    def version(self, environments: Environments) -> str:
        """What is installed of it; empty for what is part of this project."""
        if not self.packages:
            return ""
        if self.driver.endswith(".mjs"):
            return environments.node_version(self.packages[0])
        return environments.python_version(self.versions, self.packages[0])

    def system(self, store: Store, folder: Path, environments: Environments | None) -> System:
        """Itself on a store, installed.

        Raises:
            LeftOutError: it cannot be installed here.
        """
        environment = {"PYTHONUNBUFFERED": "1"}
        if environments and self.driver.endswith(".mjs"):
            node = environments.node(self.packages)
            command: tuple[str, ...] = (node, str(PROJECT / "benchmarks" / "drivers" / self.driver))
            environment["BENCH_NODE"] = str(environments.node_folder)
        else:
            python = sys.executable
            if environments and self.versions:
                python = environments.python(self.versions, self.driver, self.packages)
            command = (python, "-m", "benchmarks.drivers.run", self.driver)
        return System(
            name=self.name,
            command=command,
            store=store,
            unfinished=self.unfinished,
            folder=folder / f"marks-{self.driver}",
            environment=environment,
            concurrency=self.concurrency,
            runs_per_job=self.runs_per_job,
            needs_setup=self.needs_setup,
        )


def enfila(kind: Kind) -> Peer:
    """enfila on a database of this kind."""
    return Peer("enfila", "enfila", kind, (_ENFILA,), needs_setup=False)


def enfila_retrying(kind: Kind) -> Peer:
    """enfila, and every job fails once."""
    return Peer(
        "enfila, retrying", "enfila_retrying", kind, (_ENFILA,), runs_per_job=2, needs_setup=False
    )


_OURS: Final = (f"{sys.version_info.major}.{sys.version_info.minor}",)
_JOBS_BY_HAND: Final = "select count(*) from jobs where state <> 'completed'"
_BY_HAND_LACKS: Final = ("add", "callers", "pickup")

PEERS: Final = (
    Peer(
        "PgQueuer",
        "pgqueuer",
        "postgres",
        ("select count(*) from pgqueuer",),
        versions=_OURS,
        packages=("pgqueuer", "asyncpg"),
    ),
    Peer(
        "Procrastinate",
        "procrastinate",
        "postgres",
        ("select count(*) from procrastinate_jobs where status in ('todo', 'doing')",),
        versions=_OURS,
        packages=("procrastinate", "psycopg[binary,pool]"),
    ),
    Peer(
        "Oban",
        "oban",
        "postgres",
        ("select count(*) from oban_jobs where state in ('available', 'executing')",),
        versions=("3.13", "3.12"),
        packages=("oban",),
    ),
    Peer(
        "graphile-worker",
        "graphile_worker.mjs",
        "postgres",
        ("select count(*) from graphile_worker._private_jobs",),
        packages=("graphile-worker",),
        concurrency=10,
    ),
    Peer(
        "BullMQ on Redis",
        "bullmq.mjs",
        "redis",
        ("LLEN bull:noop:wait", "LLEN bull:noop:active"),
        packages=("bullmq",),
        needs_setup=False,
    ),
    Peer(
        "by hand, asyncpg",
        "by_hand_postgres",
        "postgres",
        (_JOBS_BY_HAND,),
        lacks=_BY_HAND_LACKS,
        concurrency=100,
    ),
    Peer(
        "huey",
        "huey",
        "sqlite",
        ("select count(*) from task",),
        versions=_OURS,
        packages=("huey",),
        needs_setup=False,
        lacks=("callers",),
        concurrency=1,
    ),
    Peer(
        "flexiq",
        "flexiq",
        "sqlite",
        ("select count(*) from jobs where status in (0, 1)",),
        versions=("3.13",),
        packages=("flexiq",),
        needs_setup=False,
        lacks=("drain-10", "drain-100", "add", "callers", "pickup"),
    ),
    Peer(
        "by hand, sqlite3",
        "by_hand_sqlite",
        "sqlite",
        (_JOBS_BY_HAND,),
        lacks=_BY_HAND_LACKS,
        concurrency=100,
    ),
)
