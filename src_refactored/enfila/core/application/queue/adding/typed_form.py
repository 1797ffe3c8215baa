"""Values of one type as JSON documents that come back as they are."""

from __future__ import annotations

import dataclasses
import math
import re
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from enfila.core.application.queue.adding.arrival import difference, found
from enfila.core.application.queue.adding.travelling_schema import Form, is_exact, secret_fields
from enfila.core.domain.json_document import MOST_LEVELS, JsonDocument, JsonRefused
from enfila.core.domain.showing import class_name, clipped, described

_MOST_SHOWN: Final = 3
_MOST_STEPS: Final = 20
_LONGEST: Final = 200
"""Characters of a place, and of what is wrong there."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HOLDERS: Final = (BaseModel, Enum, dict, list, tuple, set, frozenset)
_WELL_KNOWN: Final = frozenset({
    "builtins", "datetime", "decimal", "uuid", "collections", "pathlib", "ipaddress", "pydantic",
    "pydantic.types", "pydantic.networks", "pydantic_core", "pydantic_core._pydantic_core",
})  # fmt: skip
"""Modules whose classes pydantic writes."""


class ArrivalRefused(ValueError):
    """A value that would come back as something else; the message says where and as what."""


class TypedForm:
    """Writes and reads the values of one type.

    Attributes:
        secrets: the fields of a typed dictionary that hold secrets; None for any other type with
            secrets.
        known: the fields of a typed dictionary.
    """

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self._writing = Form(adapter, once=True)
        self._reading = Form(adapter)
        schema = self._writing.schema
        self._is_exact = is_exact(schema)
        self.secrets: Final = secret_fields(schema)
        inner = schema["schema"] if schema["type"] == "definitions" else schema
        fields = inner["fields"] if inner["type"] == "typed-dict" else ()
        self.known: Final = frozenset(fields)

    def write(self, value: object, *, limit: int) -> JsonDocument:
        """The document of a value, which it is known to come back from.

        Raises:
            ValidationError: it is not of the type.
            JsonRefused: JSON has no form for it, or it is too large.
            ArrivalRefused: it would come back as something else.
        """
        valid = self._writing.validate_python(value, by_alias=True, by_name=True)
        if self._is_exact:
            document = JsonDocument.of(valid, limit=limit)
            # Lone surrogates are escaped, and read by no validator.
            if "\\u" not in document.text:
                return document
        document = _document(self._text(valid), limit)
        if (reason := self._change(valid, document)) is not None:
            # pydantic turns NaN and infinities into null, which is better said as what it is.
            _check_numbers(valid)
            raise ArrivalRefused(reason)
        return document

    def read(self, document: JsonDocument) -> Any:  # noqa: ANN401 - of the type
        """The value of a document.

        Raises:
            ValidationError: it is not of the type.
        """
        return self._reading.validate_json(document.text, by_alias=True, by_name=True)

    def dumped(self, value: object, *, limit: int) -> JsonDocument:
        """The document of a value, whether or not it can be read back.

        Raises:
            JsonRefused: JSON has no form for it, or it is too large.
        """
        text = self._text(value)
        if b"null" in text:
            _check_numbers(value)
        return _document(text, limit)

    def _text(self, value: object) -> bytes:
        try:
            # Field names and not aliases: they are what is accepted on the way out under any
            # settings of aliases. `round_trip` leaves out what is computed. What is not of its
            # field's type is found when it comes back, so no warning is needed.
            return self._writing.to_json(value, by_alias=False, round_trip=True, warnings=False)
        # A value that JSON has no form for, that is nested too deeply, or that holds itself.
        except (ValueError, RecursionError) as refusal:
            place = found(value, _has_no_text)
            where = "" if place is None else f"{place[0]} is a {class_name(type(place[1]))}: "
            raise JsonRefused(where + described(refusal)) from None

    def _change(self, valid: object, document: JsonDocument) -> str | None:
        try:
            back = self._writing.validate_json(document.text, by_alias=True, by_name=True)
        except ValidationError as refusal:
            return f"what is stored could not be read back: {places(refusal)}"
        except RecursionError:
            return "it is nested too deeply"
        return difference(valid, back, showing=self.secrets == frozenset())


def places(refusal: ValidationError) -> str:
    """Where and why a value was refused, the first few."""
    errors = refusal.errors(include_url=False, include_context=False, include_input=False)
    told = [
        clipped(".".join(["$", *(str(step) for step in error["loc"][:_MOST_STEPS])]), _LONGEST)
        + f" {clipped(error['msg'], _LONGEST)}"
        for error in errors[:_MOST_SHOWN]
    ]
    more = len(errors) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _document(text: bytes, limit: int) -> JsonDocument:
    is_usual = text.isascii() and b"NaN" not in text and b"Infinity" not in text
    if is_usual and len(text) <= limit and text.count(b"[") + text.count(b"{") <= MOST_LEVELS:
        return JsonDocument(text.decode("ascii"))
    try:
        # This parser refuses what is nested deeper than `MOST_LEVELS`.
        plain = from_json(text, allow_inf_nan=False)
    except ValueError as refusal:
        raise JsonRefused(described(refusal)) from None
    return JsonDocument.of(plain, limit=limit)


def _check_numbers(value: object) -> None:
    if (place := found(value, _is_not_finite)) is not None:
        raise JsonRefused(f"{place[0]} is {place[1]}, which JSON has no number for")


def _is_not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _has_no_text(value: object) -> bool:
    """Whether a value is likely to be what pydantic has no JSON for."""
    match value:
        case str():
            return not str.isascii(value) and _SURROGATE.search(value) is not None
        case bytes() | bytearray():
            return True
        case _:
            kind = type(value)
            return (
                not isinstance(value, _HOLDERS)
                and not dataclasses.is_dataclass(value)
                and kind.__module__ not in _WELL_KNOWN
            )
