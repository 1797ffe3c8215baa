"""A program for containers: `work` runs a worker, and called as a script it adds a job.

The database is that of `ENFILA_DATABASE_URL`. See `compose.yaml`.
"""

import asyncio
import os

from enfila import Enfila, JobTypeRegistry, WorkerOptions

URL = os.environ.get("ENFILA_DATABASE_URL", "sqlite:///jobs.db")
types = JobTypeRegistry()


@types.job("email:welcome", queue="email", attempts=3)
async def welcome(to: str) -> str:
    """Pretends to send a mail."""
    return f"sent to {to}"


async def work() -> None:
    """Runs a worker until the process gets SIGTERM."""
    async with Enfila(URL, job_types=types) as app:
        await app.worker(options=WorkerOptions(concurrency=20)).run()


async def add() -> None:
    """Adds a job, and waits until a worker has run it."""
    async with Enfila(URL, job_types=types):
        job = await welcome.enqueue("ada@example.org")
        print(await job.result(timeout=30))


if __name__ == "__main__":
    asyncio.run(add())
