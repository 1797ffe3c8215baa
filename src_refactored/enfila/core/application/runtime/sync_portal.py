"""A way from code without an event loop to code that needs one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from enfila.core.application.runtime.asyncio_only import refuse_on_a_loop, running_loop
from enfila.core.application.runtime.forks import ForkAware
from enfila.core.application.runtime.tasks import end_all_here

T = TypeVar("T")


class SyncPortal(ForkAware):
    """Service: runs coroutines for threads that have no event loop.

    They run on the home loop, the one that the queue is used on elsewhere in the process, so that
    nothing is bound to two loops. If there is none that runs, on a private one in a daemon thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._home: asyncio.AbstractEventLoop | None = None
        self._private: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start_over(self) -> None:
        """See `ForkAware`."""
        self._home = self._private = self._thread = None
        self._lock = threading.Lock()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes `loop` the home loop."""
        if loop is not self._private:
            self._home = loop

    def settle_here(self) -> None:
        """Makes the running loop the home loop, unless another one that runs has been it before."""
        loop = running_loop()
        if loop is not self._home and (self._home is None or not self._home.is_running()):
            self.attach(loop)

    @property
    def home(self) -> asyncio.AbstractEventLoop | None:
        """The home loop if it runs."""
        home = self._home
        return home if home is not None and home.is_running() else None

    @property
    def has_thread(self) -> bool:
        """Whether a private loop runs."""
        return self._private is not None

    def call(self, work: Callable[[], Coroutine[Any, Any, T]], *, instead: str) -> T:
        """Runs a coroutine to its end and returns its answer; blocks the calling thread.

        Args:
            work: makes the coroutine.
            instead: what to write in code that runs on an event loop.

        Raises:
            InvalidRequest: called on an event loop, which it would block.
        """
        refuse_on_a_loop(instead)
        loop = self.home or self._private_loop()
        return asyncio.run_coroutine_threadsafe(work(), loop).result()

    def post(self, callback: Callable[[], None]) -> None:
        """Calls back soon on the home loop, or at once in this thread when there is none."""
        home = self.home
        if home is None or home is asyncio._get_running_loop():  # noqa: SLF001 - the documented one raises without a loop
            callback()
            return
        try:
            home.call_soon_threadsafe(callback)
        except RuntimeError:  # closed between the question and the call
            callback()

    def close(self) -> None:
        """Ends the private loop, if one was started. May be called twice."""
        with self._lock:
            private, thread = self._private, self._thread
            self._private = self._thread = None
        if private is not None and thread is not None:
            private.call_soon_threadsafe(private.stop)
            thread.join()

    def _private_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._private is None:
                self._private = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._private,), name=self._name, daemon=True
                )
                self._thread.start()
            return self._private


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        # Threads wait for what still runs; it ends before the loop does.
        loop.run_until_complete(end_all_here())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
