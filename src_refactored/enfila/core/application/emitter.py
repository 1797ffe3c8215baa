"""Telling listeners what happened."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Callable
from typing import Any

from pyee.asyncio import AsyncIOEventEmitter

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.events import Event

logger = logging.getLogger("enfila")

_OF_PYEE = frozenset({"new_listener", "error"})


class Emitter(AsyncIOEventEmitter):
    """A pyee emitter for typed events whose listeners can hurt nobody.

    Listeners are plain or async functions and get one event object. `on`, `once`, `off` and
    `remove_all_listeners` work as in pyee. A listener that raises is reported and the next one is
    still called. An event name that nobody emits is refused when a listener is added.
    """

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self._names = names

    def has_listeners(self, name: str) -> bool:
        """Whether building and telling such an event is worth the while."""
        return bool(self._events.get(name))

    def tell(self, event: Event) -> None:
        """Gives the event to its listeners. Never raises."""
        if self._events.get(event.name):
            self.emit(event.name, event)

    async def wait_for_listeners(self) -> None:
        """Returns when all async listeners that were called have ended."""
        await self.wait_for_complete()

    def _add_event_handler(self, event: str, k: Callable[..., Any], v: Callable[..., Any]) -> None:
        if event not in self._names and event not in _OF_PYEE:
            close = difflib.get_close_matches(event, self._names, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise InvalidRequest("event", event, f"{hint}give one of {', '.join(sorted(self._names))}")
        super()._add_event_handler(event, k, v)

    def _emit_run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            answer = f(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever a listener raises must hurt nobody
            self.report_listener_error(error, args[0] if args else None)
            return
        if asyncio.iscoroutine(answer):
            task = asyncio.ensure_future(answer)
            self._waiting.add(task)
            task.add_done_callback(lambda done: self._listener_ended(done, args))

    def _listener_ended(self, task: asyncio.Future[Any], args: tuple[Any, ...]) -> None:
        self._waiting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.report_listener_error(error, args[0] if args else None)

    def report_listener_error(self, error: BaseException, event: object) -> None:
        """Says that a listener raised. To be extended, not to raise."""
        name = event.name if isinstance(event, Event) else "?"
        logger.error("a listener of %s raised %r", name, error, exc_info=error)
