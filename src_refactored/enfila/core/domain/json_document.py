"""A JSON value as text, which a round trip through JSON does not change."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json, to_json

from enfila.core.domain.showing import class_name, clipped, described, shown

Json = Any
"""A JSON value: `None`, a bool, int, float or str, a list of them, or a dict with str keys."""

LARGEST_DOCUMENT: Final = 1024 * 1024
"""Default limit of one payload or result, in bytes of JSON text (1 MiB)."""

MOST_LEVELS: Final = 200
"""How many lists and objects may lie around a value. Every parser can read that."""

_LONGEST_PATH: Final = 120
_TOO_DEEP: Final = f"at most {MOST_LEVELS} levels are allowed, and no value within itself"
_NO_FORM: Final = "which JSON has no form for"
_NO_NUMBER: Final = "which JSON has no number for"

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode


class JsonRefused(ValueError):
    """A value that JSON cannot represent unchanged; the message says where and why."""

    @property
    def has_no_form(self) -> bool:
        """Whether it is of a class that JSON does not know, so that something else may be given."""
        return str(self).endswith(_NO_FORM)


class JsonDocument:
    """Value object: one JSON value as text, decoded at the first access.

    Two documents are equal when their texts are.
    """

    __slots__ = ("_value", "text")

    def __init__(self, text: str) -> None:
        self.text: Final = text
        self._value: Json = _UNREAD

    @property
    def value(self) -> Json:
        """The decoded value. It is cached; a change to it does not change `text`."""
        if self._value is _UNREAD:
            # The text is one that `of` made, with nothing around the value to be skipped.
            self._value, _ = _decode(self.text)
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonDocument) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"JsonDocument({shown(self.text)})"

    @classmethod
    def of(cls, value: Json, *, limit: int = LARGEST_DOCUMENT) -> JsonDocument:
        """Encodes `value`.

        The text is ASCII with escapes, so that no database encoding can change it.

        Raises:
            JsonRefused: the value is not JSON, would read back as something else (tuples,
                keys that are not strings), is nested more than 200 levels deep, or its text is
                longer than `limit` bytes.
        """
        if (text := _usual_text(value)) is not None and len(text) <= limit:
            return cls(text)
        try:
            text = _encode(value)
        # What is encoded may be of a class of the user's own, and raise anything.
        except Exception as refusal:  # noqa: BLE001
            raise JsonRefused(_why_refused(value) or described(refusal)) from None
        if len(text) > limit:
            raise JsonRefused(f"its JSON text has {len(text):,} bytes, the limit is {limit:,}")
        if not _may_be_read(text) and (reason := _why_refused(value)):
            raise JsonRefused(reason)
        document = cls(text)
        # Reading back is the proof that nothing was altered: a tuple or an int key is not equal.
        if not document._reads_back_as(value):
            raise JsonRefused(_why_refused(value) or "it would read back as something else")
        return document

    def _reads_back_as(self, value: Json) -> bool:
        try:
            return bool(self.value == value)
        # Integers of over 4,300 digits, deep nesting; or a class whose `__eq__` raises anything.
        except Exception:  # noqa: BLE001
            return False


def _usual_text(value: Json) -> str | None:
    """Fast path: the JSON text of a value of plain types; None for all other values."""
    try:
        text = to_json(value)
        # Reading back is the proof that nothing was altered: a tuple or an int key is not equal.
        # This parser refuses what is nested deeper than `MOST_LEVELS`.
        if text.isascii() and from_json(text, allow_inf_nan=False) == value:
            return text.decode("ascii")
    # As above: a value may be of any class.
    except Exception:  # noqa: BLE001
        return None
    return None


def _may_be_read(text: str) -> bool:
    """Whether the fast parser takes a text. It refuses deep nesting, and lone surrogates too."""
    try:
        _ = from_json(text)
    except ValueError:
        return False
    return True


_UNREAD: Final = object()
NULL: Final = JsonDocument("null")


def _why_refused(value: object) -> str | None:
    """Describes the first place in `value` that is not JSON; None if there is none."""
    # A stack and no recursion: the caller may have used most of the interpreter's.
    levels = [iter([("$", value)])]
    while levels:
        for path, each in levels[-1]:
            if len(levels) > MOST_LEVELS + 1:
                return f"{clipped(path, _LONGEST_PATH)} is nested too deeply: {_TOO_DEEP}"
            if reason := _why_not_json(path, each):
                return reason
            if isinstance(each, dict | list):
                levels.append(_children(path, each))
                break
        else:
            levels.pop()
    return None


def _why_not_json(path: str, value: object) -> str | None:
    """Why a value, apart from what it contains, is not JSON."""
    place = clipped(path, _LONGEST_PATH)
    match value:
        case None | bool() | int() | str() | list():
            return None
        case float():
            return None if math.isfinite(value) else f"{place} is {value}, {_NO_NUMBER}"
        case dict():
            for key in dict.keys(value):
                if not isinstance(key, str):
                    return f"{place} has the key {shown(key)}; JSON keys are strings"
            return None
        case _:
            return f"{place} is a {class_name(type(value))}, {_NO_FORM}"


def _children(
    path: str, value: dict[object, object] | list[object]
) -> Iterator[tuple[str, object]]:
    """What is in a dict or list, with its place; by their own methods, whatever a subclass has."""
    start = path[: _LONGEST_PATH + 1]
    if isinstance(value, list):
        return ((f"{start}[{index}]", each) for index, each in enumerate(list.__iter__(value)))
    return (
        (f"{start}.{clipped(str(key), _LONGEST_PATH)}", each) for key, each in dict.items(value)
    )
