"""Making very many objects at once."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from enfila.core.application.runtime.forks import ForkAware


class _Rest(ForkAware):
    """How many threads want the collector to rest, and whether it is theirs to wake."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._was_on = False

    def start_over(self) -> None:
        """See `ForkAware`."""
        self._lock = threading.Lock()
        if self._inside:
            self._inside = 0
            if self._was_on:
                gc.enable()

    def begin(self) -> None:
        with self._lock:
            if not self._inside:
                self._was_on = gc.isenabled()
                gc.disable()
            self._inside += 1

    def end(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._was_on:
                gc.enable()


_rest = _Rest()


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """No garbage collection meanwhile: for a short step that makes many objects and drops none.

    The collector would look through all of them again and again and find nothing, which takes a
    third of the time of such a step. Nothing may be awaited inside. Threads may be inside at the
    same time.
    """
    _rest.begin()
    try:
        yield
    finally:
        _rest.end()
