"""Payloads and results on their way into JSON and back."""

from __future__ import annotations

import dataclasses
from functools import cached_property, lru_cache
from typing import Any, Final

from pydantic import (
    BaseModel,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)

from enfila.core.application.queue.adding.typed_form import ArrivalRefused, TypedForm, places
from enfila.core.domain.errors import InvalidRequest, ResultRefused
from enfila.core.domain.json_document import LARGEST_DOCUMENT, NULL, JsonDocument, JsonRefused
from enfila.core.domain.showing import class_name, message_of, shown

STARS: Final = "**********"
"""Stands for what is not to be read in an error."""

Annotation = Any
"""What pydantic's `TypeAdapter` takes: a model, a dataclass, an annotation; None for none."""
Value = Any
"""A value of such a type."""
_VOWELS: Final = frozenset("aeiouAEIO")
_WAYS_OF_PAYLOADS: Final = (
    "; give a text, a number, a list or a dict there, or have `payload_type=` of the queue or a "
    "job type turn it into JSON"
)
_WAYS_OF_RESULTS: Final = (
    "; return a text, a number, a list or a dict there, or have `result_type=` of the queue or a "
    "job type turn it into JSON"
)


class PayloadCodec:
    """Turns payloads and results into JSON documents and back.

    With a type, a value is validated on the way in and rebuilt on the way out; what would come back
    as something else is refused. Without one it is plain JSON; an instance of a pydantic model or a
    dataclass is taken as the JSON it dumps to.

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
        _ = self._payload_form, self._result_form

    def write_payload(self, payload: object) -> JsonDocument:
        """The document of a payload.

        Raises:
            InvalidRequest: it is not what the queue's type asks for, would not come back as it is,
                is not JSON, or too large.
        """
        try:
            return self._write(payload, self._payload_form)
        except ValidationError as refusal:
            allowed = f"give {_name(self._payload_type)}: {places(refusal)}"
        except JsonRefused as refusal:
            way_out = _WAYS_OF_PAYLOADS if refusal.has_no_form else ""
            allowed = f"give JSON: {message_of(refusal)}{way_out}"
        except ArrivalRefused as refusal:
            allowed = f"give what comes back as it is: {message_of(refusal)}"
        raise InvalidRequest("payload", self.redacted(payload), allowed)

    def rewritten(self, document: JsonDocument) -> JsonDocument:
        """The document of a payload that was given as JSON.

        Raises:
            InvalidRequest: as `write_payload`.
        """
        form = self._payload_form
        if form is None or document == NULL:
            return self.write_payload(document.value)
        return self.write_payload(self.read_payload(document))

    def redacted(self, payload: Value) -> Value:
        """The payload as errors may quote it: stars for what holds a secret."""
        form = self._payload_form
        if form is None or form.secrets == frozenset():
            return payload
        if form.secrets is None or not isinstance(payload, dict):
            return STARS
        return {
            name: each if name in form.known and name not in form.secrets else STARS
            for name, each in dict.items(payload)
        }

    def read_payload(self, document: JsonDocument) -> Value:
        """The payload of a document in the queue's type.

        Raises:
            InvalidRequest: it does not fit the type, which must have changed since.
        """
        form = self._payload_form
        if form is None:
            return document.value
        try:
            return form.read(document)
        except ValidationError as refusal:
            reason = f"what was stored is not {_name(self._payload_type)}: {places(refusal)}"
        raise InvalidRequest("payload", self.redacted(document.value), reason)

    def write_result(self, result: object) -> JsonDocument:
        """The document of a result.

        Raises:
            ResultRefused: it is not what the queue's type asks for, would not come back as it is,
                is not JSON, or too large.
        """
        if result is None and self._result_form is None:
            return NULL
        try:
            return self._write(result, self._result_form)
        except ValidationError as refusal:
            reason = f"it is not {_name(self._result_type)}: {places(refusal)}"
        except JsonRefused as refusal:
            way_out = _WAYS_OF_RESULTS if refusal.has_no_form else ""
            reason = f"{message_of(refusal)}{way_out}"
        except ArrivalRefused as refusal:
            reason = message_of(refusal)
        raise ResultRefused(reason)

    def read_result(self, document: JsonDocument | None) -> Value:
        """The result of a document in the queue's type.

        Raises:
            InvalidRequest: it does not fit the type, which must have changed since.
        """
        form, document = self._result_form, document or NULL
        if form is None:
            return document.value
        try:
            return form.read(document)
        except ValidationError as refusal:
            reason = f"what was stored is not {_name(self._result_type)}: {places(refusal)}"
        quoted = document.value if form.secrets == frozenset() else STARS
        raise InvalidRequest("result", quoted, reason)

    @cached_property
    def _payload_form(self) -> TypedForm | None:
        return _form("payload_type", self._payload_type)

    @cached_property
    def _result_form(self) -> TypedForm | None:
        return _form("result_type", self._result_type)

    def _write(self, value: object, form: TypedForm | None) -> JsonDocument:
        if form is not None:
            return form.write(value, limit=self._limit)
        if isinstance(value, BaseModel) or _is_dataclass(value):
            kind: Annotation = type(value)
            return _form_of_class(kind).dumped(value, limit=self._limit)
        return JsonDocument.of(value, limit=self._limit)


def _is_dataclass(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _form(field: str, kind: Annotation) -> TypedForm | None:
    if kind is None:
        return None
    try:
        adapter = TypeAdapter(kind)
        _ = adapter.rebuild(raise_errors=True)
        return TypedForm(adapter)
    # An annotation may fail in any way, and a text as one is evaluated.
    except (Exception, SystemExit, GeneratorExit) as refusal:  # noqa: BLE001
        reason = why_unknown(refusal)
        raise InvalidRequest(field, kind, f"give a type that pydantic knows: {reason}") from None


@lru_cache(maxsize=1024)
def _form_of_class(kind: Annotation) -> TypedForm:
    try:
        return TypedForm(TypeAdapter(kind))
    except PydanticUserError as refusal:
        reason = why_unknown(refusal)
        raise JsonRefused(f"its class is not one that pydantic knows: {reason}") from None


def _name(kind: Annotation) -> str:
    """A type with its article: a Mail, an int."""
    name = class_name(kind) if isinstance(kind, type) else shown(kind)
    return f"{'an' if name[:1] in _VOWELS else 'a'} {name}"


def why_unknown(refusal: BaseException) -> str:
    """Why pydantic does not know a type; without what it advises its own users."""
    return message_of(refusal).partition("\n")[0].partition(". Set `arbitrary")[0]
