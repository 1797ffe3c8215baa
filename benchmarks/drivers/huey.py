from __future__ import annotations

from huey import SqliteHuey

from benchmarks.drivers.driver import URL, Driver, handled

HUEY = SqliteHuey("bench", filename=URL.removeprefix("sqlite:///"))


@HUEY.task()
def noop(n: int) -> None:
    """The job."""
    handled(n)


class HueyDriver(Driver):
    """huey on SQLite with its defaults. It has no call for many jobs."""

    async def add(self, number: int) -> None:
        noop(number)

    async def add_all(self, numbers: range) -> None:
        for number in numbers:
            noop(number)

    async def work(self, concurrency: int) -> None:
        HUEY.create_consumer(workers=concurrency, worker_type="thread", periodic=False).run()


DRIVER = HueyDriver()
