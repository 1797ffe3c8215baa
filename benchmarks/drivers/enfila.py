from __future__ import annotations

import os
from typing import Any

import enfila
from benchmarks.drivers.driver import URL, Driver, handled

QUEUE = "bench"
FILLER = {"filler": "x" * int(os.environ["BENCH_PAYLOAD"])} if "BENCH_PAYLOAD" in os.environ else {}


class EnfilaDriver(Driver):
    """enfila with its defaults."""

    def __init__(self, options: enfila.JobOptions | None = None) -> None:
        self._options = options
        self._app = enfila.Enfila(URL)
        self._queue = self._app.queue(QUEUE)

    async def open(self, callers: int) -> None:
        del callers  # they share statements
        await self._app.open()

    async def close(self) -> None:
        await self._app.close()

    async def add(self, number: int) -> None:
        await self._queue.add("noop", {"n": number} | FILLER, self._options)

    async def add_all(self, numbers: range) -> None:
        await self._queue.add_bulk(
            [enfila.NewJob("noop", {"n": number} | FILLER, self._options) for number in numbers]
        )

    async def work(self, concurrency: int) -> None:
        async with self._app:
            options = enfila.WorkerOptions(concurrency=concurrency)
            await self._app.worker(self._queue, self.handle, options).run()

    async def handle(self, job: enfila.ActiveJob[dict[str, Any]]) -> None:
        """The handler."""
        handled(job.payload["n"])


DRIVER = EnfilaDriver()
