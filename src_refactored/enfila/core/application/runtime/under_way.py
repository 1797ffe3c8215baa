"""Waiting for the end of what is being done."""

from __future__ import annotations

import asyncio
import threading

from enfila.core.application.runtime.forks import ForkAware
from enfila.core.application.runtime.per_loop import call_on


class UnderWay(ForkAware):
    """Counts what has begun and not ended, on any event loop or in any thread."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def start_over(self) -> None:
        """See `ForkAware`."""
        self._count, self._lock, self._waiting = 0, threading.Lock(), []

    def begin(self) -> None:
        """Something begins."""
        with self._lock:
            self._count += 1

    def end(self) -> None:
        """Something ends; if it was the last, those who wait go on."""
        with self._lock:
            self._count -= 1
            waiting = self._waiting
            if self._count or not waiting:
                return
            self._waiting = []
        for loop, event in waiting:
            call_on(loop, event.set)

    async def wait(self) -> None:
        """Returns once nothing is under way."""
        quiet = asyncio.Event()
        with self._lock:
            if not self._count:
                return
            self._waiting.append((asyncio.get_running_loop(), quiet))
        await quiet.wait()
