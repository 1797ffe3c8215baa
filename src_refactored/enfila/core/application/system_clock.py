"""The clock of the machine."""

from __future__ import annotations

from datetime import UTC, datetime

from enfila.core.application.ports.clock import Clock


class SystemClock(Clock):
    """Tells the machine's instants; the default where no clock is given."""

    def now(self) -> datetime:
        return datetime.now(UTC)
