from __future__ import annotations

import json

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.drivers.driver import URL, Driver, handled

CHUNK = 1000
POOL = 10


class PgQueuerDriver(Driver):
    """PgQueuer over asyncpg. What is called concurrency here is its batch size."""

    async def setup(self) -> None:
        connection = await asyncpg.connect(URL)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self, callers: int) -> None:
        if callers > 1:
            self._connection = await asyncpg.create_pool(URL, min_size=1, max_size=POOL)
            self._queries = Queries(AsyncpgPoolDriver(self._connection))
        else:  # without the cost of a pool
            self._connection = await asyncpg.connect(URL)
            self._queries = Queries(AsyncpgDriver(self._connection))

    async def close(self) -> None:
        await self._connection.close()

    async def add(self, number: int) -> None:
        await self._queries.enqueue("noop", b'{"n": %d}' % number)

    async def add_all(self, numbers: range) -> None:
        for start in range(0, len(numbers), CHUNK):
            part = numbers[start : start + CHUNK]
            payloads = [b'{"n": %d}' % number for number in part]
            await self._queries.enqueue(["noop"] * len(part), payloads, [0] * len(part))

    async def work(self, concurrency: int) -> None:
        connection = await asyncpg.connect(URL)
        queuer = PgQueuer(AsyncpgDriver(connection))

        @queuer.entrypoint("noop")
        async def noop(job: Job) -> None:
            handled(json.loads(job.payload or b"")["n"])

        await queuer.run(batch_size=concurrency)


DRIVER = PgQueuerDriver()
