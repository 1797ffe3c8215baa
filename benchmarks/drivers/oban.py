from __future__ import annotations

import asyncio
from typing import Any

from oban import Job, Oban, worker
from oban.schema import install

from benchmarks.drivers.driver import URL, Driver, handled

CHUNK = 1000


class Noop:
    """The job."""

    async def process(self, job: Job) -> None:
        handled(job.args["n"])


NOOP: Any = worker(queue="default")(Noop)  # it has more methods now


class ObanDriver(Driver):
    """Oban for Python."""

    async def setup(self) -> None:
        pool = await Oban.create_pool(dsn=URL, min_size=1, max_size=2)
        await install(pool)
        await pool.close()

    async def open(self, callers: int) -> None:
        del callers  # it has a pool
        self._pool = await Oban.create_pool(dsn=URL, min_size=1, max_size=10)
        self._oban = Oban(pool=self._pool, queues={})

    async def close(self) -> None:
        await self._pool.close()

    async def add(self, number: int) -> None:
        await self._oban.enqueue(NOOP.new({"n": number}))

    async def add_all(self, numbers: range) -> None:
        for start in range(0, len(numbers), CHUNK):
            part = numbers[start : start + CHUNK]
            await self._oban.enqueue_many(*(NOOP.new({"n": number}) for number in part))

    async def work(self, concurrency: int) -> None:
        pool = await Oban.create_pool(dsn=URL, min_size=1, max_size=20)
        async with Oban(pool=pool, queues={"default": concurrency}):
            await asyncio.Event().wait()


DRIVER = ObanDriver()
