"""Jitter: delays that spread the jobs of schedules that tick at the same time."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b

from enfila.core.domain.duration import ZERO
from enfila.core.domain.schedule.zones.instants import MICROSECOND


def jittered(
    slug: str, nominal: datetime, next_nominal: datetime | None, jitter: timedelta
) -> datetime:
    """When the job of a tick may start: less than `jitter` after the tick, and before the next one.

    The delay is a hash of schedule and tick, so it is the same in every process.
    """
    longest = jitter if next_nominal is None else min(jitter, next_nominal - nominal)
    if longest <= ZERO:
        return nominal
    digest = blake2b(f"{slug}\n{nominal.isoformat()}".encode(), digest_size=8).digest()
    return nominal + int.from_bytes(digest) % (longest // MICROSECOND) * MICROSECOND
