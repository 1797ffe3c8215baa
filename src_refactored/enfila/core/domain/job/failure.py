"""Why an attempt failed, in a form that can be stored."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from enfila.core.domain.checking import any_text
from enfila.core.domain.showing import class_name, message_of, storable

LONGEST_TRACE: Final = 16_384
LONGEST_MESSAGE: Final = 4_096


@dataclass(frozen=True, slots=True)
class JobError:
    """Value object: one error as text.

    Attributes:
        type: the name of the exception's class.
        message: its message, cut at 4,096 characters.
        trace: its traceback, the last 16,384 characters; empty when there was none.
    """

    type: str
    message: str
    trace: str = ""

    def __post_init__(self) -> None:
        for name in ("type", "message", "trace"):
            object.__setattr__(self, name, any_text(f"error.{name}", getattr(self, name)))

    @classmethod
    def of(cls, error: BaseException) -> JobError:
        """Describes an exception. Never raises, even if the exception's own `str` does."""
        return cls(
            class_name(type(error)),
            storable(message_of(error, LONGEST_MESSAGE))[:LONGEST_MESSAGE],
            storable(_trace(error))[-LONGEST_TRACE:],
        )

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def to_json(self) -> dict[str, str]:
        """The error as JSON for storage."""
        return {"type": self.type, "message": self.message, "trace": self.trace}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> JobError:
        """Reads an error that `to_json` wrote."""
        return cls(stored["type"], stored["message"], stored["trace"])


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error)) if error.__traceback__ else ""
    except Exception as problem:  # noqa: BLE001 - an error that cannot be shown is still an error
        return f"its traceback cannot be shown: {class_name(type(problem))}"
