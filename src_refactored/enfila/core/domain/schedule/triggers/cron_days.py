"""The days that a cron expression matches."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from enfila.core.domain.schedule.zones.offset_changes import LAST_YEAR

LAST: Final = -1
"""Stands for the last day of a month, and for the last such weekday in it."""
LONGEST_SEARCH: Final = 50
"""Years. The rarest day, a 29 February that is a Monday, comes after 40 at the latest."""


@dataclass(frozen=True, slots=True)
class CronDays:
    """Value object: the days of month, months and weekdays of a cron expression.

    Attributes:
        days: of the month, 1 to 31, and `LAST`.
        weekdays: 0 is Sunday.
        nth_weekdays: pairs of a weekday and its number within the month, 1 to 5 or `LAST`.
        either_is_enough: whether a day matches if only one of day and weekday does.
    """

    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    nth_weekdays: frozenset[tuple[int, int]]
    either_is_enough: bool

    def __contains__(self, day: date) -> bool:
        return day.day in _days_of_month(self, day.year, day.month)

    def first_after(self, day: date) -> date | None:
        """The first matching day after `day`; None if there is none for 50 years."""
        for found in _days_of_month(self, day.year, day.month):
            if found > day.day:
                return day.replace(day=found)
        return self._first_from_month(day.year, day.month + 1)

    def exist(self) -> bool:
        """Whether any day matches."""
        return self._first_from_month(2000, 1) is not None

    def _first_from_month(self, year: int, month: int) -> date | None:
        for count in range(month - 1, month - 1 + LONGEST_SEARCH * 12):
            year_of, month_of = year + count // 12, count % 12 + 1
            if year_of > LAST_YEAR:
                return None
            if month_of in self.months and (days := _days_of_month(self, year_of, month_of)):
                return date(year_of, month_of, days[0])
        return None

    def _mean(self, day: int, weekday: int, length: int) -> bool:
        by_day = day in self.days or (day == length and LAST in self.days)
        by_weekday = (
            weekday in self.weekdays
            or (weekday, (day + 6) // 7) in self.nth_weekdays
            or (day + 7 > length and (weekday, LAST) in self.nth_weekdays)
        )
        return (by_day or by_weekday) if self.either_is_enough else (by_day and by_weekday)


@lru_cache(maxsize=4096)
def _days_of_month(days: CronDays, year: int, month: int) -> Sequence[int]:
    if month not in days.months:
        return ()
    first_weekday, length = monthrange(year, month)  # 0 is Monday
    return tuple(
        day
        for day in range(1, length + 1)
        if days._mean(day, (first_weekday + day) % 7, length)  # noqa: SLF001 - its other half
    )
