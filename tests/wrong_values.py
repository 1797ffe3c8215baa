"""Values that nobody expects, for every place that takes a value of a user's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID


def deep_list(levels: int = 2_000) -> list[Any]:
    """A list in a list, and so on; the outermost one is level 0."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def deep_dict(levels: int = 2_000) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"in": value}
    return value


def circular_list() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


def circular_dict() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def _raising(kind: type[BaseException]) -> Any:
    class Hostile:
        def __repr__(self) -> str:
            raise kind

        def __str__(self) -> str:
            raise kind

    return Hostile()


class _NoText:
    def __repr__(self) -> Any:
        return 5


class _Endless:
    def __repr__(self) -> str:
        return "long" * 1_000_000


class _Ugly:
    def __repr__(self) -> str:
        return "a\nb\x00c\ud800d\x1b[31m"


class _OwnText(str):
    """A text whose methods raise."""

    __slots__ = ()

    def _raise(self, *_: object, **__: object) -> NoReturn:
        raise MemoryError

    __getitem__ = __len__ = __str__ = __repr__ = __format__ = __add__ = replace = strip = _raise


class _OwnList(list[Any]):
    def _raise(self, *_: object) -> NoReturn:
        raise MemoryError

    __repr__ = __iter__ = _raise


class _OwnDict(dict[str, Any]):
    def _raise(self, *_: object) -> NoReturn:
        raise MemoryError

    __repr__ = items = keys = __iter__ = _raise


class _MetaWithoutName(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RecursionError

    def __repr__(cls) -> str:
        raise RecursionError


class _Nameless(metaclass=_MetaWithoutName):
    def __repr__(self) -> str:
        raise RecursionError


HOSTILE: Mapping[str, Callable[[], Any]] = {
    "deep list": deep_list,
    "very deep list": lambda: deep_list(100_000),
    "deep dict": deep_dict,
    "deep tuple": lambda: (deep_list(),),
    "circular list": circular_list,
    "circular dict": circular_dict,
    "huge text": lambda: "x" * 3_000_000,
    "huge bytes": lambda: b"x" * 3_000_000,
    "huge list": lambda: list(range(300_000)),
    "huge dict": lambda: {str(number): number for number in range(100_000)},
    "huge number": lambda: 10**5_000,
    "lone surrogate": lambda: "\ud800",
    "NUL and escapes": lambda: "\x00\x1b[31m\r\n",
    "raises RecursionError": lambda: _raising(RecursionError),
    "raises MemoryError": lambda: _raising(MemoryError),
    "raises SystemExit": lambda: _raising(SystemExit),
    "raises GeneratorExit": lambda: _raising(GeneratorExit),
    "raises Exception": lambda: _raising(Exception),
    "in a list": lambda: [_raising(MemoryError)],
    "in a dict": lambda: {"a": _raising(MemoryError)},
    "repr is no text": _NoText,
    "repr is endless": _Endless,
    "repr is ugly": _Ugly,
    "own text": lambda: _OwnText("text"),
    "own list": lambda: _OwnList([1]),
    "own dict": lambda: _OwnDict(a=1),
    "nameless": _Nameless,
    "nameless class": lambda: _Nameless,
    "long name": type("n" * 100_000, (), {}),
    "ugly name": type("a\nb", (), {}),
    "name of own text": type(_OwnText("name"), (), {}),
}
"""Values that raise, or take long, when they are shown; each call makes a new one."""

PLAIN: Mapping[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "10**400": lambda: 10**400,
    "-(10**400)": lambda: -(10**400),
    "2**63": lambda: 2**63,
    "1.5": lambda: 1.5,
    "1e308": lambda: 1e308,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "empty text": lambda: "",
    "NUL": lambda: "\x00",
    "a text": lambda: "a",
    "a NUL in a text": lambda: "a\x00b",
    "bytes": lambda: b"a",
    "empty list": list,
    "a list": lambda: [1, "a"],
    "list of lists": lambda: [[]],
    "empty dict": dict,
    "a dict": lambda: {"a": []},
    "dict of other keys": lambda: {1: 2},
    "a set": lambda: {1},
    "a tuple": lambda: (1, 2),
    "object": object,
    "a class": lambda: int,
    "lambda": lambda: lambda: None,
    "iterator": lambda: iter([]),
    "Decimal": lambda: Decimal("NaN"),
    "UUID": lambda: UUID(int=0),
    "complex": lambda: 1j,
    "date": lambda: date(2026, 1, 1),
    "time": lambda: time(12, tzinfo=UTC),
    "naive datetime": lambda: datetime(2026, 1, 1),  # noqa: DTZ001
    "aware datetime": lambda: datetime(2026, 1, 1, tzinfo=UTC),
    "datetime.min": lambda: datetime.min,  # noqa: DTZ901
    "datetime.max": lambda: datetime.max,  # noqa: DTZ901
    "min in UTC": lambda: datetime.min.replace(tzinfo=UTC),
    "max in UTC": lambda: datetime.max.replace(tzinfo=UTC),
    "min ahead": lambda: datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    "max behind": lambda: datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))),
    "timedelta.max": lambda: timedelta.max,
    "timedelta.min": lambda: timedelta.min,
    "no time": lambda: timedelta(0),
    "an error": lambda: ValueError("x"),
    "Ellipsis": lambda: ...,
}
"""Values of every other kind."""

WRONG: Mapping[str, Callable[[], Any]] = {**PLAIN, **HOSTILE}


def every() -> Iterator[tuple[str, Any]]:
    """Each of them, made anew."""
    for name, make in WRONG.items():
        yield name, make()
