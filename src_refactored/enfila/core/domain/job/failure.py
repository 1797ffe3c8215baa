"""Why an attempt failed, in a form that can be stored."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from enfila.core.domain.checking import any_text
from enfila.core.domain.showing import class_name, message_of, storable

LONGEST_TRACE: Final = 16_384
LONGEST_MESSAGE: Final = 4_096

# A class may override the attribute: an exception must not decide whether it can be told.
trace_of: Final[Callable[[BaseException], TracebackType | None]] = BaseException.__dict__[
    "__traceback__"
].__get__


@dataclass(frozen=True, slots=True)
class JobError:
    """Value object: one error as text.

    Attributes:
        type: the name of the exception's class, cut at 120 characters.
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
        """Describes an exception. Never raises, whatever the exception's own methods do."""
        name = class_name(type(error))
        try:
            message = storable(message_of(error, LONGEST_MESSAGE))[:LONGEST_MESSAGE]
        except KeyboardInterrupt:  # out of its `__str__`
            message = "its message cannot be shown: KeyboardInterrupt"
        return cls(name, message, _trace(error, name))

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def to_json(self) -> dict[str, str]:
        """The error as JSON for storage."""
        return {"type": self.type, "message": self.message, "trace": self.trace}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> JobError:
        """Reads an error that `to_json` wrote."""
        return cls(stored["type"], stored["message"], stored["trace"])


def _trace(error: BaseException, name: str) -> str:
    """The traceback with all causes; without them if one of those cannot be shown."""
    frames = trace_of(error) if issubclass(type(error), BaseException) else None
    if frames is None:
        return ""
    try:
        lines = traceback.format_exception(error)
        return storable("".join(lines))[-LONGEST_TRACE:]
    except BaseException as problem:  # noqa: BLE001 - as for the message
        rest = f"{name}: the rest cannot be shown: {class_name(type(problem))}\n"
    try:
        return storable("".join([*traceback.format_tb(frames), rest]))[-LONGEST_TRACE:]
    except BaseException:  # noqa: BLE001 - as for the message
        return rest
