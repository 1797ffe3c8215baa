"""Starting over in a process that was forked.

A forked child has the parent's objects, but neither its threads nor its event loops. Its locks may
be held by threads that are not there, and its connections are still the parent's.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Final, Self
from weakref import WeakSet


class ForkAware(ABC):
    """Base of objects that hold a lock, a thread, an event loop or a connection."""

    def __new__(cls, *_args: object, **_options: object) -> Self:
        made = super().__new__(cls)
        _known.add(made)
        return made

    @abstractmethod
    def start_over(self) -> None:
        """Drops all that belongs to the parent, in a child that was just forked.

        Nothing may be closed: that would end what the parent uses.
        """


class ForkGate(ForkAware):
    """A context for work of other threads in whose middle the process must not be forked.

    A fork waits until nobody is inside, at most so many seconds, and nobody gets in meanwhile.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._changed = threading.Condition()
        self._inside = 0
        self._is_shut = False

    def __enter__(self) -> None:
        with self._changed:
            _ = self._changed.wait_for(lambda: not self._is_shut)
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def shut(self) -> None:
        """Waits until nobody is inside; nobody gets in until `open`."""
        with self._changed:
            self._is_shut = True
            _ = self._changed.wait_for(lambda: not self._inside, self._patience)

    def open(self) -> None:
        """Lets others in."""
        with self._changed:
            self._is_shut = False
            self._changed.notify_all()

    def start_over(self) -> None:
        """See `ForkAware`. Those who are inside are not in this process."""
        self._changed, self._inside, self._is_shut = threading.Condition(), 0, False


_known: Final[WeakSet[ForkAware]] = WeakSet()
_of_the_parent: Final[list[object]] = []


def leave_to_parent(inherited: object) -> None:
    """Keeps something that is the parent's from being closed as garbage in this process."""
    _of_the_parent.append(inherited)


def _gates() -> list[ForkGate]:
    return [each for each in list(_known) if isinstance(each, ForkGate)]


def _shut_gates() -> None:
    for gate in _gates():
        gate.shut()


def _open_gates() -> None:
    for gate in _gates():
        gate.open()


def _start_over() -> None:
    for each in list(_known):
        each.start_over()


if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(before=_shut_gates, after_in_parent=_open_gates, after_in_child=_start_over)
