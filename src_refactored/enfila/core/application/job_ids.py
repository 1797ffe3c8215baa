"""Fresh identifiers for jobs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from enfila.core.application.runtime.forks import ForkAware
from enfila.core.domain.job.identity import UUID7_RANDOM_BITS, JobId, uuid7

_LARGEST_STEP_BITS: Final = 32


class JobIds(ForkAware):
    """Makes UUIDv7 identifiers for jobs that strictly rise within a process.

    RFC 9562, section 6.2, method 2: within one millisecond, or when the clock steps back, the
    random part of the last id is incremented by a random amount. Threads may share one.
    """

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._last = 0
        self._lock = threading.Lock()

    def start_over(self) -> None:
        """See `ForkAware`. The random bits tell this process's ids from the parent's."""
        self._lock = threading.Lock()

    def next(self, now: datetime) -> JobId:
        """A new id that carries the instant `now` (aware) to the millisecond."""
        milliseconds = int(now.timestamp() * 1000)
        random = int.from_bytes(self._entropy(10), "big")
        fresh = milliseconds << UUID7_RANDOM_BITS | random & ((1 << UUID7_RANDOM_BITS) - 1)
        with self._lock:
            if fresh <= self._last:
                fresh = self._last + 1 + (random & ((1 << _LARGEST_STEP_BITS) - 1))
            self._last = fresh
        return uuid7(fresh)


new_job_id: Final = JobIds().next
"""Makes the id of a new job, above all that this process has given, whoever asked for them."""
