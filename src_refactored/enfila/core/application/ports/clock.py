"""The port for instants."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells instants. Lengths of time are measured with the loop's monotonic clock instead."""

    def now(self) -> datetime:
        """The current instant, aware, UTC."""
        ...
