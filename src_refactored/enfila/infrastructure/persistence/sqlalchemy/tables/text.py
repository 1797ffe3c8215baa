"""Values that are stored as text."""

from __future__ import annotations

import json

from enfila.core.domain.job.failure import JobError
from enfila.core.domain.json_document import NULL, JsonDocument


def document_text(document: JsonDocument | None) -> str | None:
    """A document as it is stored."""
    return None if document is None else document.text


def document_of(text: str | None) -> JsonDocument | None:
    """The document that `document_text` stored."""
    return None if text is None else JsonDocument(text)


def document_or_null(text: str | None) -> JsonDocument:
    """The document that was stored; JSON's null if there was none."""
    return NULL if text is None else JsonDocument(text)


def error_text(error: JobError | None) -> str | None:
    """An error as it is stored."""
    return None if error is None else json.dumps(error.to_json())


def error_of(text: str | None) -> JobError | None:
    """The error that `error_text` stored."""
    return None if text is None else JobError.from_json(json.loads(text))
