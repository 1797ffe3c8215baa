"""Hints within one process."""

from __future__ import annotations

import asyncio
import threading

from enfila.core.application.ports.wake_up import Hint, Notice, WakeUp
from enfila.core.application.runtime.forks import ForkAware
from enfila.core.application.runtime.per_loop import call_on


class InProcessWakeUp(WakeUp, ForkAware):
    """Carries hints between the tasks of one process; it knows of no other process.

    The default of a queue, and the near half of every wake-up that crosses processes: such a one
    extends `hint` to tell the others and calls `arrived` for what they tell. Listeners may be on
    any loop, `hint` and `arrived` may be called from any thread.
    """

    def __init__(self) -> None:
        self._listeners: dict[tuple[str, Hint], dict[asyncio.Event, asyncio.AbstractEventLoop]] = {}
        self._lock = threading.Lock()

    def start_over(self) -> None:
        """See `ForkAware`. Nobody listens here yet."""
        self._listeners, self._lock = {}, threading.Lock()

    def hint(self, queue: str, hint: Hint, notice: Notice | None = None) -> None:
        del notice
        self.arrived(queue, hint)

    def arrived(self, queue: str, hint: Hint) -> None:
        """Sets the events of everyone in this process who listens for this."""
        if (queue, hint) not in self._listeners:
            return
        with self._lock:
            listeners = list(self._listeners.get((queue, hint), {}).items())
        for event, loop in listeners:
            call_on(loop, event.set)

    def listen(self, queue: str, hint: Hint) -> asyncio.Event:
        event = asyncio.Event()
        with self._lock:
            listeners = self._listeners.setdefault((queue, hint), {})
            listeners[event] = asyncio.get_running_loop()
        return event

    def ignore(self, queue: str, hint: Hint, event: asyncio.Event) -> None:
        with self._lock:
            listeners = self._listeners.get((queue, hint), {})
            listeners.pop(event, None)
            if not listeners:
                self._listeners.pop((queue, hint), None)

    @property
    def listening_loops(self) -> frozenset[asyncio.AbstractEventLoop]:
        """The event loops on which somebody listens."""
        with self._lock:
            return frozenset(loop for each in self._listeners.values() for loop in each.values())

    @property
    def listened_to(self) -> frozenset[tuple[str, Hint]]:
        """What somebody in this process listens for: only that need be fetched from elsewhere."""
        with self._lock:
            return frozenset(self._listeners)
