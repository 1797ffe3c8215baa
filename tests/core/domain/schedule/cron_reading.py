"""A reader of cron expressions in words: it knows English, and nothing of cron."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
LAST = -1
Times = tuple[set[int], set[int], set[int]]
_ORDINAL = r"(\d+)(?:st|nd|rd|th)"


@dataclass(frozen=True)
class WhatWasRead:
    """The instants that words name.

    Attributes:
        times: hours, minutes and seconds, each with each; several such for times of day.
        nth: a weekday and its number in the month, or LAST.
        is_either: whether one of the two kinds of days is enough.
    """

    times: tuple[Times, ...]
    days: frozenset[int]
    weekdays: frozenset[int]
    nth: frozenset[tuple[int, int]]
    is_either: bool
    months: frozenset[int]

    def has_day(self, day: int, weekday: int, length: int) -> bool:
        """Whether a day of a month of this length matches."""
        by_day = day in self.days or (LAST in self.days and day == length)
        by_weekday = (
            weekday in self.weekdays
            or (weekday, (day - 1) // 7 + 1) in self.nth
            or ((weekday, LAST) in self.nth and day > length - 7)
        )
        return by_day or by_weekday if self.is_either else by_day and by_weekday


def read(words: str) -> WhatWasRead:
    """What the words say; fails over a word that it does not know."""
    reader = _Reader(words)
    times = reader.times()
    days, weekdays, nth, is_either = reader.days()
    months = reader.months()
    assert not reader.rest, f"what is {reader.rest!r} in {words!r}?"
    return WhatWasRead(times, days, weekdays, nth, is_either, months)


class _Reader:
    def __init__(self, words: str) -> None:
        self.rest = words

    def take(self, pattern: str) -> re.Match[str] | None:
        """Takes a phrase from the beginning."""
        match = re.match(rf"(?:{pattern})(?: |$)", self.rest)
        if match:
            self.rest = self.rest[match.end() :]
        return match

    # ── times ────────────────────────────────────────────────────────────────────────────────

    def times(self) -> tuple[Times, ...]:
        clock = r"\d\d:\d\d(?::\d\d)?"
        if match := self.take(rf"at ({clock}(?:, {clock})*(?: and {clock})?)"):
            return tuple(_time(each) for each in _items(match[1]))
        seconds, minutes = self._seconds(), self._minutes()
        return ((self._hours(), minutes, seconds),)

    def _seconds(self) -> set[int]:
        if self.take("every second"):
            return set(range(60))
        if match := self.take(r"every (\d+) seconds"):
            return set(range(0, 60, int(match[1])))
        if match := self.take(rf"at second ({_LIST})"):
            return _numbers(match[1], 59)
        return {0}

    def _minutes(self) -> set[int]:
        if match := self.take(rf"every (\d+) minutes|of every {_ORDINAL} minute"):
            return set(range(0, 60, int(match[1] or match[2])))
        if match := self.take(rf"at minute ({_LIST})"):
            return _numbers(match[1], 59)
        _ = self.take("every minute")
        return set(range(60))

    def _hours(self) -> set[int]:
        if match := self.take(rf"of every {_ORDINAL} hour from 00:00"):
            return set(range(0, 24, int(match[1])))
        if match := self.take(rf"of hour ({_LIST})"):
            return _numbers(match[1], 23)
        _ = self.take("of every hour")
        return set(range(24))

    # ── days ─────────────────────────────────────────────────────────────────────────────────

    def days(self) -> tuple[frozenset[int], frozenset[int], frozenset[tuple[int, int]], bool]:
        every_day, every_weekday = frozenset(range(1, 32)), frozenset(range(7))
        if self.take("every day"):
            return every_day, every_weekday, frozenset(), False
        item = (
            rf"(?:the last day|every {_ORDINAL} day from the 1st"
            rf"|(?:every {_ORDINAL} of )?day \d+(?: to \d+)?)"
        )
        days, has_days = every_day, False
        if match := self.take(rf"on ({_list_of(item)}) of the month"):
            days, has_days = frozenset().union(*map(_days, _items(match[1]))), True
        joint = self.take("or(?= on)|and(?= on)") if has_days else None
        name = "|".join(_WEEKDAYS)
        item = (
            rf"(?:the (?:last|{_ORDINAL}) (?:{name}) of the month"
            rf"|(?:every {_ORDINAL} of )?(?:{name})(?: to (?:{name}))?)"
        )
        weekdays, nth = every_weekday, frozenset[tuple[int, int]]()
        if match := self.take(rf"on ({_list_of(item)})"):
            items = _items(match[1])
            nth = frozenset(_nth(each) for each in items if each.startswith("the "))
            named = [_weekdays(each) for each in items if not each.startswith("the ")]
            weekdays = frozenset[int]().union(*named)
        if joint is None:
            return days, weekdays, nth, False
        is_either = joint[0].startswith("or")
        ending = r"\(either is enough\)" if is_either else r"\(both must match\)"
        assert self.take(ending)
        return days, weekdays, nth, is_either

    def months(self) -> frozenset[int]:
        name = "|".join(_MONTHS)
        item = rf"(?:every {_ORDINAL} month from )?(?:{name})(?: to (?:{name}))?"
        if match := self.take(rf"in ({_list_of(item)})"):
            return frozenset[int]().union(*map(_months, _items(match[1])))
        return frozenset(range(1, 13))


def _list_of(item: str) -> str:
    plain = item.replace("(\\d+)", "\\d+")
    return rf"{plain}(?:, {plain})*(?: and {plain})?"


_LIST = _list_of(rf"(?:every {_ORDINAL} from )?\d+(?: to \d+)?")


def _items(text: str) -> list[str]:
    return re.split(r", | and ", text)


def _time(text: str) -> Times:
    hour, minute, *second = map(int, text.split(":"))
    return {hour}, {minute}, {second[0] if second else 0}


def _stepped(
    text: str, pattern: str, number: Callable[[str], int], highest: int | None = None
) -> set[int]:
    """`a`, `a to b`, or every nth of them. What begins nowhere else ends at the highest."""
    match = re.fullmatch(pattern, text)
    assert match, text
    first = number(match["first"])
    step = int(match["step"] or 1)
    if match["last"] is None:
        last = first if match["step"] is None or highest is None else highest
    else:
        last = number(match["last"])
    return set(range(first, last + 1, step))


def _numbers(text: str, highest: int) -> set[int]:
    pattern = r"(?:every (?P<step>\d+)\w\w from )?(?P<first>\d+)(?: to (?P<last>\d+))?"
    return set[int]().union(*(_stepped(each, pattern, int, highest) for each in _items(text)))


def _days(text: str) -> frozenset[int]:
    if text == "the last day":
        return frozenset({LAST})
    if match := re.fullmatch(rf"every {_ORDINAL} day from the 1st", text):
        return frozenset(range(1, 32, int(match[1])))
    pattern = r"(?:every (?P<step>\d+)\w\w of )?day (?P<first>\d+)(?: to (?P<last>\d+))?"
    return frozenset(_stepped(text, pattern, int))


def _months(text: str) -> set[int]:
    pattern = r"(?:every (?P<step>\d+)\w\w month from )?(?P<first>\w+)(?: to (?P<last>\w+))?"
    return _stepped(text, pattern, lambda name: _MONTHS.index(name) + 1)


def _nth(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"the (last|\d)\w* (\w+) of the month", text)
    assert match, text
    return _WEEKDAYS.index(match[2]), LAST if match[1] == "last" else int(match[1])


def _weekdays(text: str) -> frozenset[int]:
    """A range goes forward to its last day, through Sunday and all the way round if need be."""
    match = re.fullmatch(r"(?:every (\d+)\w\w of )?(\w+?)(?: to (\w+))?", text)
    assert match, text
    first = _WEEKDAYS.index(match[2])
    if match[3] is None:
        return frozenset({first})
    last = _WEEKDAYS.index(match[3])
    last += 7 if last <= first else 0
    return frozenset(day % 7 for day in range(first, last + 1, int(match[1] or 1)))
