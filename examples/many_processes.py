"""Workers as many processes, one of which is killed in the middle of a job.

    python examples/many_processes.py

In real life `work` stands in a module of yours, and runs until the service is stopped:

    python -m enfila.entrypoints.processes yourmodule:work --processes 4
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from enfila import ActiveJob, Enfila, MaintenanceOptions, WorkerOptions, WorkerProcesses

URL = "EXAMPLE_URL"
"""Each process imports this file afresh, and finds here in its environment where the jobs are."""

# Short, so that the job of the killed process comes back soon.
OPTIONS = WorkerOptions(lock_duration=1, maintenance=MaintenanceOptions(stalled_interval=0.3))


async def resize(job: ActiveJob) -> int:
    """The processor. Its first run never ends by itself."""
    await job.update_progress(os.getpid())
    if job.stalled_count == 0:
        await asyncio.Event().wait()
    return os.getpid()


async def work() -> None:
    """What each process runs."""
    async with Enfila(os.environ[URL]) as app:
        await app.worker("images", resize, OPTIONS).run()


async def kill_one_in_the_middle() -> None:
    """The story."""
    processes = WorkerProcesses(work, processes=2)
    async with Enfila(os.environ[URL]) as app, asyncio.TaskGroup() as group:
        supervising = group.create_task(processes.supervise())
        job = await app.queue("images").add("resize", {"file": "a.png"})
        while not (await job.refresh()).progress:  # noqa: ASYNC110 - events stay in their process
            await asyncio.sleep(0.05)
        victim = job.progress
        print(f"kill -9 {victim}")
        os.kill(victim, signal.SIGKILL)
        check("Another process runs the job again.", await job.result(timeout=20) != victim)
        processes.stop()
        check("All have ended as they were told to.", await supervising == 0)


def check(claim: str, holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Says that something is true, or ends the program because it is not."""
    if not holds:
        sys.exit(f"Not true: {claim}")
    print(f"✓ {claim}")


def main() -> None:
    """Plays it on a file that is gone afterwards."""
    logging.basicConfig(format="  %(message)s", stream=sys.stdout)
    logging.getLogger("enfila.processes").setLevel(logging.INFO)
    with tempfile.TemporaryDirectory(prefix="enfila-example-") as folder:
        os.environ[URL] = f"sqlite:///{Path(folder) / 'jobs.db'}"
        asyncio.run(kill_one_in_the_middle())


# The processes import this file too, and are not to start others.
if __name__ == "__main__":
    main()
