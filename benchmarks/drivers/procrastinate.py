from __future__ import annotations

from procrastinate import App, PsycopgConnector

from benchmarks.drivers.driver import URL, Driver, handled

CHUNK = 1000
APP = App(connector=PsycopgConnector(conninfo=URL, min_size=1, max_size=10))


@APP.task(name="noop", queue="default")
async def noop(n: int) -> None:
    """The job."""
    handled(n)


class ProcrastinateDriver(Driver):
    """Procrastinate over psycopg 3."""

    async def setup(self) -> None:
        async with APP.open_async():
            await APP.schema_manager.apply_schema_async()

    async def open(self, callers: int) -> None:
        del callers  # it has a pool
        await APP.open_async()

    async def close(self) -> None:
        await APP.close_async()

    async def add(self, number: int) -> None:
        await noop.defer_async(n=number)

    async def add_all(self, numbers: range) -> None:
        for start in range(0, len(numbers), CHUNK):
            part = numbers[start : start + CHUNK]
            await noop.batch_defer_async(*({"n": number} for number in part))

    async def work(self, concurrency: int) -> None:
        async with APP.open_async():
            await APP.run_worker_async(queues=["default"], concurrency=concurrency)


DRIVER = ProcrastinateDriver()
