"""What the processes of the tests run; they are told about the test in their environment."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from enfila import ActiveJob, Enfila, MaintenanceOptions, WorkerOptions

QUEUE = "work"
LOCK, MAINTENANCE = 1.0, 0.3

_STEP = 0.01
"""Seconds between two looks at what is waited for."""


async def work() -> None:
    options = WorkerOptions(
        lock_duration=LOCK,
        poll_interval=0.2,
        prefetch=0,
        maintenance=MaintenanceOptions(stalled_interval=MAINTENANCE),
    )
    async with Enfila(os.environ["TEST_URL"], schema=os.environ.get("TEST_SCHEMA")) as app:
        await app.worker(QUEUE, run, options).run()


async def run(job: ActiveJob[Any]) -> int:
    """Writes down that it began, and waits for a file if it is to."""
    began(f"{job.name}.{os.getpid()}.{job.id}.{job.snapshot.token}")
    while "until" in job.payload and not is_there(job.payload["until"]):  # noqa: ASYNC110 - a file
        await asyncio.sleep(_STEP)
    return os.getpid()


async def work_in_threads() -> None:
    """Its handlers wait for threads that never end."""

    async def run_in_thread(job: ActiveJob[Any]) -> None:
        began(f"{job.name}.{os.getpid()}.{job.id}.{job.snapshot.token}")
        if job.name == "to_thread":
            await asyncio.to_thread(threading.Event().wait)
        else:
            executor = ThreadPoolExecutor()
            await asyncio.get_running_loop().run_in_executor(executor, threading.Event().wait)

    options = WorkerOptions(concurrency=2, grace=0.2, cancellation_grace=0.2, poll_interval=0.2)
    async with Enfila(os.environ["TEST_URL"], schema=os.environ.get("TEST_SCHEMA")) as app:
        await app.worker(QUEUE, run_in_thread, options).run()


async def wait() -> None:
    """Knows no signals."""
    began(f"wait.{os.getpid()}")
    try:
        await asyncio.Event().wait()
    finally:
        began(f"cleaned.{os.getpid()}")


async def never_end() -> None:
    began(f"never.{os.getpid()}")
    while True:
        try:
            await asyncio.sleep(_STEP)
        except asyncio.CancelledError:
            began(f"cancelled.{os.getpid()}")


async def crash() -> None:
    raise RuntimeError("no luck today")


async def without_a_database() -> None:
    """Comes up as soon as there is one."""
    async with Enfila(f"sqlite:///{os.environ['TEST_FOLDER']}/later/jobs.db"):
        await wait()


async def of_one(argument: int) -> None:
    """No target, for it wants an argument."""


def plain() -> None:
    """No target, for it is not async."""


def is_there(file: str) -> bool:
    return Path(file).exists()


def began(name: str) -> None:
    Path(os.environ["TEST_FOLDER"], name).touch()
