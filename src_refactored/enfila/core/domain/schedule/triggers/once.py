"""A trigger for one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from enfila.core.domain.checking import instant as checked_instant


@dataclass(frozen=True, slots=True, init=False)
class Once:
    """Value object: a trigger with a single tick.

    Attributes:
        at: when (aware; kept in UTC).
    """

    at: datetime
    kind: ClassVar[str] = "once"

    def __init__(self, at: datetime) -> None:
        object.__setattr__(self, "at", checked_instant("once.at", at))

    def next_after(self, instant: datetime, zone: ZoneInfo) -> datetime | None:  # noqa: ARG002
        """The instant if it is still to come; else None."""
        return self.at if instant < self.at else None

    def in_words(self) -> str:
        """The trigger in plain English."""
        return f"once, at {self.at:%Y-%m-%d %H:%M:%S} UTC"

    def to_document(self) -> dict[str, Any]:
        """The trigger as JSON for storage."""
        return {"kind": self.kind, "at": self.at.isoformat()}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Once:
        """Reads a trigger that `to_document` wrote."""
        return cls(datetime.fromisoformat(stored["at"]))
