"""Values and errors of users in messages: short, on one line, and never a second error.

A message may quote anything: a value that is deep, circular or huge, whose `__repr__` raises, whose
class has a strange name. Every error, log line, event and `repr` of enfila quotes with these
functions. They raise nothing but KeyboardInterrupt, which is meant for the whole process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

LONGEST_SHOWN: Final = 120
"""Characters of one value in a message."""
LONGEST_MESSAGE_SHOWN: Final = 1_000
"""Characters of one error's message within another message."""

_MOST_LEVELS: Final = 6
_MOST_ITEMS: Final = 40
_LONGEST_NUMBER: Final = 400
"""Bits of a number whose digits are shown."""

_name_of_class: Final[Any] = type.__dict__["__name__"]
_BRACKETS: Final = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}


def shown(value: object, longest: int = LONGEST_SHOWN) -> str:
    """A value as a message quotes it: its `repr`, cut at `longest` characters, on one line."""
    try:
        return clipped(_drawn(value, longest, _MOST_LEVELS), longest)
    except RuntimeError:  # a dict or a set that another thread changes
        return f"<{class_name(type(value))}, which changes>"


def plain(value: object, longest: int = LONGEST_MESSAGE_SHOWN) -> str:
    """A text as it is, without quotes, cut and on one line; anything else as `shown`."""
    return clipped(value, longest) if isinstance(value, str) else shown(value)


def message_of(error: BaseException, longest: int = LONGEST_MESSAGE_SHOWN) -> str:
    """The message of an error, cut at `longest` characters; lines stay."""
    try:
        text = str(error)
        return _cut(text, longest)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # noqa: BLE001 - an error that cannot be shown is still an error
        return f"its message cannot be shown: {class_name(type(problem))}"


def described(error: BaseException) -> str:
    """The class and the message of an error, on one line."""
    text, name = clipped(message_of(error), LONGEST_MESSAGE_SHOWN), class_name(type(error))
    return f"{name}: {text}" if text else name


def class_name(kind: type) -> str:
    """The name of a class, whatever its metaclass says; at most 120 characters."""
    return clipped(_name_of_class.__get__(kind), LONGEST_SHOWN)


def clipped(text: str, longest: int = LONGEST_MESSAGE_SHOWN) -> str:
    """A text on one line, cut at `longest` characters; what cannot be printed is escaped."""
    short = _cut(text, longest)
    if short.isprintable():
        return short
    escaped = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in short
    )
    return _cut(escaped, longest)


def storable(text: str) -> str:
    """Escapes the characters that text columns of databases refuse (NUL, lone surrogates)."""
    escaped = str.replace(text, "\x00", "\\x00")
    return str.encode(escaped, "utf-8", "backslashreplace").decode("utf-8")


def _cut(text: str, longest: int) -> str:
    # By the methods of `str`: a class of the user's own may have others.
    short = str.__getitem__(text, slice(0, longest))
    return f"{short}…" if str.__len__(text) > longest else str(short)


def _drawn(value: object, room: int, levels: int) -> str:
    """A value as text; far longer ones are not drawn to their end."""
    kind = type(value)
    # The kind first: `isinstance` asks an object for its `__class__`, which may raise.
    if kind in {str, bytes, bytearray} and isinstance(value, str | bytes | bytearray):
        return repr(value[: room + 1])
    if kind is int and isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return f"<a whole number of {value.bit_length():,} bits>"
    if kind is dict and isinstance(value, dict):
        return _enclosed("{}", _pairs(value, room, levels - 1), room) if levels else "{…}"
    if kind in _BRACKETS and isinstance(value, list | tuple | set | frozenset):
        return _drawn_items(value, room, levels)
    return _as_it_says(value, room)


def _as_it_says(value: object, room: int) -> str:
    try:
        return _cut(repr(value), room + 1)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # noqa: BLE001 - a value may raise anything when it is shown
        return f"<{class_name(type(value))}, which cannot be shown: {class_name(type(problem))}>"


def _drawn_items(
    value: list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any], room: int, levels: int
) -> str:
    kind = type(value)
    brackets = _BRACKETS[kind]
    if not value:
        return repr(value)
    if not levels:
        return f"{brackets[0]}…{brackets[1]}"
    drawn = _enclosed(brackets, (_drawn(each, room, levels - 1) for each in value), room)
    if kind is tuple and len(value) == 1:
        return f"{drawn[:-1]},)"
    return f"frozenset({drawn})" if kind is frozenset else drawn


def _pairs(value: dict[Any, Any], room: int, levels: int) -> Iterator[str]:
    return (
        f"{_drawn(key, room, levels)}: {_drawn(each, room, levels)}" for key, each in value.items()
    )


def _enclosed(brackets: str, items: Iterable[str], room: int) -> str:
    drawn: list[str] = []
    for item in islice(items, _MOST_ITEMS + 1):
        drawn.append(item if len(drawn) < _MOST_ITEMS else "…")
        room -= len(item)
        if room < 0:
            break
    return f"{brackets[0]}{', '.join(drawn)}{brackets[1]}"
