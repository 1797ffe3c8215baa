"""Names of things: jobs, workers and the token of a lock."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Final, NewType

from enfila.core.domain.errors import InvalidRequest

JobId = NewType("JobId", str)
"""A UUIDv7 in its canonical text form; later jobs have larger ids."""

WorkerId = NewType("WorkerId", str)
"""A UUID in its canonical text form, fresh for each start of a worker."""

LockToken = NewType("LockToken", int)
"""Rises by one with every claim of a job; whoever holds an older one has lost the job."""

NO_TOKEN: Final = LockToken(0)

_RANDOM_BITS: Final = 74
_LARGEST_STEP_BITS: Final = 32


class JobIds:
    """Makes UUIDv7 identifiers that strictly rise within a process.

    RFC 9562, section 6.2, method 2: within one millisecond, or when the clock steps back, the
    random part of the last id is incremented by a random amount. Threads may share one.
    """

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._last = 0
        self._lock = threading.Lock()

    def next(self, now: datetime) -> JobId:
        """A new id that carries the instant `now` (aware) to the millisecond."""
        milliseconds = int(now.timestamp() * 1000)
        random = int.from_bytes(self._entropy(10), "big")
        fresh = milliseconds << _RANDOM_BITS | random & ((1 << _RANDOM_BITS) - 1)
        with self._lock:
            if fresh <= self._last:
                fresh = self._last + 1 + (random & ((1 << _LARGEST_STEP_BITS) - 1))
            self._last = fresh
        return _as_uuid7(fresh)


def _as_uuid7(value: int) -> JobId:
    """48 bits of time, version, 12 random bits, variant, 62 random bits."""
    time, above, below = value >> 74, (value >> 62) & 0xFFF, value & ((1 << 62) - 1)
    text = f"{time:012x}{0x7000 | above:04x}{1 << 63 | below:016x}"
    return JobId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def job_id(value: str | uuid.UUID) -> JobId:
    """The id that `value` spells.

    Raises:
        InvalidRequest: it is not a UUID.
    """
    try:
        return JobId(str(value if isinstance(value, uuid.UUID) else uuid.UUID(value)))
    except (ValueError, AttributeError, TypeError):
        raise InvalidRequest("job_id", value, "give the id of a job, a UUID") from None


def new_worker_id() -> WorkerId:
    """A fresh random UUID for one start of a worker."""
    return WorkerId(str(uuid.uuid4()))
