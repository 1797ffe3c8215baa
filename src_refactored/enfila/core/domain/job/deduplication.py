"""One key, one job: what happens when a job with a taken key is added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.failure import storable
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.state import CLAIMABLE, JobState

LONGEST_KEY = 255


class DeduplicationMode(StrEnum):
    """What an addition does when its key is held."""

    IGNORE = "ignore"
    """The first job stands; the new one is not added."""
    REPLACE = "replace"
    """A job that has not started takes the new payload and options; its time stays."""
    DEBOUNCE = "debounce"
    """As replace, and the job starts again to wait its delay."""
    KEEP_LAST = "keep_last"
    """As replace; while the holder is active one further job, the last added, waits behind it."""


class Decision(StrEnum):
    """What the repository does with an addition."""

    ADD = "add"
    """Add it and give it the key."""
    RETURN_HOLDER = "return holder"
    """Add nothing."""
    REPLACE = "replace"
    """Give the holder the new payload and options."""
    POSTPONE = "postpone"
    """Replace, and move the holder's time to the new job's."""
    FOLLOW = "follow"
    """Add it blocked behind the holder and give it the key."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The job that a key was given to, as it is now.

    Attributes:
        state: None when the job has been removed.
        free_at: the instant at which the key frees whatever the job does; None for none.
    """

    job_id: JobId
    state: JobState | None
    free_at: datetime | None


@dataclass(frozen=True, slots=True)
class Deduplication:
    """Value object: a key that only one job of a queue holds at a time.

    A key is never freed by a write of its own: it is free when its time is over or, without a
    time, when its job is final or gone. So a crashed holder cannot block it for ever.

    Attributes:
        key: 1 to 255 characters.
        mode: what an addition does while the key is held.
        ttl: the key frees this long after it was taken, finished or not; None while unfinished.
    """

    key: str
    mode: DeduplicationMode = DeduplicationMode.IGNORE
    ttl: timedelta | None = None

    @classmethod
    def while_unfinished(cls, key: str) -> Deduplication:
        """While a job with this key is unfinished, adding another returns the first."""
        return cls(_key(key))

    @classmethod
    def for_time(cls, key: str, ttl: Duration) -> Deduplication:
        """For `ttl` after the first, adding another returns the first, finished or not."""
        return cls(_key(key), ttl=duration("deduplication.ttl", ttl, allow_zero=False))

    @classmethod
    def replace(cls, key: str) -> Deduplication:
        """Adding another gives its payload and options to the one that has not started."""
        return cls(_key(key), DeduplicationMode.REPLACE)

    @classmethod
    def debounce(cls, key: str) -> Deduplication:
        """As `replace`, and the delay begins anew: the job runs once things are quiet."""
        return cls(_key(key), DeduplicationMode.DEBOUNCE)

    @classmethod
    def keep_last(cls, key: str) -> Deduplication:
        """While one runs, the last one added waits behind it; those between are dropped."""
        return cls(_key(key), DeduplicationMode.KEEP_LAST)

    def decide(self, holder: KeyHolder | None, now: datetime) -> Decision:
        """What to do with an addition under this key, given who holds it."""
        if holder is None or _is_free(holder, now):
            return Decision.ADD
        match self.mode:
            case DeduplicationMode.IGNORE:
                return Decision.RETURN_HOLDER
            case DeduplicationMode.REPLACE:
                return Decision.REPLACE if _is_pending(holder) else Decision.RETURN_HOLDER
            case DeduplicationMode.DEBOUNCE:
                return Decision.POSTPONE if holder.state in CLAIMABLE else Decision.RETURN_HOLDER
            case DeduplicationMode.KEEP_LAST:
                if holder.state is JobState.ACTIVE:
                    return Decision.FOLLOW
                return Decision.REPLACE if _is_pending(holder) else Decision.RETURN_HOLDER

    def to_json(self) -> dict[str, Any]:
        """What is stored."""
        stored: dict[str, Any] = {"key": self.key, "mode": self.mode.value}
        if self.ttl is not None:
            stored["ttl"] = self.ttl.total_seconds()
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Deduplication:
        """The deduplication that `to_json` stored."""
        ttl = stored.get("ttl")
        return cls(
            stored["key"],
            DeduplicationMode(stored["mode"]),
            None if ttl is None else timedelta(seconds=ttl),
        )


def _is_free(holder: KeyHolder, now: datetime) -> bool:
    if holder.free_at is not None:
        return holder.free_at <= now
    return holder.state is None or holder.state.is_final


def _is_pending(holder: KeyHolder) -> bool:
    return holder.state in CLAIMABLE or holder.state is JobState.BLOCKED


def _key(value: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_KEY or storable(value) != value:
        raise InvalidRequest(
            "deduplication.key",
            value,
            f"give 1 to {LONGEST_KEY} characters, none of them NUL or a lone surrogate",
        )
    return value
