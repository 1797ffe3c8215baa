"""Hints between the processes that use one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.runtime.forks import leave_to_parent
from enfila.core.application.runtime.waiting import is_set_within
from enfila.infrastructure.persistence.sqlalchemy.dialects.cross_process_wake_up import (
    CrossProcessWakeUp,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.file_events import FileEvents

_SECONDS_BETWEEN_LOOKS: Final = 0.005
_SECONDS_BETWEEN_RATIONED: Final = 1.0
_RATIONED: Final = frozenset({Hint.CONTROL, Hint.SCHEDULES})


class SqliteWakeUp(CrossProcessWakeUp):
    """`WakeUp` between processes on one SQLite file, by its `data_version`.

    The pragma reads a counter in shared memory: no lock, no disk. It tells that something was
    written and not what, so everybody who listens is woken. Nothing is sent: the commit itself is
    the message. On Linux the system tells when the file or its log is written; elsewhere the
    counter is looked at every 5 ms.

    `Hint.CONTROL` and `Hint.SCHEDULES` are passed on once a second at most: a worker renews all
    its locks, a scheduler looks for due schedules when they come, and on a busy file, where their
    own commits are seen as changes too, they would do little else.

    Args:
        path: the file; None for a database in memory, which no other process can see.
    """

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._next_rationed = 0.0

    def start_over(self) -> None:
        """See `ForkAware`."""
        super().start_over()
        leave_to_parent(self._connection)
        self._connection = None

    def _start(self) -> None:
        if self._path is not None:
            self._run_here(self._watch, name="enfila watch file")

    async def close(self) -> None:
        """See `WakeUp.close`."""
        await super().close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def hears_others(self) -> bool:
        """See `WakeUp.hears_others`."""
        home = self._home
        return self._path is not None and self._is_open and home is not None and home.is_running()

    async def _watch(self) -> None:
        events = FileEvents.of(str(self._path), "-wal", "-journal")
        if events is None:
            await self._look_again_and_again(_no_events)
            return
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def read() -> None:
            if events.read():
                changed.set()

        async def until_changed() -> None:
            _ = await is_set_within(changed, _SECONDS_BETWEEN_RATIONED)
            changed.clear()

        loop.add_reader(events.descriptor, read)
        try:
            await self._look_again_and_again(until_changed)
        finally:
            loop.remove_reader(events.descriptor)
            events.close()

    async def _look_again_and_again(self, until_changed: Callable[[], Awaitable[None]]) -> None:
        seen = self._version()
        untold: set[Hint] = set()
        while True:
            await until_changed()
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            listened_to = self.listened_to
            if not listened_to:
                continue
            version = self._version()
            if version != seen:
                seen = version
                untold.update(Hint)
            if untold:
                told = self._hints_of_the_moment(untold)
                for queue, hint in listened_to:
                    if hint in told:
                        self.arrived(queue, hint)
                untold = untold - told

    def _hints_of_the_moment(self, untold: set[Hint]) -> set[Hint]:
        """Those of the hints that are not kept back for a while."""
        if untold.isdisjoint(_RATIONED):
            return untold
        if monotonic() < self._next_rationed:
            return untold - _RATIONED
        self._next_rationed = monotonic() + _SECONDS_BETWEEN_RATIONED
        return untold

    def _version(self) -> int | None:
        """The file's version; None while it cannot be read, which the next poll makes good."""
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    str(self._path), isolation_level=None, timeout=0, check_same_thread=False
                )
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            return None
        return version


async def _no_events() -> None:
    """Nobody tells: the next look comes after the shortest wait."""
