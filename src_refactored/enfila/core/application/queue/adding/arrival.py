"""Whether what comes back is what went in."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from enfila.core.domain.showing import class_name, clipped, described, shown

_LONGEST_PATH: Final = 120
_AS_THEY_ARE: Final = frozenset({str, int, bool, type(None), bytes, UUID, date, timedelta})
"""Types whose instances are the same when they are equal."""
_ABSENT: Final = object()

_Path = Any
"""A step, and the path before it; None at the root."""
_Pair = tuple[Any, Any, _Path]


def difference(before: object, after: object, *, showing: bool = True) -> str | None:
    """Where and how a value differs from the one that comes back; None if it does not.

    Values are the same when their types are, and they are equal or made of the same parts. NaN is
    the same as NaN, and 0.0 not as -0.0. A whole number may come back as the float that it equals:
    an instance of a dataclass holds what it was made with.

    Args:
        before: what went in.
        after: what comes back.
        showing: whether values may be quoted; else only their types are.
    """
    if _is_plainly_same(before, after):
        return None
    # A stack and no recursion: the caller may have used most of the interpreter's.
    waiting: list[_Pair] = [(before, after, None)]
    while waiting:
        one, other, path = waiting.pop()
        kind = type(one)
        if kind is type(other) and kind in _AS_THEY_ARE:
            if one == other:
                continue
            return _changed(one, other, path, showing=showing)
        try:
            parts = _parts(one, other, path)
        # Values may be of a class of the user's own, and raise anything.
        except Exception as problem:  # noqa: BLE001
            return f"{_place(path)} cannot be compared with what comes back: {described(problem)}"
        if parts is None:
            return _changed(one, other, path, showing=showing)
        waiting.extend(parts)
    return None


def found(value: object, is_wanted: Callable[[object], bool]) -> tuple[str, Any] | None:
    """The first part of a value that is wanted, after its place; None if there is none."""
    waiting: list[tuple[Any, _Path]] = [(value, None)]
    seen: set[int] = set()
    while waiting:
        each, path = waiting.pop()
        if is_wanted(each):
            return _place(path), each
        if type(each) not in _AS_THEY_ARE and id(each) not in seen:
            seen.add(id(each))
            waiting.extend((one, where) for one, where in reversed(_within(each, path)))
    return None


def _within(value: Any, path: _Path) -> list[tuple[Any, _Path]]:  # noqa: ANN401
    """What lies in a value, with its path."""
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, BaseModel):
        parts = {**value.__dict__, **(value.__pydantic_extra__ or {})}.items()
    elif isinstance(value, dict):
        parts = dict.items(value)
    elif isinstance(value, list | tuple | deque | set | frozenset):
        parts = enumerate(value)
    elif dataclasses.is_dataclass(value):
        names = [each.name for each in dataclasses.fields(value)]
        parts = [(name, getattr(value, name, None)) for name in names]
    return [(each, (path, name)) for name, each in parts]


def _changed(one: object, other: object, path: _Path, *, showing: bool) -> str:
    place, kind, new = _place(path), class_name(type(one)), class_name(type(other))
    if other is _ABSENT:
        return f"{place} would be lost"
    if one is _ABSENT:
        return f"{place} would be added"
    if kind != new:
        return f"{place} is a {kind}, and would come back as a {new}"
    if type(one) is not type(other):
        return f"{place} is a {kind}, and would come back as another {new}"
    if not showing or (said := shown(one)) == (answer := shown(other)):
        return f"{place} is a {kind}, and would come back as another one"
    return f"{place} is {said}, and would come back as {answer}"


def _parts(one: Any, other: Any, path: _Path) -> list[_Pair] | None:  # noqa: ANN401
    """What is to be the same so that these two are; None if they are not."""
    kind = type(one)
    if kind is not type(other):
        is_number = kind is int and type(other) is float
        return [] if is_number and one == other else None
    if isinstance(one, BaseModel):
        return _parts_of_model(one, other, path)
    if isinstance(one, Secret | SecretStr | SecretBytes):
        return [(one.get_secret_value(), other.get_secret_value(), path)]
    if isinstance(one, dict):
        return _parts_of_dict(one, other, path)
    if isinstance(one, list | tuple | deque):
        return _parts_of_sequence(one, other, path)
    if isinstance(one, set | frozenset):
        return _parts_of_set(one, other, path)
    if dataclasses.is_dataclass(one):
        return _parts_of_dataclass(one, other, path)
    if one is not other and _has_no_equality(kind):
        return _parts_of_object(one, other, path)
    return [] if _are_equal(one, other) else None


def _has_no_equality(kind: Any) -> bool:  # noqa: ANN401
    return bool(kind.__eq__ is object.__eq__)


def _are_equal(one: Any, other: Any) -> bool:  # noqa: ANN401
    match one:
        case float():
            if math.isnan(one):
                return math.isnan(other)
            return bool(one == other and math.copysign(1, one) == math.copysign(1, other))
        case Decimal():
            return bool(other.is_nan()) if one.is_nan() else bool(one == other)
        case datetime():
            # An hour that the clock shows twice is, to Python, equal to none in another zone.
            if one == other:
                return True
            is_same_time = one.replace(tzinfo=None) == other.replace(tzinfo=None)
            return bool(is_same_time and one.utcoffset() == other.utcoffset())
        case _:
            return bool(one == other)


def _parts_of_model(one: Any, other: Any, path: _Path) -> list[_Pair]:  # noqa: ANN401
    parts = _attributes(type(one).__pydantic_fields__, one.__dict__, other.__dict__, path)
    if one.__pydantic_extra__ or other.__pydantic_extra__:
        before, after = one.__pydantic_extra__ or {}, other.__pydantic_extra__ or {}
        parts += _attributes({**before, **after}, before, after, path)
    if one.__pydantic_private__ or other.__pydantic_private__:
        before, after = one.__pydantic_private__ or {}, other.__pydantic_private__ or {}
        names = [each for each in {**before, **after} if not _is_fresh(before, after, each)]
        parts += _attributes(names, before, after, path)
    return parts


def _is_fresh(before: dict[str, Any], after: dict[str, Any], name: str) -> bool:
    """Whether a private attribute is a thing that is only like itself: a lock, a connection."""
    one, other = before.get(name), after.get(name)
    return type(one) is type(other) and _has_no_equality(type(one))


def _parts_of_dataclass(one: Any, other: Any, path: _Path) -> list[_Pair]:  # noqa: ANN401
    return [
        (getattr(one, each.name, _ABSENT), getattr(other, each.name, _ABSENT), (path, each.name))
        for each in dataclasses.fields(one)
        if each.init or each.compare
    ]


def _parts_of_object(one: object, other: object, path: _Path) -> list[_Pair] | None:
    """What an object without `__eq__` is made of."""
    before, after = object.__getstate__(one), object.__getstate__(other)
    return None if before is None else [(before, after, path)]


def _parts_of_dict(one: dict[Any, Any], other: dict[Any, Any], path: _Path) -> list[_Pair]:
    if len(one) != len(other):
        return _attributes({**one, **other}, one, other, path)
    parts: list[_Pair] = []
    for key, (found, after) in zip(dict.keys(one), _in_order(one, other), strict=True):
        before = dict.__getitem__(one, key)
        kind = type(before)
        if kind is not type(after) or kind not in _AS_THEY_ARE or before != after:
            parts.append((before, after, (path, key)))
        if type(key) is not str or key != found:
            parts.append((key, found, (path, _Key(key))))
    return parts


def _in_order(one: dict[Any, Any], other: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Keys and values of the other one, in the order of the one if the keys are the same."""
    if list(one) == list(other) or one.keys() != other.keys():
        return iter(other.items())
    keys = {key: key for key in other}
    return ((keys[key], other[key]) for key in one)


def _parts_of_sequence(one: Any, other: Any, path: _Path) -> list[_Pair] | None:  # noqa: ANN401
    if len(one) != len(other) or getattr(one, "maxlen", None) != getattr(other, "maxlen", None):
        return None
    names = getattr(one, "_fields", None) or range(len(one))
    return [
        (before, after, (path, name))
        for name, before, after in zip(names, one, other, strict=True)
        if type(before) is not type(after) or type(before) not in _AS_THEY_ARE or before != after
    ]


def _parts_of_set(one: Any, other: Any, path: _Path) -> list[_Pair] | None:  # noqa: ANN401
    if len(one) != len(other):
        return None
    found = {each: each for each in other}
    parts: list[_Pair] = []
    for index, each in enumerate(one):
        if each in found:
            parts.append((each, found.pop(each), (path, index)))
        elif each == each:  # noqa: PLR0124 - NaN is not
            return None
    return parts


def _attributes(names: Any, one: Any, other: Any, path: _Path) -> list[_Pair]:  # noqa: ANN401
    parts: list[_Pair] = []
    for name in names:
        before, after = one.get(name, _ABSENT), other.get(name, _ABSENT)
        # What is the same at a glance, as most is, needs no further look.
        kind = type(before)
        if kind is not type(after) or kind not in _AS_THEY_ARE or before != after:
            parts.append((before, after, (path, name)))
    return parts


class _Key:
    """The step to a key itself."""

    def __init__(self, key: object) -> None:
        self._key = key

    def __str__(self) -> str:
        return f"(key {shown(self._key)})"


def _place(path: _Path) -> str:
    steps = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f".{clipped(str(step), 40)}")
    return clipped("$" + "".join(reversed(steps)), _LONGEST_PATH)


# ── at a glance ──────────────────────────────────────────────────────────────────────────────

_LEAVES: Final = _AS_THEY_ARE | {datetime, Decimal}
_ONLY_TEXTS: Final = frozenset({str})
_MODEL: Final = type(BaseModel)
"""The class of most classes of models; to ask it is faster than `isinstance`."""


def _is_plainly_same(one: object, other: object) -> bool:
    """Fast path: whether values of usual types are the same; False also if it cannot tell."""
    try:
        return _are_all_same(((one, other),))
    # Values may be of a class of the user's own, and raise anything; so may deep nesting.
    except Exception:  # noqa: BLE001
        return False


def _are_all_same(pairs: Iterable[tuple[Any, Any]]) -> bool:
    for one, other in pairs:
        kind = type(one)
        if kind is not type(other):
            return False
        if kind in _LEAVES:
            if one != other:
                return False
            continue
        if kind is float:
            if one != other or (not one and math.copysign(1, one) != math.copysign(1, other)):
                return False
            continue
        if kind is list or kind is tuple:
            inner: Iterable[tuple[Any, Any]] = zip(one, other, strict=False)
        elif kind is dict:
            if not _ONLY_TEXTS.issuperset(map(type, one)):
                return False
            inner = zip(one.values(), map(other.__getitem__, one), strict=False)
        elif isinstance(one, BaseModel) and not (
            one.__pydantic_extra__ or one.__pydantic_private__
        ):
            one, other = one.__dict__, other.__dict__  # noqa: PLW2901 - the pair is what it holds
            inner = zip(one.values(), map(other.__getitem__, one), strict=False)
        else:
            return False
        if len(one) != len(other) or not _are_all_same(inner):
            return False
    return True
