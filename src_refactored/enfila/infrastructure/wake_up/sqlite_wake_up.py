"""Hints between the processes that use one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Final

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.tasks import OwnedTasks

_SECONDS_BETWEEN_LOOKS: Final = 0.005


class SqliteWakeUp(InProcessWakeUp):
    """Watches the file's `data_version`, which changes whenever any connection has committed.

    The pragma reads a counter in shared memory: no lock, no disk. It tells that something was
    written and not what, so everybody who listens is woken. Nothing is sent: the commit itself is
    the message.

    Args:
        path: the file; None for a database in memory, which no other process can see.
    """

    def __init__(self, path: str | None) -> None:
        super().__init__()
        self._path = path
        self._tasks = OwnedTasks()
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """See `WakeUp.open`."""
        if self._path is not None and not self._tasks:
            _ = self._tasks.spawn(self._watch(), name="enfila watch file")

    async def close(self) -> None:
        """See `WakeUp.close`."""
        await self._tasks.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _watch(self) -> None:
        seen = self._version()
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            listened_to = self.listened_to
            if not listened_to:
                continue
            version = self._version()
            if version != seen:
                seen = version
                for queue, hint in listened_to:
                    self.arrived(queue, hint)

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
