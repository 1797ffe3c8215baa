"""Spreading the jobs of many schedules that tick at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b

from enfila.core.domain.duration import ZERO
from enfila.core.domain.schedule.instants import MICROSECOND


def jittered(
    slug: str, nominal: datetime, next_nominal: datetime | None, jitter: timedelta
) -> datetime:
    """When the job of a tick starts: less than `jitter` later, and before the next tick.

    The same schedule and tick give the same instant in every process: the wait is a hash of them.
    """
    longest = jitter if next_nominal is None else min(jitter, next_nominal - nominal)
    if longest <= ZERO:
        return nominal
    digest = blake2b(f"{slug}\n{nominal.isoformat()}".encode(), digest_size=8).digest()
    return nominal + int.from_bytes(digest) % (longest // MICROSECOND) * MICROSECOND
