"""Parsing and describing days of the week: `mon-fri`, `sat,sun`, `daily`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from enfila.core.domain.checking import several
from enfila.core.domain.errors import InvalidRequest

MONDAY_FIRST: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FULL_NAMES: Final = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
MONTH_NAMES: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
EVERY_DAY: Final = frozenset(range(7))
_DAYS: Final = "'daily', or days and ranges such as 'mon-fri' or 'mon,wed'"
_ALLOWED: Final = f"give {_DAYS}"
_TERM: Final = re.compile(r"([a-z]+)(?:-([a-z]+))?")


def weekdays(field: str, value: str | Iterable[str]) -> frozenset[int]:
    """Parses days of the week; 0 is Monday. A range may go over Sunday (`fri-mon`).

    Raises:
        InvalidRequest: no day, or an unknown name.
    """
    if not isinstance(value, str):
        value = ",".join(_word(field, each) for each in several(field, value, _DAYS))
    value = str.__str__(value)
    if value.strip().lower() == "daily":
        return EVERY_DAY
    days: set[int] = set()
    for term in value.lower().replace(" ", "").split(","):
        days |= _term(field, term)
    return frozenset(days)


def _word(field: str, value: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(field, value, _ALLOWED)
    return value


def _term(field: str, term: str) -> set[int]:
    match = _TERM.fullmatch(term)
    if match is None:
        raise InvalidRequest(field, term, _ALLOWED)
    first = _day(field, match[1])
    last = first if match[2] is None else _day(field, match[2])
    return {(first + step) % 7 for step in range((last - first) % 7 + 1)}


def _day(field: str, word: str) -> int:
    for number, name in enumerate(FULL_NAMES):
        if word in {name.lower(), MONDAY_FIRST[number]}:
            return number
    raise InvalidRequest(field, word, _ALLOWED)


def weekdays_in_words(days: Iterable[int]) -> str:
    """Describes days: `Monday to Friday`, `Monday and Wednesday`, `every day`; 0 is Monday."""
    ordered = sorted(days)
    if len(ordered) == len(EVERY_DAY):
        return "every day"
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:  # noqa: PLR2004
        return f"{FULL_NAMES[ordered[0]]} to {FULL_NAMES[ordered[-1]]}"
    return enumerated([FULL_NAMES[day] for day in ordered])


def enumerated(words: Sequence[str]) -> str:
    """Joins words: `a`, `a and b`, `a, b and c`."""
    if len(words) <= 1:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
