"""The clock of the machine."""

from __future__ import annotations

from datetime import UTC, datetime

from enfila.core.application.ports.clock import Clock
from enfila.core.domain.errors import InvalidRequest


class SystemClock(Clock):
    """Tells the machine's instants; the default where no clock is given."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def clock_or_system(clock: Clock | None) -> Clock:
    """The given clock; the machine's when None. `InvalidRequest` if it is no clock."""
    if clock is None:
        return SystemClock()
    tells = getattr(clock, "now", None)
    now = tells() if callable(tells) else None
    if not isinstance(now, datetime) or now.utcoffset() is None:
        allowed = "give an object whose method `now` gives an aware datetime, or None"
        raise InvalidRequest("clock", clock, allowed)
    return clock
