"""Keeps a number of processes running, and ends them together."""

from __future__ import annotations

import asyncio
import logging
import signal
from enum import IntEnum
from typing import Final

from enfila.core.application.runtime.waiting import is_set_within
from enfila.core.application.worker.shutdown import SIGNALS
from enfila.core.domain.showing import message_of
from enfila.entrypoints.processes.child import Child, End
from enfila.entrypoints.processes.messages import Failed, Order
from enfila.entrypoints.processes.restart_pace import RestartPace

logger = logging.getLogger("enfila.processes")

# The signals: it was told before its worker began to listen.
_AS_TOLD: Final = (0, -signal.SIGTERM, -signal.SIGINT)


class Urgency(IntEnum):
    """How much the processes are wanted to end."""

    NONE = 0
    STOP = 1
    HURRY = 2
    KILL = 3


class Supervisor:
    """Runs once: from the start of the processes to the end of the last one.

    Args:
        target: `package.module:name`.
        processes: how many.
        stop_timeout: seconds after which a process that does not end is killed.
    """

    def __init__(self, target: str, processes: int, stop_timeout: float) -> None:
        self._target: Final = target
        self._processes: Final = processes
        self._stop_timeout: Final = stop_timeout
        self._children: dict[int, Child] = {}
        self._urgency = Urgency.NONE
        self._stopping = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._has_come_up = False
        self._wordless_deaths = 0
        self._has_given_up = False
        self._has_failed = False

    async def run(self) -> int:
        """Until all processes have ended; the exit code."""
        logger.info("Running %s in %s.", self._target, _counted(self._processes))
        try:
            with SIGNALS.listening(self._on_signal):
                await self._keep_all()
        finally:
            if self._timer is not None:
                self._timer.cancel()
        logger.info("All worker processes have ended.")
        return 1 if self._has_failed or self._has_given_up else 0

    async def _keep_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            places = [
                group.create_task(self._keep(number), name=f"enfila worker process {number}")
                for number in range(1, self._processes + 1)
            ]
            try:
                _ = await asyncio.wait(places)
            except asyncio.CancelledError:
                self.ask_for(Urgency.HURRY)
                _ = await asyncio.wait(places)
                raise

    def ask_for(self, urgency: Urgency) -> None:
        """Tells the processes to end. Asking for no more than before does nothing."""
        if urgency <= self._urgency:
            return
        self._urgency = urgency
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._stop_timeout, self._lose_patience)
        self._stopping.set()
        if self._children:
            logger.info("Ending %s: %s.", _counted(len(self._children)), urgency.name.lower())
        for child in self._children.values():
            if urgency is Urgency.KILL:
                child.kill()
            else:
                child.publish(Order.STOP if urgency is Urgency.STOP else Order.HURRY)

    def _lose_patience(self) -> None:
        logger.warning("Not ended within %g s: what is left is killed.", self._stop_timeout)
        self.ask_for(Urgency.KILL)

    def _on_signal(self) -> None:
        self.ask_for(Urgency(min(self._urgency + 1, Urgency.KILL)))

    # ── one place ────────────────────────────────────────────────────────────────────────────

    async def _keep(self, number: int) -> None:
        """Keeps one place filled with a process."""
        pace = RestartPace()
        while not self._stopping.is_set():
            name, end = await self._run_one(number)
            if self._stopping.is_set():
                self._note_stopped(name, end)
                return
            self._wordless_deaths += end.failure is None
            if self._is_hopeless(end):
                logger.error("%s %s. Giving up, for none has come up.", name, end)
                self._has_given_up = True
                self.ask_for(Urgency.STOP)
                return
            wait = pace.wait_after(end.ran)
            when = f"in {wait:g} s" if wait else "at once"
            logger.warning("%s %s. Another one starts %s.", name, end, when)
            _ = await is_set_within(self._stopping, wait)

    async def _run_one(self, number: int) -> tuple[str, End]:
        try:
            child = Child.start(number, self._target, self._stop_timeout)
        except OSError as error:
            sentence = f"it could not be started: {message_of(error)}"
            return f"Worker process {number}", End(1, 0.0, Failed(sentence, needs_a_person=False))
        self._children[number] = child
        logger.info("%s has started.", child)
        try:
            return str(child), await child.ended()
        finally:
            del self._children[number]

    def _is_hopeless(self, end: End) -> bool:
        """Whether no process ever came up, and none will."""
        if end.came_up or any(child.has_come_up for child in self._children.values()):
            self._has_come_up = True
        if self._has_come_up:
            return False
        if end.failure is not None:
            return end.failure.needs_a_person
        # One that dies without a word has a second try; perhaps somebody killed it.
        return self._wordless_deaths > self._processes

    def _note_stopped(self, name: str, end: End) -> None:
        if end.exit_code in _AS_TOLD:
            logger.info("%s %s.", name, end)
            return
        self._has_failed = True
        if not self._has_given_up:  # the others come to the same end, and need no sentence each
            logger.warning("%s %s.", name, end)


def _counted(processes: int) -> str:
    return "1 worker process" if processes == 1 else f"{processes} worker processes"
