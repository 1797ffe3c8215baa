"""A JSON value as text, which a round trip through JSON does not change."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from pydantic_core import from_json, to_json

Json = Any
"""A JSON value: `None`, a bool, int, float or str, a list of them, or a dict with str keys."""

LARGEST_DOCUMENT: Final = 1024 * 1024
"""Default limit of one payload or result, in bytes of JSON text (1 MiB)."""

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode


class JsonRefused(ValueError):
    """A value that JSON cannot represent unchanged; the message says where and why."""


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
        return f"JsonDocument({self.text!r})"

    @classmethod
    def of(cls, value: Json, *, limit: int = LARGEST_DOCUMENT) -> JsonDocument:
        """Encodes `value`.

        The text is ASCII with escapes, so that no database encoding can change it.

        Raises:
            JsonRefused: the value is not JSON, would read back as something else (tuples,
                keys that are not strings), or its text is longer than `limit` bytes.
        """
        if (text := _usual_text(value)) is not None and len(text) <= limit:
            return cls(text)
        try:
            text = _encode(value)
        except (TypeError, ValueError, RecursionError) as refusal:
            raise JsonRefused(_why_refused(value) or str(refusal)) from None
        if len(text) > limit:
            raise JsonRefused(f"its JSON text has {len(text):,} bytes, the limit is {limit:,}")
        document = cls(text)
        # Reading back is the proof that nothing was altered: a tuple or an int key is not equal.
        if not document._reads_back_as(value):
            raise JsonRefused(_why_refused(value) or "it would read back as something else")
        return document

    def _reads_back_as(self, value: Json) -> bool:
        try:
            return bool(self.value == value)
        except (ValueError, RecursionError):  # integers of over 4,300 digits, deep nesting
            return False


def _usual_text(value: Json) -> str | None:
    """Fast path: the JSON text of a value of plain types; None for all other values."""
    try:
        text = to_json(value)
        # Reading back is the proof that nothing was altered: a tuple or an int key is not equal.
        if text.isascii() and from_json(text, allow_inf_nan=False) == value:
            return text.decode("ascii")
    except (TypeError, ValueError, RecursionError):
        return None
    return None


_UNREAD: Final = object()
NULL: Final = JsonDocument("null")
_DEEPEST: Final = 200


def _why_refused(value: object, path: str = "$", depth: int = 0) -> str | None:
    """Describes the first place in `value` that is not JSON; None if there is none."""
    if depth > _DEEPEST:
        return f"{path} is nested too deeply"
    if value is None or isinstance(value, bool | int | str):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{path} is {value}, which JSON has no number for"
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                return f"{path} has the key {key!r}; JSON keys are strings"
            if reason := _why_refused(inner, f"{path}.{key}", depth + 1):
                return reason
        return None
    if isinstance(value, list):
        for index, inner in enumerate(value):
            if reason := _why_refused(inner, f"{path}[{index}]", depth + 1):
                return reason
        return None
    return f"{path} is a {type(value).__name__}, which JSON has no form for"
