"""What the idle workers of a process know of an empty queue, so that one of them asks for all."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from time import monotonic
from typing import Final
from weakref import WeakKeyDictionary

from enfila.core.application.queue.claims.job_source import AnySource


class IdleLook:
    """What was last seen of the jobs that some idle workers of one process could take.

    Attributes:
        empty_at: when a claim brought less than was asked for; None since something has changed.
    """

    def __init__(self) -> None:
        self.empty_at: float | None = None
        self._due_at: float | None = None
        self._knows_due = False

    def forget(self) -> None:
        """Something has changed, or may have."""
        self.empty_at = None
        self._knows_due = False

    def note_due(self, length: timedelta | None) -> None:
        """Notes when the next delayed job is due; None if there is none."""
        self._due_at = None if length is None else monotonic() + length.total_seconds()
        self._knows_due = True

    @property
    def knows_due(self) -> bool:
        """Whether `until_due` is still right."""
        return self._knows_due and (self._due_at is None or self._due_at > monotonic())

    @property
    def until_due(self) -> timedelta | None:
        """The time until the next delayed job is due; None if there is none."""
        if self._due_at is None:
            return None
        return timedelta(seconds=max(self._due_at - monotonic(), 0))


_looks: Final[WeakKeyDictionary[AnySource, dict[Hashable, IdleLook]]] = WeakKeyDictionary()


def idle_look(source: AnySource, names: frozenset[str] | None) -> IdleLook:
    """What the workers share that take jobs with these names from this source."""
    return _looks.setdefault(source, {}).setdefault(names, IdleLook())
