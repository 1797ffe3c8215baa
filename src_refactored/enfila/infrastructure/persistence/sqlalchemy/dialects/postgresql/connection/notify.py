"""A connection for notifications, over the driver that is in use."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.application.runtime.waiting import is_set_within
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.drivers import (
    PostgresDriver,
    PsycopgDriver,
)

_ANSWER_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 1
_SECONDS_BETWEEN_PULSES: Final = 30


class NotificationLine(ABC):
    """One connection to PostgreSQL that receives and sends notifications.

    Args:
        driver: makes connections of its own.
        trusted: whether notifications arrive on them even though a pooler answers.
    """

    def __init__(self, driver: PostgresDriver, *, trusted: bool) -> None:
        self._driver = driver
        self._trusted = trusted
        self._listens = False
        self._lost = asyncio.Event()
        self._tasks = OwnedTasks(in_background=True)

    @abstractmethod
    async def open(self, channel: str, received: Callable[[str], None]) -> bool:
        """Connects and listens; `received` gets the payload of each notification.

        Behind a pooler only what is sent arrives; then it does not listen, and the answer is false.
        """

    def _may_listen(self) -> bool:
        self._listens = self._trusted or not self._driver.is_pooled
        return self._listens

    async def send(self, channel: str, payload: str) -> None:
        """Notifies everybody who listens, at once. A line that cannot is lost."""
        # In a task of its own, which `close` ends: nobody would wake one who waits for an answer
        # on a connection that was closed.
        sending = self._tasks.spawn(self._notify(channel, payload), name="enfila sends a hint")
        await asyncio.wait([sending], timeout=_ANSWER_SECONDS)
        if sending.done() and not sending.cancelled():
            error = sending.exception()
        else:
            error = ConnectionError("there was no answer")
        if error is not None:
            self._lost.set()
            raise error

    async def wait_until_lost(self) -> None:
        """Returns, or raises, when the connection is gone."""
        while not await is_set_within(self._lost, _SECONDS_BETWEEN_PULSES):
            # A path that died silently shows only when something is asked of it.
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._pulse()
            if self._listens != self._may_listen():
                return  # a pooler was noticed since

    async def close(self) -> None:
        """Ends it without waiting for a server that does not answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._tasks.cancel()
        await self._disconnect()

    @abstractmethod
    async def _disconnect(self) -> None: ...

    @abstractmethod
    async def _notify(self, channel: str, payload: str) -> None: ...

    @abstractmethod
    async def _pulse(self) -> None:
        """Asks the server anything."""


def make_line(driver: PostgresDriver, *, trusted: bool) -> NotificationLine:
    """The connection for notifications, over this driver."""
    line = _PsycopgLine if isinstance(driver, PsycopgDriver) else _AsyncpgLine
    return line(driver, trusted=trusted)


class _AsyncpgLine(NotificationLine):
    def __init__(self, driver: PostgresDriver, *, trusted: bool) -> None:
        super().__init__(driver, trusted=trusted)
        self._connection: Any = None
        # A connection of asyncpg's refuses a second statement while one is under way.
        self._in_use = asyncio.Lock()

    async def open(self, channel: str, received: Callable[[str], None]) -> bool:
        self._connection = await self._driver.connect_directly("enfila listen")
        self._connection.add_termination_listener(lambda _connection: self._lost.set())
        if not self._may_listen():
            return False
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._connection.add_listener(
                channel, lambda _connection, _pid, _channel, payload: received(payload)
            )
        return True

    async def _notify(self, channel: str, payload: str) -> None:
        async with self._in_use, AsyncExitStack() as stack:
            if self._driver.is_pooled:
                # It takes two messages, which only a transaction brings to one server.
                await stack.enter_async_context(self._connection.transaction())
            await self._connection.execute("select pg_notify($1, $2)", channel, payload)

    async def _pulse(self) -> None:
        async with self._in_use:
            await self._connection.execute("select 1")

    async def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


class _PsycopgLine(NotificationLine):
    """Two connections, since one that waits for notifications cannot send."""

    def __init__(self, driver: PostgresDriver, *, trusted: bool) -> None:
        super().__init__(driver, trusted=trusted)
        self._listening: Any = None
        self._sending: Any = None

    async def open(self, channel: str, received: Callable[[str], None]) -> bool:
        self._sending = await self._driver.connect_directly("enfila notify")
        if not self._may_listen():
            return False
        self._listening = await self._driver.connect_directly("enfila listen")
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._listening.execute(f'LISTEN "{channel}"')
        _ = self._tasks.spawn(self._receive(received), name="enfila notifications")
        return True

    async def _receive(self, received: Callable[[str], None]) -> None:
        try:
            # How it ended is of no interest: another line is made.
            with contextlib.suppress(Exception):
                async for notification in self._listening.notifies():
                    received(notification.payload)
        finally:
            self._lost.set()

    async def _notify(self, channel: str, payload: str) -> None:
        await self._sending.execute("select pg_notify(%s, %s)", (channel, payload))

    async def _pulse(self) -> None:
        await self._sending.execute("select 1")

    async def _disconnect(self) -> None:
        for connection in (self._listening, self._sending):
            if connection is not None:
                with contextlib.suppress(Exception):
                    await connection.close()
