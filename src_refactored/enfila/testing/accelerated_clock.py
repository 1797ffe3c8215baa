"""A clock that runs faster than time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from enfila.core.application.ports.clock import Clock
from enfila.core.domain.errors import InvalidRequest


class AcceleratedClock(Clock):
    """A `Clock` under which a day passes in seconds, for schedules to be watched.

    Several processes that are given the same `start`, `factor` and `began` agree on the instant.
    Waits are still real: a scheduler under it wants a short `poll_interval`.

    Args:
        start: what it showed when it began (aware).
        factor: how many seconds pass in one second, above zero.
        began: when that was, in seconds of this machine's clock (`time.time()`); now when None.

    Raises:
        InvalidRequest: `start` has no time zone, or the factor is zero or less.
    """

    def __init__(self, start: datetime, factor: float, *, began: float | None = None) -> None:
        if start.utcoffset() is None:
            raise InvalidRequest("start", start, "give an aware datetime (with a time zone)")
        if factor <= 0:
            raise InvalidRequest("factor", factor, "give a number above zero")
        self._start = start.astimezone(UTC)
        self._factor = factor
        self._began = time.time() if began is None else began

    def now(self) -> datetime:
        """The instant that it shows, aware, UTC."""
        return self._start + timedelta(seconds=(time.time() - self._began) * self._factor)
