"""Hints between the processes that use one PostgreSQL database, by LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import uuid
import zlib
from typing import Final

from sqlalchemy.engine import URL

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.tasks import OwnedTasks
from enfila.infrastructure.wake_up.notification_line import NotificationLine, make_line

logger = logging.getLogger("enfila")

_SECONDS_BETWEEN_NOTIFICATIONS: Final = 0.01
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_MOST_NAMES: Final = 50


class PostgresWakeUp(InProcessWakeUp):
    """One connection that listens, and tells the others in as few notifications as possible.

    A notification takes a lock on the whole database while it commits. So hints are gathered: the
    first is sent at once, what comes in the 10 ms after it goes as one. It is never sent inside
    the transaction of a job. `Hint.SETTLED` is not sent at all: it would come with every
    settlement, and those who wait for a result in another process poll.

    When the connection dies it is made anew, with growing pauses; then everybody is woken, since a
    notification may have been missed.

    Args:
        url: the database, with the driver to use.
        installation: what tells this installation's tables from others in the same database.
    """

    def __init__(self, url: URL, installation: str) -> None:
        super().__init__()
        self._url = url
        self._channel = f"enfila_{zlib.crc32(installation.encode()):08x}"
        self._me = uuid.uuid4().hex[:12]
        self._tasks = OwnedTasks()
        self._line: NotificationLine | None = None
        self._unsent: set[tuple[str, Hint]] = set()
        self._something_to_send = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """See `WakeUp.open`."""
        if self._tasks:
            return
        self._loop = asyncio.get_running_loop()
        self._something_to_send = asyncio.Event()
        _ = self._tasks.spawn(self._keep_listening(), name="enfila listen")
        _ = self._tasks.spawn(self._keep_sending(), name="enfila notify")

    async def close(self) -> None:
        """See `WakeUp.close`."""
        await self._tasks.cancel()

    def hint(self, queue: str, hint: Hint) -> None:
        """See `WakeUp.hint`."""
        super().hint(queue, hint)
        if hint is Hint.SETTLED or self._loop is None or self._loop.is_closed():
            return
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - the documented one raises without a loop
            self._enqueue(queue, hint)
        else:
            self._loop.call_soon_threadsafe(self._enqueue, queue, hint)

    def _enqueue(self, queue: str, hint: Hint) -> None:
        self._unsent.add((queue, hint))
        self._something_to_send.set()

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    async def _keep_sending(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            hints, self._unsent = sorted(self._unsent), set()
            for start in range(0, len(hints), _MOST_NAMES):
                await self._send(hints[start : start + _MOST_NAMES])
            await asyncio.sleep(_SECONDS_BETWEEN_NOTIFICATIONS)

    async def _send(self, hints: list[tuple[str, Hint]]) -> None:
        """Tells the others; without a connection they find out by polling."""
        line = self._line
        if line is None:
            return
        try:
            await line.send(self._channel, json.dumps([self._me, hints]))
        except Exception as error:  # noqa: BLE001 - a hint must not fail anybody, whatever the driver says
            logger.debug("a hint was not sent: %r", error)

    # ── receiving ────────────────────────────────────────────────────────────────────────────

    async def _keep_listening(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            line = make_line(self._url)
            try:
                await line.open(self._channel, self._received)
                self._line = line
                self._wake_everybody()
                pause = _SHORTEST_PAUSE
                await line.wait_until_lost()
            except Exception as error:  # noqa: BLE001 - drivers raise many kinds; the answer is one
                logger.debug("no connection to listen on: %r", error)
            finally:
                self._line = None
                await line.close()
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _received(self, payload: str) -> None:
        try:
            sender, hints = json.loads(payload)
            known = [(str(queue), Hint(hint)) for queue, hint in hints]
        except (ValueError, TypeError):
            # Anybody may notify on the channel; what is not ours is no hint.
            return
        if sender != self._me:
            for queue, hint in known:
                self.arrived(queue, hint)

    def _wake_everybody(self) -> None:
        for queue, hint in self.listened_to:
            self.arrived(queue, hint)
