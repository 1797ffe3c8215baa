"""A clock that moves when the test says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from enfila.core.application.ports.clock import Clock
from enfila.core.domain.checking import instant
from enfila.core.domain.duration import Duration, duration

BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)


class FrozenClock(Clock):
    """A `Clock` that stands still until it is moved, so that a test never has to wait.

    Give one to a repository, and due times, locks and retention follow it:

        clock = FrozenClock()
        repository = InMemoryJobRepository(clock)
        ...
        clock.advance(60)  # a minute later

    Args:
        start: the first instant it shows (aware); 2026-01-01 00:00 UTC when left out.

    Raises:
        InvalidRequest: `start` has no time zone.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = BEGINNING if start is None else instant("start", start)

    def now(self) -> datetime:
        """The instant at which it stands, aware, UTC."""
        return self._now

    def advance(self, length: Duration) -> datetime:
        """Moves it forward by `length` (seconds or a `timedelta`); the instant it shows then."""
        self._now += duration("length", length)
        return self._now
