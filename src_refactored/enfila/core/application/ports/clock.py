"""The port for instants."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells instants. Lengths of time are measured with the loop's monotonic clock instead."""

    def now(self) -> datetime:
        """The current instant, aware, UTC."""
        ...


class MovedClock(Clock, Protocol):
    """A clock that somebody moves by hand, so that waiting for an instant needs to be told."""

    @abstractmethod
    def on_move(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls back whenever it was moved, in the thread of the mover; call the answer to end it.

        The callback must not raise.
        """
        ...


def when_moved(clock: Clock | None, callback: Callable[[], None]) -> Callable[[], None]:
    """Calls back whenever a clock is moved, if it is one that can be; call the answer to end it."""
    on_move: Callable[[Callable[[], None]], Callable[[], None]] | None
    on_move = getattr(clock, "on_move", None)
    return _nothing if on_move is None else on_move(callback)


def _nothing() -> None:
    """Nobody is told."""
