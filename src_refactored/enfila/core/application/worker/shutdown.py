"""Hearing the signals that ask a process to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

from enfila.core.application.runtime.forks import ForkAware

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class SignalWatch(ForkAware):
    """Tells the workers of this process of SIGTERM and Ctrl-C.

    A process has one handler per signal, so all its workers share this one. It stands while there
    is a listener; then what was there before is restored.

    Attributes:
        times_heard: how many signals this process was sent while there was a listener.
    """

    def __init__(self) -> None:
        self.times_heard = 0
        self._listeners: dict[Callable[[], None], asyncio.AbstractEventLoop] = {}
        self._before: dict[signal.Signals, Any] = {}

    def start_over(self) -> None:
        """See `ForkAware`. The parent's workers are not here; signals do what they did before."""
        if self._listeners:
            self._listeners = {}
            self._restore()

    @contextlib.contextmanager
    def listening(self, listener: Callable[[], None]) -> Iterator[None]:
        """Calls `listener` on the running loop at each SIGTERM and SIGINT.

        Does nothing outside the main thread, the only one that may set handlers.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._add(listener)
        try:
            yield
        finally:
            self._remove(listener)

    def _add(self, listener: Callable[[], None]) -> None:
        if not self._listeners:
            # Not the loop's `add_signal_handler`: that cannot tell what it replaces.
            self._before = {each: signal.signal(each, self._heard) for each in _SIGNALS}
        self._listeners[listener] = asyncio.get_running_loop()

    def _remove(self, listener: Callable[[], None]) -> None:
        del self._listeners[listener]
        if not self._listeners:
            self._restore()

    def _restore(self) -> None:
        for each, before in self._before.items():
            # One that was not set from Python is unknown to it.
            signal.signal(each, signal.SIG_DFL if before is None else before)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.times_heard += 1
        for listener, loop in tuple(self._listeners.items()):
            with contextlib.suppress(RuntimeError):  # its loop is closed
                loop.call_soon_threadsafe(listener)


SIGNALS: Final = SignalWatch()
"""The one watch of this process."""
