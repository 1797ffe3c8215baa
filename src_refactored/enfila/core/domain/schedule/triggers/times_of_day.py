"""A trigger for times of day on days of the week."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.triggers.weekdays import (
    EVERY_DAY,
    MONDAY_FIRST,
    enumerated,
    weekdays,
    weekdays_in_words,
)
from enfila.core.domain.schedule.zones.wall_time import next_instant

MOST_TIMES: Final = 100
_ALLOWED: Final = "give times such as '12:00' or '18:30:15', from 00:00 to 23:59:59"
_TIME: Final = re.compile(r"(\d\d?):(\d\d)(?::(\d\d))?", re.ASCII)


@dataclass(frozen=True, slots=True, init=False)
class TimesOfDay:
    """Value object: a trigger that ticks at given times of day, on given days of the week.

    Args:
        at: one time or up to 100 of them, as `"12:00"`, `"18:30:15"` or `datetime.time`.
        days: `"daily"`, or days and ranges such as `"mon-fri"` or `"mon,wed"`.

    Attributes:
        at: the times, in order, each once.
        days: the days of the week; 0 is Monday.
    """

    at: tuple[time, ...]
    days: frozenset[int]
    kind: ClassVar[str] = "times_of_day"

    def __init__(
        self, at: str | time | Iterable[str | time], days: str | Iterable[str] = "daily"
    ) -> None:
        object.__setattr__(self, "at", _times(at))
        object.__setattr__(self, "days", weekdays("times_of_day.days", days))

    @property
    def is_fixed(self) -> bool:
        """Times of day are fixed times; see `WallRule`."""
        return True

    def next_after(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """The first tick after an instant (both aware UTC), in the time zone `zone`."""
        return next_instant(self, instant, zone)

    def next_wall(self, wall: datetime) -> datetime | None:
        """The first matching local time at or after `wall`."""
        if wall.weekday() in self.days:
            for each in self.at:
                if each >= wall.time():
                    return datetime.combine(wall, each)
        day = wall + timedelta(days=1)
        while day.weekday() not in self.days:
            day += timedelta(days=1)
        return datetime.combine(day, self.at[0])

    def in_words(self) -> str:
        """The trigger in plain English."""
        times = enumerated([_short(each) for each in self.at])
        if self.days == EVERY_DAY:
            return f"at {times} every day"
        return f"at {times} on {weekdays_in_words(self.days)}"

    def to_document(self) -> dict[str, Any]:
        """The trigger as JSON for storage."""
        return {
            "kind": self.kind,
            "at": [each.isoformat() for each in self.at],
            "days": [MONDAY_FIRST[day] for day in sorted(self.days)],
        }

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> TimesOfDay:
        """Reads a trigger that `to_document` wrote."""
        return cls(stored["at"], stored["days"])


def _times(value: str | time | Iterable[str | time]) -> tuple[time, ...]:
    given = [value] if isinstance(value, str | time) or not isinstance(value, Iterable) else value
    times = {_time(each) for each in given}
    if not 0 < len(times) <= MOST_TIMES:
        raise InvalidRequest("times_of_day.at", value, f"give 1 to {MOST_TIMES} times")
    return tuple(sorted(times))


def _time(value: str | time) -> time:
    if isinstance(value, time) and value.tzinfo is None and not value.microsecond:
        return value
    if not isinstance(value, str) or not (match := _TIME.fullmatch(value)):
        raise InvalidRequest("times_of_day.at", value, _ALLOWED)
    hour, minute, second = map(int, match.groups("0"))
    try:
        return time(hour, minute, second)
    except ValueError:
        raise InvalidRequest("times_of_day.at", value, _ALLOWED) from None


def _short(value: time) -> str:
    return value.isoformat("seconds" if value.second else "minutes")
