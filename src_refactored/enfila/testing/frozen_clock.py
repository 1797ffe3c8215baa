"""A clock that moves when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from enfila.core.application.ports.clock import MovedClock
from enfila.core.domain.checking import instant
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import InvalidRequest

BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


class FrozenClock(MovedClock):
    """A `Clock` that stands still until it is moved, so that a test never has to wait.

    Give one to an app or a repository, and due times, locks and retention follow it:

        clock = FrozenClock()
        repository = InMemoryJobRepository(clock)
        ...
        clock.advance(60)  # a minute later

    Whoever waits for an instant in this process (workers, schedulers, maintenance) looks again
    whenever it is moved, forward or back.

    Args:
        start: the first instant it shows (aware); 2026-01-01 00:00 UTC when left out.

    Raises:
        InvalidRequest: `start` has no time zone, or is at an end of the calendar.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = BEGINNING if start is None else instant("start", start)
        self._waiting: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<FrozenClock at {self._now.isoformat()}>"

    def now(self) -> datetime:
        """The instant at which it stands, aware, UTC."""
        return self._now

    def advance(self, length: Duration) -> datetime:
        """Moves it forward by `length` (seconds or a `timedelta`); the instant it shows then.

        Raises:
            InvalidRequest: a negative length (use `move_to`), or one that leaves the calendar.
        """
        return self._move(self._after(duration("length", length)))

    def move_to(self, instant: datetime) -> datetime:
        """Moves it to an instant (aware), which may lie in its past; the instant it shows then.

        As with a clock that somebody sets back, what has happened stays: a lock that was taken
        later ends later, and no schedule makes a tick twice.

        Raises:
            InvalidRequest: it has no time zone, or is at an end of the calendar.
        """
        return self._move(_checked(instant))

    def on_move(self, callback: Callable[[], None]) -> Callable[[], None]:
        """See `MovedClock.on_move`."""
        self._waiting.append(callback)

        def stop() -> None:
            if callback in self._waiting:
                self._waiting.remove(callback)

        return stop

    def _after(self, length: timedelta) -> datetime:
        try:
            return instant("length", self._now + length)
        except (OverflowError, InvalidRequest):
            allowed = f"give a length that does not lead out of the calendar from {self._now}"
            raise InvalidRequest("length", length, allowed) from None

    def _move(self, now: datetime) -> datetime:
        self._now = now
        for wake in tuple(self._waiting):
            wake()
        return now


def _checked(value: datetime) -> datetime:
    return instant("instant", value)
