"""The changes of a time zone's offset from UTC, such as daylight saving time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from enfila.core.domain.duration import ZERO

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_LONGEST_SHIFT: Final = timedelta(days=1)  # Samoa skipped the whole 30 December 2011
LAST_YEAR: Final = 9998
"""The last year that is looked at: arithmetic beyond it leaves Python's calendar."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Value object: one change of a zone's offset from UTC.

    If the clocks go forward, some local times do not exist (a gap); if they go back, some local
    times occur twice (an overlap).

    Attributes:
        at: the instant (aware UTC) from which the new offset holds.
        before, after: the offsets from UTC on either side.
    """

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def is_gap(self) -> bool:
        """Whether the clocks go forward."""
        return self.after > self.before

    @property
    def length(self) -> timedelta:
        """How much local time is skipped or repeated; always positive."""
        return abs(self.after - self.before)


def offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    """The zone's offset from UTC at an instant."""
    return instant.astimezone(zone).utcoffset() or ZERO


def shifts_between(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Shift]:
    """The shifts after `start`, up to and with `end`, in order."""
    for year in range(start.year, min(end.year, LAST_YEAR) + 1):
        for shift in _shifts_of_year(zone, year):
            if start < shift.at <= end:
                yield shift


def shift_around(instant: datetime, zone: ZoneInfo) -> Shift | None:
    """The shift that happened less than its own length before this instant."""
    for shift in shifts_between(instant - _LONGEST_SHIFT, instant, zone):
        if instant < shift.at + shift.length:
            return shift
    return None


@lru_cache(maxsize=4096)
def _shifts_of_year(zone: ZoneInfo, year: int) -> tuple[Shift, ...]:
    # `zoneinfo` does not expose its transitions, so the offset is compared day by day.
    shifts = []
    day = datetime(year, 1, 1, tzinfo=UTC)
    offset = offset_at(day, zone)
    while day.year == year:
        following = day + _DAY
        if (later := offset_at(following, zone)) != offset:
            shifts.append(Shift(_moment_of_change(day, following, zone), offset, later))
            offset = later
        day = following
    return tuple(shifts)


def _moment_of_change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The first whole second after `low` with the offset of `high`, found by bisection."""
    offset = offset_at(high, zone)
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if offset_at(middle, zone) == offset:
            high = middle
        else:
            low = middle
    return high
