"""Measures how soon a killed worker's jobs run again: `python -m tests.processes.recovery_time`.

With the default settings, if no others are given: lock 30 s, maintenance every 10 s, poll 1 s. In
each round a worker process runs jobs and is killed with SIGKILL at a random moment, while another
one stands by. Printed are the seconds from the kill to the second start of each job. The rounds run
at the same time, each on a queue of its own.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from enfila import Enfila
from tests.processes.chaos import places
from tests.processes.history import Ready, Started
from tests.processes.place import Place
from tests.processes.programs import Program, Programs
from tests.processes.worker_program import WorkerPlan
from tests.waiting import eventually

_LONG = 3600.0


class Round:
    """One kill.

    Args:
        number: of the round; each has a queue of its own.
        jobs: how many run when the worker is killed.
    """

    def __init__(self, number: int, asked: argparse.Namespace, place: Place, app: Enfila) -> None:
        self._asked = asked
        self._place = place
        self._queue = app.queue(f"round-{number}")

    async def measure(self, programs: Programs) -> list[float]:
        """For each job the seconds from the kill to its second start."""
        victim = await self._worker(programs)
        jobs = [await self._queue.add("long", {"seconds": _LONG}) for _ in range(self._asked.jobs)]
        for job in jobs:
            await victim.wrote(Started, job=job.id)
        heir = await self._worker(programs)
        # Anywhere between two renewals of the lock.
        await asyncio.sleep(random.uniform(0, self._asked.lock / 2))
        killed_at = time.time()
        victim.kill()
        bound = self._asked.lock + self._asked.maintenance + self._asked.poll

        def all_started() -> bool:
            return len(heir.records(Started)) == len(jobs)

        await eventually(all_started, timeout=2 * bound + 10, message="every job runs again")
        return [start.at - killed_at for start in heir.records(Started)]

    async def _worker(self, programs: Programs) -> Program:
        worker = programs.start(
            "worker_program",
            WorkerPlan,
            place=self._place,
            queue=self._queue.name,
            concurrency=self._asked.jobs,
            lock=self._asked.lock,
            maintenance=self._asked.maintenance,
            poll=self._asked.poll,
            heartbeat=10.0,
        )
        await worker.wrote(Ready)
        return worker


async def measure(asked: argparse.Namespace, place: Place, folder: Path) -> list[float]:
    """All rounds in one database."""
    with Programs(folder) as programs:
        async with place.app() as app:
            rounds = [Round(number, asked, place, app) for number in range(asked.rounds)]
            measured = await asyncio.gather(*(each.measure(programs) for each in rounds))
    return sorted(seconds for each in measured for seconds in each)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.processes.recovery_time", description=__doc__
    )
    parser.add_argument("--lock", type=float, default=30.0, help="seconds (30)")
    parser.add_argument("--maintenance", type=float, default=10.0, help="seconds (10)")
    parser.add_argument("--poll", type=float, default=1.0, help="seconds (1)")
    parser.add_argument("--rounds", type=int, default=5, help="kills in each database (5)")
    parser.add_argument("--jobs", type=int, default=10, help="that run in a killed worker (10)")
    parser.add_argument("--url", choices=["sqlite", "postgres", "both"], default="both")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="enfila-recovery-") as folder,
        places(asked.url, Path(folder)) as found,
    ):
        are_within = [report(asked, place, Path(folder) / place.kind) for place in found]
    return 0 if all(are_within) else 1


def report(asked: argparse.Namespace, place: Place, folder: Path) -> bool:
    """Measures, prints, and says whether the bound was kept."""
    seconds = asyncio.run(measure(asked, place, folder))
    bound: float = asked.lock + asked.maintenance + asked.poll
    print(
        f"{place.kind}: {len(seconds)} jobs of {asked.rounds} killed workers ran again after "
        f"{seconds[0]:.2f} to {seconds[-1]:.2f} s, median {median(seconds):.2f} s; the bound is "
        f"{asked.lock:g} + {asked.maintenance:g} + {asked.poll:g} = {bound:g} s",
        flush=True,
    )
    return seconds[-1] <= bound


if __name__ == "__main__":
    sys.exit(main())
