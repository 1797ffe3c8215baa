"""What a worker process does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
from multiprocessing.connection import Connection
from types import FrameType
from typing import Final, NoReturn

from enfila.core.application.worker.shutdown import SIGNALS
from enfila.core.domain.errors import InvalidRequest, RepositoryUnavailable, SchemaMismatch
from enfila.core.domain.showing import message_of
from enfila.entrypoints.processes.messages import Failed, Loaded, Message, Order
from enfila.entrypoints.processes.stragglers import LenientExecutor, end_without_stragglers
from enfila.entrypoints.processes.target import AsyncFunction, described, load

logger = logging.getLogger("enfila.processes")

_PYTHONS_THRESHOLDS: Final = gc.get_threshold()
_TOLD_BY_OTHERS: Final = 0.1
"""Seconds in which somebody who tells all processes to end, such as systemd, has told this one."""


def run_child(target: str, line: Connection, stop_timeout: float) -> None:
    """Runs the target until it returns or is told to end.

    Args:
        target: `package.module:name`.
        line: to the supervisor; when it breaks, the supervisor is gone.
        stop_timeout: seconds that the target may go on without a supervisor.
    """
    _leave_the_terminal()
    ChildProgram(line, stop_timeout).run(target)


class ChildProgram:
    """Runs a target, and ends it when the supervisor says so or is gone."""

    def __init__(self, line: Connection, stop_timeout: float) -> None:
        self._line = line
        self._stop_timeout = stop_timeout
        self._was_cancelled = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, target: str) -> None:
        """Runs it to its end. Threads that do not end do not keep the process that was told to."""
        exit_code = 1
        try:
            self._run(target)
            exit_code = 0
        finally:
            if self._is_ending():
                end_without_stragglers(exit_code)

    def _is_ending(self) -> bool:
        return self._was_cancelled or SIGNALS.times_heard > 0

    def _run(self, target: str) -> None:
        threading.Thread(target=self._follow_orders, name="enfila orders", daemon=True).start()
        try:
            work = load(target)
        except InvalidRequest as error:
            self._fail(message_of(error), needs_a_person=True)
        _rest_the_collector()
        self._say(Loaded())
        try:
            asyncio.run(self._until_told(work))
        except asyncio.CancelledError:
            if not self._was_cancelled:
                raise
        except RepositoryUnavailable as error:
            self._fail(described(error), needs_a_person=False)
        except (InvalidRequest, SchemaMismatch) as error:
            self._fail(described(error), needs_a_person=True)

    async def _until_told(self, work: AsyncFunction) -> None:
        """Cancels the target at a signal, unless a worker hears it: that ends more gently."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        self._loop = loop
        loop.set_default_executor(LenientExecutor(self._is_ending))

        def cancel(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._was_cancelled = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended
                if task is not None:
                    loop.call_soon_threadsafe(task.cancel)

        # A worker that begins to run puts its own in their place, and puts them back.
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, cancel)
        await work()

    # ── the supervisor ───────────────────────────────────────────────────────────────────────

    def _fail(self, sentence: str, *, needs_a_person: bool) -> NoReturn:
        self._say(Failed(sentence, needs_a_person))
        raise SystemExit(1)

    def _say(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # nobody is there to hear it
            self._line.send(message)

    def _follow_orders(self) -> None:
        """Does what the supervisor says; runs in a thread, for the loop may be blocked."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                order: Order = self._line.recv()
                if order is Order.STOP:
                    self._stop()
                else:
                    self._signal_ourselves(signal.SIGINT)
        logger.warning("The supervisor is gone: worker process %s ends too.", os.getpid())
        self._stop()
        threading.Event().wait(self._stop_timeout)
        os._exit(1)

    def _stop(self) -> None:
        # A second signal means "at once". A service manager may tell each process of a service
        # itself, so that ours would be the second one.
        threading.Event().wait(_TOLD_BY_OTHERS)
        if not self._is_ending():
            self._signal_ourselves(signal.SIGTERM)

    def _signal_ourselves(self, number: signal.Signals) -> None:
        ident = threading.main_thread().ident
        if ident is not None:
            # Not to the process: a thread that gets a signal does not wake the loop.
            signal.pthread_kill(ident, number)
        if self._loop is not None:
            # A signal that comes just before the loop goes to sleep does not wake it either.
            with contextlib.suppress(RuntimeError):  # it is closed: all has ended
                _ = self._loop.call_soon_threadsafe(_wake_up)


def _wake_up() -> None:
    """Handlers of signals run when the loop is awake."""


def _rest_the_collector() -> None:
    """Has Python look for garbage less often, unless the target has chosen how often.

    A worker makes many objects that live shortly and hold no cycles: looking through them, and
    through all that was imported, takes a tenth of its time (docs/performance.md).
    """
    gc.freeze()
    if gc.get_threshold() == _PYTHONS_THRESHOLDS:
        gc.set_threshold(50_000, 20, 100)


def _leave_the_terminal() -> None:
    """Only the supervisor hears Ctrl-C; it tells the others."""
    os.setsid()
    # One that came before is held back still, and would come now; ignoring drops it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _ = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
