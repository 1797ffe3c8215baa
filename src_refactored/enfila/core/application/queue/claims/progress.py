"""What a running job may say of itself."""

from __future__ import annotations

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.json_document import Json, JsonDocument, JsonRefused
from enfila.core.domain.showing import message_of, storable

_PROGRESS = "give a finite number, a text or a JSON object"


def progress_document(progress: Json) -> JsonDocument:
    """Turns a reported progress (a number, a text or an object) into JSON for storage.

    Raises:
        InvalidRequest: it is something else, or not JSON.
    """
    if isinstance(progress, bool) or not isinstance(progress, int | float | str | dict):
        raise InvalidRequest("progress", progress, _PROGRESS)
    try:
        return JsonDocument.of(progress)
    except JsonRefused as refusal:
        raise InvalidRequest("progress", progress, f"{_PROGRESS}: {message_of(refusal)}") from None


def log_line(line: str) -> str:
    """A log line as it can be stored.

    Raises:
        InvalidRequest: it is not text.
    """
    if not isinstance(line, str):
        raise InvalidRequest("line", line, "give a text")
    return storable(line)
