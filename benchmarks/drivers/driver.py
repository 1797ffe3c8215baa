"""The interface of a driver, and the marks that handlers leave for the program that measures."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Final

URL: Final = os.environ.get("BENCH_URL", "")
"""Where the jobs are: `postgresql://…`, or `sqlite:///` and an absolute path."""

FOLDER: Final = Path(os.environ.get("BENCH_MARKS", "."))
"""Where marks are left."""

MARK: Final = struct.Struct("<dd")
"""One mark: a job's number, and an instant. `driver.mjs` writes the same."""


class Driver(ABC):
    """One system. Every job has a number for its payload, `{"n": number}`."""

    async def setup(self) -> None:
        """Makes the tables, in an empty database."""

    async def open(self, callers: int) -> None:
        """Connects, so that jobs can be added by so many at once."""

    async def close(self) -> None:
        """Disconnects."""

    @abstractmethod
    async def add(self, number: int) -> None:
        """Adds one job; it is committed on return."""

    @abstractmethod
    async def add_all(self, numbers: range) -> None:
        """Adds many jobs, in the fastest way there is."""

    @abstractmethod
    async def work(self, concurrency: int) -> None:
        """Runs jobs until the process is ended."""


def handled(number: int) -> None:
    """What every handler does, and all it does: leave a mark."""
    os.write(_file("runs"), MARK.pack(number, time.time()))


def sent(number: int, instant: float) -> None:
    """Notes when a job was sent."""
    os.write(_file("sent"), MARK.pack(number, instant))


async def wait_until_anything_ran() -> None:
    """Waits for the first handler, in whichever process."""
    path = FOLDER / "runs"
    async with asyncio.timeout(30):
        while not path.exists():  # noqa: ASYNC110 - files tell no event
            await asyncio.sleep(0.01)


@cache
def _file(name: str) -> int:
    return os.open(FOLDER / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
