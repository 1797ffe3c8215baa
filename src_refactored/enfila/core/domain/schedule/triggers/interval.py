"""Interval triggers: counted from an anchor, or from the end of the last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from enfila.core.domain.checking import instant as checked_instant
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.zones.offset_changes import LAST_YEAR

SHORTEST: Final = timedelta(seconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, init=False)
class Interval:
    """Value object: a tick at `anchor` and every `every` after it, however long the runs take.

    It counts elapsed time: time zones and daylight saving time do not affect it, and it does not
    drift.

    Attributes:
        every: the interval between two ticks, at least a second.
        anchor: the instant that the ticks are counted from, and the first of them. Without one,
            1970 in UTC: then 5 minutes mean :00, :05, :10 in every process and after every deploy.
    """

    every: timedelta
    anchor: datetime
    kind: ClassVar[str] = "interval"

    def __init__(self, every: Duration, anchor: datetime = EPOCH) -> None:
        object.__setattr__(self, "every", _length("interval.every", every))
        object.__setattr__(self, "anchor", checked_instant("interval.anchor", anchor))

    def next_after(self, instant: datetime, zone: ZoneInfo) -> datetime | None:  # noqa: ARG002
        """The first tick after an instant (aware UTC)."""
        if instant < self.anchor:
            return self.anchor
        return _within_calendar(instant, self.every - (instant - self.anchor) % self.every)

    def in_words(self) -> str:
        """The trigger in plain English."""
        return f"every {length_in_words(self.every)}"

    def to_document(self) -> dict[str, Any]:
        """The trigger as JSON for storage."""
        return {
            "kind": self.kind,
            "every": self.every.total_seconds(),
            "anchor": self.anchor.isoformat(),
        }

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Interval:
        """Reads a trigger that `to_document` wrote."""
        return cls(stored["every"], datetime.fromisoformat(stored["anchor"]))


@dataclass(frozen=True, slots=True, init=False)
class AfterCompletion:
    """Value object: a tick `every` after the last run has ended, so that runs never overlap.

    Attributes:
        every: the pause, at least a second.
    """

    every: timedelta
    kind: ClassVar[str] = "after_completion"

    def __init__(self, every: Duration) -> None:
        object.__setattr__(self, "every", _length("after_completion.every", every))

    def next_after(self, instant: datetime, zone: ZoneInfo) -> datetime | None:  # noqa: ARG002
        """The tick that follows a run which ended at `instant` (aware UTC)."""
        return _within_calendar(instant, self.every)

    def in_words(self) -> str:
        """The trigger in plain English."""
        return f"{length_in_words(self.every)} after the end of the last run"

    def to_document(self) -> dict[str, Any]:
        """The trigger as JSON for storage."""
        return {"kind": self.kind, "every": self.every.total_seconds()}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> AfterCompletion:
        """Reads a trigger that `to_document` wrote."""
        return cls(stored["every"])


def length_in_words(length: timedelta) -> str:
    """Describes a duration: `5 minutes`, `1 hour 30 minutes`, `0.5 seconds`."""
    seconds = length.total_seconds()
    parts = []
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:g} {name}{'' if count == 1 else 's'}")
    if seconds or not parts:
        parts.append(f"{seconds:g} second{'' if seconds == 1 else 's'}")
    return " ".join(parts)


def _length(field: str, value: Duration) -> timedelta:
    length = duration(field, value, allow_zero=False)
    if length < SHORTEST:
        raise InvalidRequest(field, value, "give at least one second")
    return length


def _within_calendar(instant: datetime, length: timedelta) -> datetime | None:
    return None if instant.year > LAST_YEAR - length.days // 365 else instant + length
