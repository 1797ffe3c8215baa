"""Payloads and results on their way into JSON and back."""

from __future__ import annotations

import dataclasses
import math
from functools import cached_property, lru_cache
from typing import Any, Final

from pydantic import (
    BaseModel,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from enfila.core.domain.errors import InvalidRequest, ResultRefused
from enfila.core.domain.json_document import LARGEST_DOCUMENT, NULL, JsonDocument, JsonRefused
from enfila.core.domain.showing import class_name, clipped, described, message_of, shown

_MOST_SHOWN: Final = 3
_MOST_STEPS: Final = 20
_LONGEST: Final = 200
"""Characters of a place, and of what is wrong there."""

Annotation = Any
"""What pydantic's `TypeAdapter` takes: a model, a dataclass, an annotation; None for none."""
Value = Any
"""A value of such a type."""


class PayloadCodec:
    """Turns payloads and results into JSON documents and back.

    With a type, a value is validated on the way in and rebuilt on the way out. Without one it is
    plain JSON; an instance of a pydantic model or a dataclass is taken as the JSON it dumps to.

    Args:
        payload_type: the type of payloads; None for plain JSON.
        result_type: the type of results; None for plain JSON.
        limit: the most bytes of one document.
    """

    def __init__(
        self,
        payload_type: Annotation = None,
        result_type: Annotation = None,
        *,
        limit: int = LARGEST_DOCUMENT,
    ) -> None:
        self._payload_type = payload_type
        self._result_type = result_type
        self._limit = limit

    def build(self) -> None:
        """Looks at the types now, which otherwise is done when they are first needed.

        Raises:
            InvalidRequest: a type that pydantic does not know.
        """
        _ = self._payload_adapter, self._result_adapter

    def write_payload(self, payload: object) -> JsonDocument:
        """The document of a payload.

        Raises:
            InvalidRequest: it is not what the queue's type asks for, not JSON, or too large.
        """
        try:
            return self._write(payload, self._payload_adapter)
        except ValidationError as refusal:
            allowed = f"give a {_name(self._payload_type)}: {_places(refusal)}"
        except JsonRefused as refusal:
            allowed = f"give JSON: {message_of(refusal)}"
        raise InvalidRequest("payload", payload, allowed)

    def read_payload(self, document: JsonDocument) -> Value:
        """The payload of a document in the queue's type.

        Raises:
            InvalidRequest: it does not fit the type, which must have changed since.
        """
        return _read(document, self._payload_adapter, "payload", self._payload_type)

    def write_result(self, result: object) -> JsonDocument:
        """The document of a result.

        Raises:
            ResultRefused: it is not what the queue's type asks for, not JSON, or too large.
        """
        if result is None and self._result_adapter is None:
            return NULL
        try:
            return self._write(result, self._result_adapter)
        except ValidationError as refusal:
            reason = f"it is not a {_name(self._result_type)}: {_places(refusal)}"
        except JsonRefused as refusal:
            reason = message_of(refusal)
        raise ResultRefused(reason)

    def read_result(self, document: JsonDocument | None) -> Value:
        """The result of a document in the queue's type.

        Raises:
            InvalidRequest: it does not fit the type, which must have changed since.
        """
        return _read(document or NULL, self._result_adapter, "result", self._result_type)

    @cached_property
    def _payload_adapter(self) -> TypeAdapter[Any] | None:
        return _adapter("payload_type", self._payload_type)

    @cached_property
    def _result_adapter(self) -> TypeAdapter[Any] | None:
        return _adapter("result_type", self._result_type)

    def _write(self, value: object, adapter: TypeAdapter[Any] | None) -> JsonDocument:
        if adapter is not None:
            value = adapter.validate_python(value, by_alias=True, by_name=True)
        elif isinstance(value, BaseModel) or _is_dataclass(value):
            kind: Annotation = type(value)
            adapter = _adapter_of_class(kind)
        if adapter is None:
            return JsonDocument.of(value, limit=self._limit)
        try:
            dumped = _dumped(adapter, value)
        except JsonRefused:
            raise
        # A value that JSON has no form for, that is nested too deeply, or that holds itself.
        except (ValueError, RecursionError) as refusal:
            raise JsonRefused(described(refusal)) from None
        return JsonDocument.of(dumped, limit=self._limit)


def _read(
    document: JsonDocument, adapter: TypeAdapter[Any] | None, field: str, kind: Annotation
) -> Value:
    if adapter is None:
        return document.value
    try:
        return adapter.validate_json(document.text, by_alias=True, by_name=True)
    except ValidationError as refusal:
        allowed = f"what was stored is not a {_name(kind)}: {_places(refusal)}"
    raise InvalidRequest(field, document.value, allowed)


def _dumped(adapter: TypeAdapter[Any], value: object) -> object:
    # Field names and not aliases: they are what is accepted on the way out under any settings of
    # aliases. `round_trip` leaves out what is computed.
    dumped = adapter.dump_python(value, mode="json", by_alias=False, round_trip=True)
    # pydantic turns NaN and infinities into null, which would be a silent change.
    if _has_none(dumped) and (number := _not_finite(adapter.dump_python(value))) is not None:
        raise JsonRefused(f"it holds {number}, which JSON has no number for")
    return dumped


def _has_none(value: object) -> bool:
    match value:
        case None:
            return True
        case dict():
            return any(map(_has_none, value.values()))
        case list():
            return any(map(_has_none, value))
        case _:
            return False


def _not_finite(value: object) -> float | None:
    match value:
        case float():
            return None if math.isfinite(value) else value
        case dict():
            inner = list(value.values())
        case list() | tuple() | set() | frozenset():
            inner = list(value)
        case _:
            return None
    return next((found for each in inner if (found := _not_finite(each)) is not None), None)


def _is_dataclass(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _adapter(field: str, kind: Annotation) -> TypeAdapter[Any] | None:
    if kind is None:
        return None
    try:
        adapter = TypeAdapter(kind)
        _ = adapter.rebuild(raise_errors=True)
    # An annotation may fail in any way, and a text as one is evaluated.
    except (Exception, SystemExit, GeneratorExit) as refusal:  # noqa: BLE001
        reason = message_of(refusal).partition("\n")[0]
        raise InvalidRequest(field, kind, f"give a type that pydantic knows: {reason}") from None
    return adapter


@lru_cache(maxsize=1024)
def _adapter_of_class(kind: Annotation) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(kind)
    except PydanticUserError as refusal:
        reason = message_of(refusal).splitlines()[0]
        raise JsonRefused(f"its class is not one that pydantic knows: {reason}") from None


def _name(kind: Annotation) -> str:
    return class_name(kind) if isinstance(kind, type) else shown(kind)


def _places(refusal: ValidationError) -> str:
    """Where and why a value was refused, the first few."""
    errors = refusal.errors(include_url=False, include_context=False, include_input=False)
    shown = [
        clipped(".".join(["$", *(str(step) for step in error["loc"][:_MOST_STEPS])]), _LONGEST)
        + f" {clipped(error['msg'], _LONGEST)}"
        for error in errors[:_MOST_SHOWN]
    ]
    more = len(errors) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
