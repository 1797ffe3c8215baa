"""What each event loop of a process has for itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from enfila.core.application.runtime.forks import ForkAware

T = TypeVar("T")


class PerLoop(ForkAware, Generic[T]):
    """Gives each event loop an object of its own, made when it is first asked for there.

    Futures and tasks belong to one loop: only code on that loop may touch them. What belongs to a
    loop that was closed is forgotten when the next one comes.

    Args:
        make: makes the object of a loop; called on that loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._of: dict[asyncio.AbstractEventLoop, T] = {}
        self._all: tuple[tuple[asyncio.AbstractEventLoop, T], ...] = ()
        self._lock = threading.Lock()

    def start_over(self) -> None:
        """See `ForkAware`."""
        self._of, self._all, self._lock = {}, (), threading.Lock()

    def here(self) -> T:
        """The object of the running loop."""
        loop = asyncio.get_running_loop()
        found = self._of.get(loop)
        if found is not None:
            return found
        with self._lock:
            for ended in [other for other in self._of if other.is_closed()]:
                del self._of[ended]
            made = self._of[loop] = self._make()
            self._all = tuple(self._of.items())
        return made

    @property
    def all(self) -> tuple[tuple[asyncio.AbstractEventLoop, T], ...]:
        """The objects that there are, each with its loop."""
        return self._all


def call_on(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Calls back on a loop: at once if it is the running one, else soon, unless it is closed."""
    if loop is asyncio._get_running_loop():  # noqa: SLF001 - the documented one raises without a loop
        callback()
        return
    try:
        _ = loop.call_soon_threadsafe(callback)
    except RuntimeError:
        return  # closed: nobody is left to be told
