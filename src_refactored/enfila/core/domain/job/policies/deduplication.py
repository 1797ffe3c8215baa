"""Deduplication: what happens when a job is added with a key that another job holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from enfila.core.domain.checking import one_of, text
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.state import CLAIMABLE, JobState

LONGEST_KEY = 255


class DeduplicationMode(StrEnum):
    """What happens when a job is added whose key another job holds."""

    IGNORE = "ignore"
    """The new job is not added."""
    REPLACE = "replace"
    """A job that has not started gets the new payload and options; its `run_at` stays."""
    DEBOUNCE = "debounce"
    """Like replace, and the delay of the job starts again."""
    KEEP_LAST = "keep_last"
    """Like replace; while the holder is active, one more job (the last added) waits behind it."""


class Decision(StrEnum):
    """What the repository does with the new job."""

    ADD = "add"
    """Add it; it holds the key from now on."""
    RETURN_HOLDER = "return holder"
    """Do not add it, and return the job that holds the key."""
    REPLACE = "replace"
    """Replace payload and options of the holder."""
    POSTPONE = "postpone"
    """Replace, and set `run_at` of the holder to that of the new job."""
    FOLLOW = "follow"
    """Add it as blocked behind the holder; it holds the key from now on."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """The job that holds a key, and when the key expires.

    Attributes:
        state: the job's, or the final one in which it was removed; None when neither is known.
        free_at: when the key becomes free, whatever the state of the job; None for no time.
    """

    job_id: JobId
    state: JobState | None
    free_at: datetime | None

    def is_free(self, now: datetime) -> bool:
        """Whether the job holds the key no longer."""
        if self.free_at is not None:
            return self.free_at <= now
        return self.state is None or self.state.is_final


@dataclass(frozen=True, slots=True)
class Deduplication:
    """Value object: a key that only one job of a queue holds at a time.

    No write is needed to release a key: it is free when its time is over or, without a time, when
    its job is final or removed; also when its job was removed before its end. So a crash cannot
    leave a key taken for ever.

    Attributes:
        key: 1 to 255 characters.
        mode: what happens when a job is added while the key is held.
        ttl: how long the key is held, whether the job has finished or not; None for as long as the
            job is unfinished.
    """

    key: str
    mode: DeduplicationMode = DeduplicationMode.IGNORE
    ttl: timedelta | None = None

    def __post_init__(self) -> None:
        key = text("deduplication.key", self.key, LONGEST_KEY, shortest=1)
        object.__setattr__(self, "key", key)
        mode = one_of("deduplication.mode", self.mode, DeduplicationMode)
        object.__setattr__(self, "mode", mode)
        if self.ttl is not None:
            ttl = duration("deduplication.ttl", self.ttl, allow_zero=False)
            object.__setattr__(self, "ttl", ttl)

    @classmethod
    def while_unfinished(cls, key: str) -> Deduplication:
        """While a job with this key is unfinished, `add` returns that job."""
        return cls(key)

    @classmethod
    def for_time(cls, key: str, ttl: Duration) -> Deduplication:
        """For `ttl` after a job was added, `add` returns that job, even if it has finished."""
        return cls(key, ttl=duration("deduplication.ttl", ttl, allow_zero=False))

    @classmethod
    def replace(cls, key: str) -> Deduplication:
        """`add` replaces payload and options of the job that has not started."""
        return cls(key, DeduplicationMode.REPLACE)

    @classmethod
    def debounce(cls, key: str) -> Deduplication:
        """Like `replace`, and the delay starts again: the job runs once no more are added."""
        return cls(key, DeduplicationMode.DEBOUNCE)

    @classmethod
    def keep_last(cls, key: str) -> Deduplication:
        """While one job runs, only the last one that was added waits behind it."""
        return cls(key, DeduplicationMode.KEEP_LAST)

    def decide(self, holder: KeyHolder | None, now: datetime) -> Decision:
        """Decides what to do with a new job under this key, given the job that holds it."""
        if holder is None or holder.is_free(now):
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

    def held_until(self, now: datetime) -> datetime | None:
        """When the key of a job that is added now becomes free; None while it is unfinished."""
        return None if self.ttl is None else now + self.ttl

    def to_json(self) -> dict[str, Any]:
        """The deduplication as JSON for storage."""
        stored: dict[str, Any] = {"key": self.key, "mode": self.mode.value}
        if self.ttl is not None:
            stored["ttl"] = self.ttl.total_seconds()
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Deduplication:
        """Reads a deduplication that `to_json` wrote."""
        ttl = stored.get("ttl")
        return cls(
            stored["key"],
            stored["mode"],
            None if ttl is None else timedelta(seconds=ttl),
        )


def _is_pending(holder: KeyHolder) -> bool:
    return holder.state in CLAIMABLE or holder.state is JobState.BLOCKED
