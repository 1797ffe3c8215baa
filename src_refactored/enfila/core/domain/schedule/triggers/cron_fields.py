"""Validation and normalisation of the fields of a cron expression."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Never

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.triggers.weekdays import MONDAY_FIRST, MONTH_NAMES

LONGEST_EXPRESSION: Final = 255
NICKNAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    }
)
ORDER: Final = "minute hour day-of-month month day-of-week, with six fields seconds first"
_WITHOUT_SECONDS: Final = 5
_WITH_SECONDS: Final = 6


@dataclass(frozen=True, slots=True)
class CronField:
    """Value object: one field of a cron expression, with the numbers and names that it allows.

    Attributes:
        names: the words that stand for numbers, the first for `first_name`.
    """

    title: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    first_name: int = 0

    @property
    def in_words(self) -> str:
        """The allowed values, for error messages."""
        words = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        last = " or L alone" if self.title == "day-of-month" else ""
        return f"{self.lowest}-{self.highest}{words}{last}"

    def number(self, word: str) -> int | None:
        """The number of a name or of digits in this field; None if it is neither."""
        if word in self.names:
            return self.names.index(word) + self.first_name
        if word.isascii() and word.isdigit() and self.lowest <= int(word) <= self.highest:
            return int(word)
        return None


_MONTHS: Final = tuple(name[:3].lower() for name in MONTH_NAMES)
_DAYS: Final = ("sun", *MONDAY_FIRST[:6])
SECOND: Final = CronField("second", 0, 59)
MINUTE: Final = CronField("minute", 0, 59)
HOUR: Final = CronField("hour", 0, 23)
DAY: Final = CronField("day-of-month", 1, 31)
MONTH: Final = CronField("month", 1, 12, _MONTHS, 1)
WEEKDAY: Final = CronField("day-of-week", 0, 7, _DAYS)
FIELDS: Final = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)

_SUNDAY_LAST: Final = 7
_TERM: Final = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\w+))?", re.ASCII)
_NTH: Final = re.compile(r"(\w+)#([1-5])", re.ASCII)
_LAST: Final = re.compile(r"l(\w+)|(\w+)l", re.ASCII)


@dataclass(frozen=True, slots=True)
class CronFields:
    """Value object: the six fields of a valid expression in a normal form.

    Lower case, numbers for names, `a-b/n` for `a/n`, `a` for `a-a`, `l5` for `5L` and `friL`.
    """

    second: str
    minute: str
    hour: str
    day: str
    month: str
    weekday: str

    @classmethod
    def of(cls, expression: str) -> CronFields:
        """Parses an expression.

        Raises:
            InvalidRequest: the message names the field, the value, and what is allowed.
        """
        parts = _parts(expression)
        second, minute, hour, day, month, weekday = parts
        return cls(
            _field(SECOND, second),
            _field(MINUTE, minute),
            _field(HOUR, hour),
            _field(DAY, day),
            _field(MONTH, month),
            _weekday(weekday),
        )

    @property
    def is_fixed(self) -> bool:
        """Whether hours and minutes are single values: no wildcard, no step, no range."""
        return not any(sign in self.hour + self.minute for sign in "*/-")

    @property
    def either_day_is_enough(self) -> bool:
        """Whether one matching day field is enough: neither begins with `*` (as in Vixie cron)."""
        return not self.day.startswith("*") and not self.weekday.startswith("*")


def _parts(expression: str) -> list[str]:
    if not isinstance(expression, str) or len(expression) > LONGEST_EXPRESSION:
        allowed = f"give text of at most {LONGEST_EXPRESSION} characters"
        raise InvalidRequest("cron", expression, allowed)
    text = expression.strip().lower()
    if text.startswith("@") and text not in NICKNAMES:
        raise InvalidRequest("cron", expression, f"the nicknames are {', '.join(NICKNAMES)}")
    parts = NICKNAMES.get(text, text).split()
    if len(parts) == _WITHOUT_SECONDS:
        return ["0", *parts]
    if len(parts) == _WITH_SECONDS:
        return parts
    raise InvalidRequest("cron", expression, f"give 5 or 6 fields, not {len(parts)}: {ORDER}")


def _field(field: CronField, text: str) -> str:
    if field is DAY:
        terms = (each if each == "l" else _term(field, each) for each in text.split(","))
    else:
        terms = (_term(field, each) for each in text.split(","))
    return ",".join(terms)


def _weekday(text: str) -> str:
    """The day-of-week field, which also allows `5#2` (second Friday) and `5L` (last Friday)."""
    terms = text.split(",")
    special = [_special_weekday(each) for each in terms]
    if all(special):
        return ",".join(filter(None, special))
    if any(special):
        _refuse(WEEKDAY, text, "give days, or days with # or L, not both")
    return _field(WEEKDAY, text)


def _special_weekday(term: str) -> str | None:
    if match := _NTH.fullmatch(term):
        return f"{_number(WEEKDAY, match[1]) % 7}#{match[2]}"
    if (match := _LAST.fullmatch(term)) and WEEKDAY.number(term) is None:
        return f"l{_number(WEEKDAY, match[1] or match[2]) % 7}"
    return None


def _term(field: CronField, term: str) -> str:
    match = _TERM.fullmatch(term)
    if match is None:
        _refuse(field, term, f"give *, {field.in_words}, ranges a-b, steps /n, and lists of them")
    first, last, step = match.groups()
    size = field.highest - field.lowest + (0 if field is WEEKDAY else 1)
    if step is not None and not (step.isdigit() and 1 <= int(step) <= size):
        _refuse(field, term, f"give a step from 1 to {size}")
    if first is None:
        return "*" if step is None else f"*/{int(step)}"
    return _values(field, term, first, last, step)


def _values(field: CronField, term: str, first: str, last: str | None, step: str | None) -> str:
    low = _number(field, first)
    high = low if last is None else _number(field, last)
    if last is None and step is not None:
        high = 6 if field is WEEKDAY else field.highest
    if field is WEEKDAY and high == 0 and low > 0:
        high = _SUNDAY_LAST
    if high < low:
        _refuse(field, term, "give a range that rises; one over the end is two, 22-23,0-6")
    if high == low:
        # croniter reads `a-a` as the whole range of the field.
        return str(low % _SUNDAY_LAST if field is WEEKDAY else low)
    return f"{low}-{high}" if step is None else f"{low}-{high}/{int(step)}"


def _number(field: CronField, word: str) -> int:
    number = field.number(word)
    if number is None:
        _refuse(field, word, f"give {field.in_words}")
    return number


def _refuse(field: CronField, value: str, allowed: str) -> Never:
    raise InvalidRequest(f"cron.{field.title}", value, f"{allowed}{_hint(field, value)}")


def _hint(field: CronField, value: str) -> str:
    """A hint about a likely mistake: another order of the fields, syntax of another system."""
    if value == "?":
        return "; write * for any day"
    if value.endswith("w") and field is DAY:
        return "; nearest weekdays (W) are not known"
    if any(other.number(value) is not None for other in FIELDS if other is not field):
        return f"; is the order right? {ORDER}"
    return ""
