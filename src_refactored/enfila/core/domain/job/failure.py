"""Why an attempt failed, in a form that can be stored."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

LONGEST_TYPE: Final = 255
LONGEST_TRACE: Final = 16_384
LONGEST_MESSAGE: Final = 4_096

# What a class may override is passed by: an exception must not decide whether it can be told.
_name_of: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__
trace_of: Final[Callable[[BaseException], TracebackType | None]] = BaseException.__dict__[
    "__traceback__"
].__get__


@dataclass(frozen=True, slots=True)
class JobError:
    """Value object: one error as text.

    Attributes:
        type: the name of the exception's class, cut at 255 characters.
        message: its message, cut at 4,096 characters.
        trace: its traceback, the last 16,384 characters; empty when there was none.
    """

    type: str
    message: str
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> JobError:
        """Describes an exception. Never raises, whatever the exception's own methods do."""
        name = storable(_name_of(type(error)))[:LONGEST_TYPE]
        try:
            message = storable(str(error))[:LONGEST_MESSAGE]
        except BaseException as problem:  # noqa: BLE001 - an error that cannot be shown is still an error
            message = f"its message cannot be shown: {_name_of(type(problem))}"
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
    frames = trace_of(error)
    if frames is None:
        return ""
    try:
        lines = traceback.format_exception(error)
        return storable("".join(lines))[-LONGEST_TRACE:]
    except BaseException as problem:  # noqa: BLE001 - as for the message
        rest = f"{name}: the rest cannot be shown: {_name_of(type(problem))}\n"
    try:
        return storable("".join([*traceback.format_tb(frames), rest]))[-LONGEST_TRACE:]
    except BaseException:  # noqa: BLE001 - as for the message
        return rest


def storable(text: str) -> str:
    """Escapes the characters that text columns of databases refuse (NUL, lone surrogates)."""
    # Not by the text's own methods: a subclass of `str` may have others.
    escaped = str.replace(text, "\x00", "\\x00")
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")
