from __future__ import annotations

from flexiq import Queue

from benchmarks.drivers.driver import URL, Driver, handled

CHUNK = 1000
QUEUE = Queue(db_path=URL.removeprefix("sqlite:///"))


@QUEUE.task()
def noop(n: int) -> None:
    """The job."""
    handled(n)


class FlexiqDriver(Driver):
    """flexiq on SQLite: the core is Rust, `synchronous` is NORMAL."""

    async def add(self, number: int) -> None:
        noop.delay(number)

    async def add_all(self, numbers: range) -> None:
        for start in range(0, len(numbers), CHUNK):
            noop.map([(number,) for number in numbers[start : start + CHUNK]])

    async def work(self, concurrency: int) -> None:
        del concurrency  # chosen by it
        QUEUE.run_worker()


DRIVER = FlexiqDriver()
