"""What wake-ups between processes have in common: tasks, and an event loop to run them on."""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.ports.wake_up import Hint, Notice
from enfila.core.application.runtime.per_loop import call_on
from enfila.core.application.runtime.tasks import OwnedTasks

Work = Callable[[], Coroutine[Any, Any, None]]


class CrossProcessWakeUp(InProcessWakeUp):
    """Base of wake-ups that hear of other processes, by tasks on an event loop.

    They run on the loop on which it was opened. When that ends, they begin anew on another one on
    which somebody listens or hints.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tasks = OwnedTasks(in_background=True)
        self._home: asyncio.AbstractEventLoop | None = None
        self._moving = threading.Lock()
        self._is_open = False

    def start_over(self) -> None:
        """See `ForkAware`. It begins on a loop of the child's when somebody listens there."""
        super().start_over()
        self._home = None
        self._tasks = OwnedTasks(in_background=True)
        self._moving = threading.Lock()

    @abstractmethod
    def _start(self) -> None:
        """Begins on the running loop, with `_run_here`."""

    async def open(self) -> None:
        """See `WakeUp.open`."""
        self._is_open = True
        self._settle()

    async def close(self) -> None:
        """See `WakeUp.close`."""
        self._is_open = False
        await self._tasks.cancel()
        self._home = None

    def hint(self, queue: str, hint: Hint, notice: Notice | None = None) -> None:
        """See `WakeUp.hint`."""
        super().hint(queue, hint, notice)
        self._settle()

    def listen(self, queue: str, hint: Hint) -> asyncio.Event:
        """See `WakeUp.listen`."""
        event = super().listen(queue, hint)
        self._settle()
        return event

    def _run_here(self, work: Work, *, name: str) -> None:
        """Starts a task; if it ends before `close` does, the loop does, and others take over."""
        _ = self._tasks.spawn(self._until_the_loop_ends(work), name=name)

    def _settle(self) -> None:
        """Makes the running loop the home if there is none that runs."""
        home = self._home
        if not self._is_open or (home is not None and home.is_running()):
            return
        here = asyncio._get_running_loop()  # noqa: SLF001 - the documented one raises without a loop
        if here is None:
            return
        with self._moving:
            if self._home is not home:
                return  # another thread was faster
            self._home = here
        old, self._tasks = self._tasks, OwnedTasks(in_background=True)
        old.ask_to_end()
        self._start()

    async def _until_the_loop_ends(self, work: Work) -> None:
        here = asyncio.get_running_loop()
        try:
            await work()
        finally:
            if self._is_open and self._home is here:
                self._home = None
                for loop in self.listening_loops:
                    if loop is not here and loop.is_running():
                        call_on(loop, self._settle)
