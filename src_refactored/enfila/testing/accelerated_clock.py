"""A clock that runs faster than time."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final

from enfila.core.application.ports.clock import Clock
from enfila.core.domain.checking import instant, number

_SMALLEST: Final = 1e-9
_LARGEST: Final = 1e9
_ALLOWED: Final = "give a number above zero, at most a thousand million"
_LATEST: Final = 32_503_680_000
"""The year 3000, in seconds of a machine's clock."""


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
        self._start = instant("start", start)
        self._factor = number("factor", factor, _SMALLEST, _LARGEST, _ALLOWED)
        self._began = (
            time.time()
            if began is None
            else number("began", began, 0, _LATEST, "give seconds of this machine's clock")
        )

    def __repr__(self) -> str:
        return f"<AcceleratedClock at {self.now().isoformat()}, {self._factor:g} times as fast>"

    def now(self) -> datetime:
        """The instant that it shows, aware, UTC."""
        return self._start + timedelta(seconds=(time.time() - self._began) * self._factor)
