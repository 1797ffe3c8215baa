"""Telling listeners what happened."""

from __future__ import annotations

import asyncio
import difflib
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import Any, ClassVar

from pyee.asyncio import AsyncIOEventEmitter

from enfila.core.application.runtime.error_log import log_error
from enfila.core.application.runtime.forks import ForkAware
from enfila.core.application.runtime.pickling import NotPickled
from enfila.core.application.runtime.tasks import until_done
from enfila.core.domain.checking import function, instance
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.events import Event
from enfila.core.domain.showing import shown

logger = logging.getLogger("enfila")

_OF_PYEE = frozenset({"new_listener", "error"})
_OF_JOBS = "job."
_PATIENCE = timedelta(seconds=5)

ErrorReporter = Callable[[BaseException, str], None]
"""Told an error that hurt nobody, and during what it came up. Must not raise."""


class Emitter(NotPickled, AsyncIOEventEmitter, ForkAware):
    """A pyee emitter for typed events; a listener that fails or hangs does not disturb the emitter.

    Listeners are plain or async functions and get one event object. `on`, `once` and
    `remove_all_listeners` work as in pyee, `off` is its `remove_listener`. A listener that raises
    is reported and the next one is still called. An event name that nobody emits is refused when a
    listener is added.
    """

    _INSIDE: ClassVar[frozenset[str]] = frozenset({
        *("complete", "emit", "has_job_listeners", "has_listeners", "publish", "report_error"),
        *("report_errors_to", "report_listener_error", "start_over", "wait_for_complete"),
        "wait_for_listeners",
    })  # fmt: skip
    """Public names that are for enfila's own parts: `dir` leaves them out."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self._names = names
        self._error_reporters: list[ErrorReporter] = []

    def __dir__(self) -> Iterable[str]:
        return sorted(set(super().__dir__()) - self._INSIDE)

    def start_over(self) -> None:
        """See `ForkAware`. Listeners stay; the tasks of async ones are the parent's."""
        self._waiting.clear()
        self._lock = threading.Lock()

    @property
    def has_job_listeners(self) -> bool:
        """Whether anybody listens to what becomes of jobs."""
        return any(name.startswith(_OF_JOBS) for name in tuple(self._events))

    def has_listeners(self, name: str) -> bool:
        """Whether building and telling such an event is worth the while."""
        return bool(self._events.get(name))

    def off(self, event: str, f: Callable[..., Any]) -> None:
        """Removes a listener. One that is not there is ignored."""
        instance("event", event, str, "the name of an event")
        if f in self._events.get(event, ()):
            self.remove_listener(event, f)

    def publish(self, event: Event) -> None:
        """Gives the event to its listeners. Never raises."""
        if self._events.get(event.name):
            self.emit(event.name, event)

    async def wait_for_listeners(self, patience: timedelta = _PATIENCE) -> None:
        """Returns when all async listeners that were called have ended, or patience has."""
        if self._waiting:
            await until_done(set(self._waiting), timeout=patience.total_seconds())

    def report_errors_to(self, reporter: ErrorReporter) -> Callable[[], None]:
        """Has `reporter` told of errors instead of the log; call the answer to end that."""
        self._error_reporters.append(reporter)

        def end() -> None:
            if reporter in self._error_reporters:
                self._error_reporters.remove(reporter)

        return end

    def report_error(self, error: BaseException, during: str) -> None:
        """Says that something went wrong beside the work: to the reporters, else to the log."""
        if not self._error_reporters:
            log_error(logger, error, during)
        for report in tuple(self._error_reporters):
            report(error, during)

    def report_listener_error(self, error: BaseException, event: object) -> None:
        """Says that a listener raised."""
        name = event.name if isinstance(event, Event) else "?"
        self.report_error(error, f"a listener of {name}")

    def _add_event_handler(self, event: str, k: Callable[..., Any], v: Callable[..., Any]) -> None:
        instance("event", event, str, "the name of an event")
        function("listener", v, "a function of one argument, the event")
        if event not in self._names and event not in _OF_PYEE:
            close = difflib.get_close_matches(event, self._names, n=1)
            hint = f"did you mean {shown(close[0])}? " if close else ""
            raise InvalidRequest(
                "event", event, f"{hint}give one of {', '.join(sorted(self._names))}"
            )
        super()._add_event_handler(event, k, v)

    def _emit_run(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        try:
            answer = f(*args, **kwargs)
            if asyncio.iscoroutine(answer):
                self._run_listener(answer, args)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - it must hurt nobody
            self.report_listener_error(error, args[0] if args else None)

    def _run_listener(self, coroutine: Coroutine[Any, Any, Any], args: tuple[Any, ...]) -> None:
        if asyncio._get_running_loop() is None:  # noqa: SLF001 - the documented one raises without a loop
            # Told by code without a loop, such as a plain Session that committed.
            asyncio.run(coroutine)
            return
        task = asyncio.ensure_future(coroutine)
        self._waiting.add(task)
        task.add_done_callback(lambda done: self._listener_ended(done, args))

    def _listener_ended(self, task: asyncio.Future[Any], args: tuple[Any, ...]) -> None:
        self._waiting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.report_listener_error(error, args[0] if args else None)
