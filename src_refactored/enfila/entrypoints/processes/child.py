"""A worker process, seen by its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final, Self

from enfila.core.application.runtime.waiting import is_set_within
from enfila.entrypoints.processes.child_program import run_child
from enfila.entrypoints.processes.messages import Failed, Loaded, Message, Order

_SPAWNING: Final = multiprocessing.get_context("spawn")

NAME: Final = "enfila-worker-"
"""How the names of worker processes begin."""

_CAME_UP: Final = 1.0
"""A process whose function has run for so many seconds came up."""

_LOOK: Final = 1.0
"""Seconds between two looks whether a process lives, should its end not be told."""
_SHORT: Final = 0.01
"""Seconds that may lie between the news of an end and its exit code."""


@dataclass(frozen=True, slots=True)
class End:
    """Value object: how a process ended.

    Attributes:
        exit_code: negative for the signal that killed it.
        ran: seconds that its function ran.
        failure: what it said itself.
    """

    exit_code: int
    ran: float
    failure: Failed | None

    @property
    def came_up(self) -> bool:
        """Whether its function ran for long enough to be right."""
        return self.ran >= _CAME_UP

    def __str__(self) -> str:
        if self.exit_code < 0:
            return f"was killed by {_name_of(-self.exit_code)}"
        reason = "" if self.failure is None else f": {self.failure.sentence}"
        return f"ended with exit code {self.exit_code}{reason}"


class Child:
    """One process: started, told to end, and waited for."""

    def __init__(self, number: int, process: SpawnProcess, line: Connection) -> None:
        self._process = process
        self._line = line
        self._loaded_at: float | None = None
        self._failure: Failed | None = None
        self._name: Final = f"Worker process {number} (pid {process.pid})"

    @classmethod
    def start(cls, number: int, target: str, stop_timeout: float) -> Self:
        """Starts a process.

        Raises:
            OSError: the system has no room for another one.
        """
        ours, theirs = _SPAWNING.Pipe()
        process = _SPAWNING.Process(
            target=run_child, args=(target, theirs, stop_timeout), name=f"{NAME}{number}"
        )
        try:
            with _interrupts_held_back():
                process.start()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(number, process, ours)

    def __str__(self) -> str:
        return self._name

    @property
    def has_come_up(self) -> bool:
        """Whether its function has run for long enough to be right."""
        return self._ran >= _CAME_UP

    def publish(self, order: Order) -> None:
        """Tells it to end; nothing if it has ended."""
        with contextlib.suppress(OSError):
            self._line.send(order)

    def kill(self) -> None:
        """Ends it at once; nothing if it has ended."""
        with contextlib.suppress(ValueError):  # its end was seen
            self._process.kill()

    async def ended(self) -> End:
        """Waits for its end. If the waiting is cut short, it is killed."""
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        sentinel, line = self._process.sentinel, self._line.fileno()

        def hear_the_end() -> None:
            loop.remove_reader(sentinel)
            gone.set()

        def hear() -> None:
            try:
                self._hear()
            except (EOFError, OSError):  # it has closed its end
                loop.remove_reader(line)

        loop.add_reader(sentinel, hear_the_end)
        loop.add_reader(line, hear)
        try:
            exit_code = await self._exit_code(gone)
        except BaseException:
            self._process.kill()
            self._process.join()
            raise
        finally:
            loop.remove_reader(sentinel)
            loop.remove_reader(line)
        with contextlib.suppress(EOFError, OSError):
            self._hear()
        end = End(exit_code, self._ran, self._failure)
        self._process.close()
        self._line.close()
        return end

    async def _exit_code(self, gone: asyncio.Event) -> int:
        # The news of its end does not come while something that it forked holds its pipes open.
        while (exit_code := self._process.exitcode) is None:
            if gone.is_set():
                await asyncio.sleep(_SHORT)
            else:
                _ = await is_set_within(gone, _LOOK)
        return exit_code

    @property
    def _ran(self) -> float:
        return 0.0 if self._loaded_at is None else time.monotonic() - self._loaded_at

    def _hear(self) -> None:
        """Takes all that the process has said.

        Raises:
            EOFError, OSError: it will say no more.
        """
        while self._line.poll():
            message: Message = self._line.recv()
            match message:
                case Loaded():
                    self._loaded_at = time.monotonic()
                case Failed():
                    self._failure = message


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Within it, processes are started that Ctrl-C cannot end before they have left the terminal.

    It would end them with a trace each. What is held back is theirs alone: here it comes later.
    """
    # Would take the block away if it began to run within.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        _ = signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the numbered real-time signals
        return f"signal {number}"
