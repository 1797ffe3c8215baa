"""Arguments, checked before anything is done with them.

Each function returns the value, in the one form that the rest of enfila knows, or raises an
`InvalidRequest` that names the field, the value and what is allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import UnionType
from typing import Any, Final, TypeVar

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.showing import storable

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
F = TypeVar("F", bound=Callable[..., Any])

LARGEST_COUNT: Final = 2**31 - 1
"""The largest number that every database takes as a limit."""
LARGEST_ID: Final = 2**63 - 1
"""The largest number that every database gives a row."""
FIRST_YEAR: Final = 1000
LAST_YEAR: Final = 9998
"""Instants before and after these years leave Python's calendar in some time zone, or when a
length of time is added."""


def whole(field: str, value: int, lowest: int = 0, highest: int = LARGEST_COUNT) -> int:
    """A whole number from `lowest` to `highest`."""
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise InvalidRequest(field, value, f"give a whole number from {lowest:,} to {highest:,}")
    return value


def number(field: str, value: float, lowest: float, highest: float, allowed: str) -> float:
    """A finite number from `lowest` to `highest`; `allowed` says so in words."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= highest:
        raise InvalidRequest(field, value, allowed)
    return float(value)


def flag(field: str, value: bool) -> bool:  # noqa: FBT001 - the value that is checked
    """True or False, and nothing that is taken for one of them."""
    if not isinstance(value, bool):
        raise InvalidRequest(field, value, "give True or False")
    return value


def text(
    field: str,
    value: str,
    longest: int | None = None,
    *,
    shortest: int = 0,
    allowed: str | None = None,
) -> str:
    """A text that every database can store unaltered, of `shortest` to `longest` characters.

    `allowed` says so in words; it is made of the lengths when None.
    """
    if isinstance(value, str):
        # The text itself: a class of the user's own may do anything.
        plain = str.__str__(value)
        is_short = longest is None or len(plain) <= longest
        if is_short and len(plain) >= shortest and storable(plain) == plain:
            return plain
    if allowed is None:
        size = "a text" if longest is None else f"at most {longest:,} characters"
        if shortest and longest is not None:
            size = f"{shortest} to {longest} characters"
        allowed = f"give {size}, none of them NUL or a lone surrogate"
    raise InvalidRequest(field, value, allowed)


def any_text(field: str, value: str) -> str:
    """A text; the characters that a database refuses are escaped."""
    if not isinstance(value, str):
        raise InvalidRequest(field, value, "give a text")
    return storable(value)


def one_of(field: str, value: E | str, kind: type[E]) -> E:
    """A member of an enumeration, or its value."""
    if isinstance(value, str):
        for each in kind:
            if each.value == str.__str__(value):
                return each
    raise InvalidRequest(field, value, f"give one of {', '.join(kind)}")


def instance(field: str, value: T, kind: type | UnionType, allowed: str) -> T:
    """An instance of a class."""
    if not isinstance(value, kind):
        raise InvalidRequest(field, value, f"give {allowed}")
    return value


def function(field: str, value: F, allowed: str) -> F:
    """Something that can be called."""
    if not callable(value):
        raise InvalidRequest(field, value, f"give {allowed}")
    return value


def several(field: str, value: Iterable[T], allowed: str) -> list[T]:
    """The items of an iterable, which a text or a mapping is not."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidRequest(field, value, f"give {allowed}")
    return list(value)


def known_names(given: Iterable[str], known: Collection[str]) -> None:
    """Refuses an option by name that there is none of, with the one that is perhaps meant."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            allowed = f"perhaps {near[0]} is meant" if near else f"there are {', '.join(known)}"
            raise InvalidRequest(name, name, allowed, problem="there is no option of this name")


def instant(field: str, value: datetime) -> datetime:
    """An aware `datetime`, as UTC."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidRequest(field, value, "give an aware datetime (with a time zone)")
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        years = f"from the year {FIRST_YEAR} to {LAST_YEAR}"
        raise InvalidRequest(field, value, f"give an instant {years}")
    return value.astimezone(UTC)
