"""What a supervisor and its processes say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Order(Enum):
    """From the supervisor to a process."""

    STOP = auto()
    HURRY = auto()


@dataclass(frozen=True, slots=True)
class Loaded:
    """From a process: its function was found and begins to run."""


@dataclass(frozen=True, slots=True)
class Failed:
    """From a process: why it ends by itself, if that is known.

    Attributes:
        sentence: for people.
        needs_a_person: whether another process would end in the same way. Otherwise time may help:
            the database is away.
    """

    sentence: str
    needs_a_person: bool


Message = Loaded | Failed
