"""Cron expressions. This is the only file that imports croniter, which parses their fields."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from enfila.core.domain.checking import text
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.triggers.cron_days import LAST, CronDays
from enfila.core.domain.schedule.triggers.cron_description import cron_in_words
from enfila.core.domain.schedule.triggers.cron_fields import (
    FIELDS,
    LONGEST_EXPRESSION,
    WEEKDAY,
    CronFields,
)
from enfila.core.domain.schedule.zones.wall_time import next_instant
from enfila.core.domain.showing import message_of

_LAST_DAY: Final = "l"
_ALLOWED: Final = f"give text of at most {LONGEST_EXPRESSION} characters"


@dataclass(frozen=True, slots=True, init=False)
class Cron:
    """Value object: a trigger that ticks whenever the local time matches a cron expression.

    Five fields (minute, hour, day of month, month, day of week), or six with the seconds first.

    Attributes:
        expression: as it was given, without surrounding spaces.
    """

    expression: str
    kind: ClassVar[str] = "cron"

    def __init__(self, expression: str) -> None:
        given = text("cron", expression, LONGEST_EXPRESSION, allowed=_ALLOWED)
        _rule_of(given)
        object.__setattr__(self, "expression", given.strip())

    def next_after(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """The first tick after an instant (both aware UTC), in the time zone `zone`."""
        return next_instant(_rule_of(self.expression), instant, zone)

    @property
    def is_fixed(self) -> bool:
        """Whether hours and minutes are single values; see `WallRule`."""
        return _rule_of(self.expression).is_fixed

    def next_wall(self, wall: datetime) -> datetime | None:
        """The first matching local time at or after `wall`; None if there is none for 50 years."""
        return _rule_of(self.expression).next_wall(wall)

    def in_words(self) -> str:
        """The trigger in plain English, including how day of month and weekday are combined."""
        return cron_in_words(CronFields.of(self.expression))

    def to_document(self) -> dict[str, Any]:
        """The trigger as JSON for storage."""
        return {"kind": self.kind, "expression": self.expression}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Cron:
        """Reads a trigger that `to_document` wrote."""
        return cls(stored["expression"])


@dataclass(frozen=True, slots=True)
class CronRule:
    """Value object: the numbers of each field of an expression, sorted."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: CronDays
    is_fixed: bool

    def next_wall(self, wall: datetime) -> datetime | None:
        """The first matching local time at or after `wall`; None if there is none for 50 years."""
        if wall.date() in self.days and (found := self._next_time(wall.time())) is not None:
            return datetime.combine(wall, found)
        day = self.days.first_after(wall.date())
        return None if day is None else datetime.combine(day, self._first_time())

    def _first_time(self) -> time:
        return time(self.hours[0], self.minutes[0], self.seconds[0])

    def _next_time(self, start: time) -> time | None:
        """The first time of day at or after `start`; None if there is none before midnight."""
        hour, minute, second = start.hour, start.minute, start.second
        if hour in self.hours:
            if minute in self.minutes and (later := _first(self.seconds, second)) is not None:
                return time(hour, minute, later)
            if (later := _first(self.minutes, minute + 1)) is not None:
                return time(hour, later, self.seconds[0])
        if (later := _first(self.hours, hour + 1)) is not None:
            return time(later, self.minutes[0], self.seconds[0])
        return None


def _first(values: tuple[int, ...], lowest: int) -> int | None:
    index = bisect_left(values, lowest)
    return values[index] if index < len(values) else None


@lru_cache(maxsize=4096)
def _rule_of(expression: str) -> CronRule:
    """Parses an expression.

    Raises:
        InvalidRequest: it is no cron expression, or no date can ever match it.
    """
    fields = CronFields.of(expression)
    rule = _expanded(expression, fields)
    if not rule.days.exist():
        raise InvalidRequest("cron", expression, "no date can ever match its days and months")
    return rule


def _expanded(expression: str, fields: CronFields) -> CronRule:
    # A program without cron expressions need not load it.
    from croniter import CroniterError, croniter  # noqa: PLC0415

    # Without L, which croniter counts as one of 31 days: it takes `2-31,L` for every day.
    numbered = [term for term in fields.day.split(",") if term != _LAST_DAY]
    by_number_of_day = ",".join(numbered) or "*"
    text = (
        *(fields.second, fields.minute, fields.hour),
        *(by_number_of_day, fields.month, fields.weekday),
    )
    try:
        expanded, nth = croniter.expand(" ".join(text), second_at_beginning=True)
    except CroniterError as refusal:
        raise InvalidRequest("cron", expression, f"croniter says: {message_of(refusal)}") from None
    minute, hour, day, month, weekday, second = expanded
    by_number = _nth_weekdays(nth)
    last = {LAST} if _LAST_DAY in fields.day.split(",") else set()
    days = CronDays(
        frozenset(_numbers(3, day) if numbered else ()) | last,
        frozenset(_numbers(4, month)),
        frozenset() if by_number else frozenset(_numbers(5, weekday)),
        by_number,
        fields.either_day_is_enough,
    )
    seconds, minutes, hours = _numbers(0, second), _numbers(1, minute), _numbers(2, hour)
    return CronRule(seconds, minutes, hours, days, fields.is_fixed)


def _numbers(position: int, expanded: Iterable[int | str]) -> tuple[int, ...]:
    """Converts a field of croniter's result: numbers, `*` for all."""
    field, numbers = FIELDS[position], set[int]()
    for value in expanded:
        if value == "*":
            numbers.update(range(field.lowest, field.highest + (field is not WEEKDAY)))
        else:
            numbers.add(int(value))
    return tuple(sorted(numbers))


def _nth_weekdays(nth: Mapping[Any, Iterable[Any]]) -> frozenset[tuple[int, int]]:
    return frozenset(
        (int(weekday), LAST if count == "l" else int(count))
        for weekday, counts in nth.items()
        for count in counts
    )
