"""Conversion of instants: callers give any aware `datetime`, enfila uses UTC."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from enfila.core.domain.checking import instant

MICROSECOND: Final = timedelta(microseconds=1)
"""The smallest step of time: the first time *at or after* t is the first one after t less this."""


def optional_instant(field: str, value: datetime | None) -> datetime | None:
    """Like `instant`, but None stays None."""
    return None if value is None else instant(field, value)


def text_of(value: datetime | None) -> str | None:
    """The instant as text for storage."""
    return None if value is None else value.isoformat()


def from_text(text: str | None) -> datetime | None:
    """Reads an instant that `text_of` wrote."""
    return None if text is None else datetime.fromisoformat(text)
