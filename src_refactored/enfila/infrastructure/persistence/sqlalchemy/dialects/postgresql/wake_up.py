"""Hints between the processes that use one PostgreSQL database, by LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import uuid
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from time import monotonic
from typing import Final

from sqlalchemy.engine import URL

from enfila.core.application.ports.wake_up import Hint, Notice
from enfila.core.application.runtime.forks import leave_to_parent
from enfila.core.application.runtime.per_loop import call_on
from enfila.core.application.runtime.waiting import is_set_within
from enfila.core.domain.showing import described
from enfila.infrastructure.persistence.sqlalchemy.dialects.cross_process_wake_up import (
    CrossProcessWakeUp,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.drivers import (
    PostgresDriver,
    driver_of,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.notify import (
    NotificationLine,
    make_line,
)

logger = logging.getLogger("enfila")

_SECONDS_BETWEEN_NOTIFICATIONS: Final = 0.005
_SECONDS_FOR_A_NOTICE: Final = 0.002
"""A busy program adds again in this time, and the addition carries what is unsent."""
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_SECONDS_FOR_THE_LAST: Final = 0.5
# PostgreSQL takes less than 8,000 bytes.
_MOST_BYTES: Final = 7_000


class PostgresWakeUp(CrossProcessWakeUp):
    """`WakeUp` over LISTEN/NOTIFY: one connection listens, and few notifications are sent.

    A notification takes a lock on the whole database while it commits. So hints are gathered: the
    first is sent at once, what comes in the 5 ms after it goes as one. At that pace, and only in a
    single statement, additions carry it themselves, which saves the worker a round trip and a
    commit of waiting. `Hint.SETTLED` is not sent at all: it would come with every
    settlement, and those who wait for a result in another process poll.

    When the connection dies it is made anew, with growing pauses; then everybody is woken, since a
    notification may have been missed.

    Args:
        url: the database, with the driver to use.
        installation: what tells this installation's tables from others in the same database.
        listen_url: the address to listen at, if `url` leads to a connection pooler.
        driver: what is used for `url` already, and knows of a pooler.
    """

    def __init__(
        self,
        url: URL,
        installation: str,
        *,
        listen_url: URL | None = None,
        driver: PostgresDriver | None = None,
    ) -> None:
        super().__init__()
        self._has_own_address = listen_url is not None
        self._driver = driver_of(listen_url) if listen_url else driver or driver_of(url)
        self._has_warned = False
        self._listens = False
        self._channel = f"enfila_{zlib.crc32(installation.encode()):08x}"
        self._me = uuid.uuid4().hex[:12]
        self._line: NotificationLine | None = None
        self._unsent: dict[tuple[str, Hint], int] = {}
        self._enqueued = 0
        self._sent_at = float("-inf")
        self._something_to_send = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._connected = asyncio.Event()

    def start_over(self) -> None:
        """See `ForkAware`. What is unsent is sent by the parent."""
        super().start_over()
        leave_to_parent(self._line)
        self._line = None
        self._unsent = {}
        self._me = uuid.uuid4().hex[:12]
        self._connected = asyncio.Event()

    def _start(self) -> None:
        self._something_to_send = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._connected = asyncio.Event()
        if self._unsent:
            self._something_to_send.set()
        else:
            self._all_sent.set()
        self._run_here(self._keep_listening, name="enfila listen")
        self._run_here(self._keep_sending, name="enfila notify")

    async def close(self) -> None:
        """See `WakeUp.close`.

        What a short program has just added shall be heard of, if the server answers.
        """
        if self._home is asyncio.get_running_loop():
            _ = await is_set_within(self._all_sent, _SECONDS_FOR_THE_LAST)
        await super().close()

    @property
    def hears_others(self) -> bool:
        """See `WakeUp.hears_others`."""
        return self._listens and self._connected.is_set()

    def notice(self, queue: str, hint: Hint) -> Notice | None:
        """See `WakeUp.notice`."""
        if self._until_next() > 0 or not self._connected.is_set():
            return None
        [text] = self._payloads([(queue, hint)])
        return Notice(self._channel, text, after=self._enqueued)

    def hint(self, queue: str, hint: Hint, notice: Notice | None = None) -> None:
        """See `WakeUp.hint`."""
        super().hint(queue, hint)
        if notice is not None and notice.is_sent:
            self._sent_at = monotonic()
            if self._unsent.get((queue, hint), notice.after + 1) <= notice.after:
                # What was to be told of when the notice was made is told of by it too.
                del self._unsent[queue, hint]
            return
        home = self._home
        if hint is not Hint.SETTLED and home is not None:
            call_on(home, partial(self._enqueue, queue, hint))

    def _enqueue(self, queue: str, hint: Hint) -> None:
        self._enqueued += 1
        self._unsent[queue, hint] = self._enqueued
        self._all_sent.clear()
        self._something_to_send.set()

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    async def _keep_sending(self) -> None:
        while True:
            await self._something_to_send.wait()
            await self._connected.wait()
            if (pause := self._until_next()) > 0:
                await asyncio.sleep(pause + _SECONDS_FOR_A_NOTICE)
            self._something_to_send.clear()
            hints, self._unsent = sorted(self._unsent), {}
            for payload in self._payloads(hints):
                await self._send(payload)
                self._sent_at = monotonic()
            if not self._unsent:
                self._all_sent.set()

    def _until_next(self) -> float:
        """Seconds until another notification may be sent."""
        return self._sent_at + _SECONDS_BETWEEN_NOTIFICATIONS - monotonic()

    def _payloads(self, hints: Iterable[tuple[str, Hint]]) -> Iterator[str]:
        """The hints in as few notifications as their lengths allow."""
        group: list[tuple[str, Hint]] = []
        size = 0
        for each in hints:
            length = len(json.dumps(each)) + 2
            if group and size + length > _MOST_BYTES:
                yield json.dumps([self._me, group])
                group, size = [], 0
            group.append(each)
            size += length
        if group:
            yield json.dumps([self._me, group])

    async def _send(self, payload: str) -> None:
        """Tells the others; if that fails they find out by polling."""
        line = self._line
        if line is None:
            return
        try:
            await line.send(self._channel, payload)
        except Exception as error:  # noqa: BLE001 - a hint must not fail anybody, whatever the driver says
            logger.debug("a hint was not sent: %s", described(error))

    # ── receiving ────────────────────────────────────────────────────────────────────────────

    async def _keep_listening(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            began = monotonic()
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - drivers raise many kinds; the answer is one
                logger.debug("no connection to listen on: %s", described(error))
            if monotonic() - began > _LONGEST_PAUSE:
                pause = _SHORTEST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self) -> None:
        """Listens for as long as one connection lives."""
        line = make_line(self._driver, trusted=self._has_own_address)
        try:
            self._listens = await line.open(self._channel, self._received)
            if not self._listens:
                self._warn_of_pooler()
            self._line = line
            self._connected.set()
            self._wake_everybody()
            await line.wait_until_lost()
        finally:
            self._line = None
            if self._connected.is_set():
                self._connected.clear()
                self._wake_everybody()  # they poll as often as they would without
            await line.close()

    def _warn_of_pooler(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "PostgreSQL is behind a connection pooler, where LISTEN does not work: this "
                "process finds new jobs by polling; give listen_url, the address of the server "
                "itself, or set notify=False"
            )

    def _received(self, payload: str) -> None:
        try:
            sender, hints = json.loads(payload)
            known = [(str(queue), Hint(hint)) for queue, hint in hints]
        except (ValueError, TypeError, RecursionError):
            # Anybody may notify on the channel; what is not ours is no hint.
            return
        if sender != self._me:
            for queue, hint in known:
                self.arrived(queue, hint)

    def _wake_everybody(self) -> None:
        for queue, hint in self.listened_to:
            self.arrived(queue, hint)
