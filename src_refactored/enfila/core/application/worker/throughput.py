"""How fast a worker gets through jobs."""

from __future__ import annotations

import math
from typing import Final

_MEMORY: Final = 0.05
"""Seconds over which the rate is averaged."""
_SHORTEST_SAMPLE: Final = 0.002
AHEAD: Final = 0.1
"""Seconds of work that may be held ahead."""
MOST_AHEAD: Final = 1_000


class Throughput:
    """The rate of ended runs while there is work, averaged exponentially over time.

    Idle time does not count: a worker that waited for jobs is not slow.
    """

    def __init__(self) -> None:
        self.per_second = 0.0
        self._since: float | None = None
        self._ended = 0

    def observe(self, now: float, ended: int) -> None:
        """Takes a sample.

        Args:
            now: by a monotonic clock, in seconds.
            ended: how many runs have ended since the beginning.
        """
        if self._since is None:
            self._since, self._ended = now, ended
            return
        elapsed = now - self._since
        if elapsed < _SHORTEST_SAMPLE:
            return
        # The first sample is all there is to go by.
        weight = 1 - math.exp(-elapsed / _MEMORY) if self.per_second else 1.0
        self.per_second += weight * ((ended - self._ended) / elapsed - self.per_second)
        self._since, self._ended = now, ended

    def rest(self) -> None:
        """Notes that there is nothing to do until the next sample."""
        self._since = None

    @property
    def worth_holding(self) -> int:
        """How many jobs it makes sense to hold beyond the free slots."""
        return min(int(self.per_second * AHEAD), MOST_AHEAD)
