"""A connection for notifications, over the driver that is in use."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.engine import URL

from enfila.core.application.tasks import OwnedTasks

_CONNECT_SECONDS: Final = 10
_SECONDS_BETWEEN_PULSES: Final = 30


class NotificationLine(ABC):
    """One connection that receives and sends notifications."""

    @abstractmethod
    async def open(self, channel: str, received: Callable[[str], None]) -> None:
        """Connects and listens; `received` gets the payload of each notification."""

    @abstractmethod
    async def send(self, channel: str, payload: str) -> None:
        """Notifies everybody who listens, at once."""

    @abstractmethod
    async def wait_until_lost(self) -> None:
        """Returns when the connection is gone."""

    @abstractmethod
    async def close(self) -> None:
        """Ends it without waiting for a server that does not answer."""


def make_line(url: URL) -> NotificationLine:
    """The line for the driver that the URL names."""
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return _PsycopgLine(address) if url.get_driver_name() == "psycopg" else _AsyncpgLine(address)


class _AsyncpgLine(NotificationLine):
    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Any = None
        self._lost = asyncio.Event()
        # A connection of asyncpg's refuses a second statement while one is under way.
        self._in_use = asyncio.Lock()

    async def open(self, channel: str, received: Callable[[str], None]) -> None:
        import asyncpg  # noqa: PLC0415 - only where it is installed

        self._connection = await asyncpg.connect(  # type: ignore[no-untyped-call]
            self._address,
            timeout=_CONNECT_SECONDS,
            command_timeout=_CONNECT_SECONDS,
            server_settings={"application_name": "enfila listen"},
        )
        self._connection.add_termination_listener(lambda _connection: self._lost.set())
        await self._connection.add_listener(
            channel, lambda _connection, _pid, _channel, payload: received(payload)
        )

    async def send(self, channel: str, payload: str) -> None:
        async with self._in_use:
            await self._connection.execute("select pg_notify($1, $2)", channel, payload)

    async def wait_until_lost(self) -> None:
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_BETWEEN_PULSES):
                    await self._lost.wait()
            if not self._lost.is_set():
                # A path that died silently shows only when something is asked of it.
                async with self._in_use:
                    await self._connection.fetchval("select 1")

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


class _PsycopgLine(NotificationLine):
    """Two connections, since one that waits for notifications cannot send."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._listening: Any = None
        self._sending: Any = None
        self._tasks = OwnedTasks()
        self._lost = asyncio.Event()

    async def open(self, channel: str, received: Callable[[str], None]) -> None:
        self._listening = await self._connect("enfila listen")
        self._sending = await self._connect("enfila notify")
        await self._listening.execute(f'LISTEN "{channel}"')
        _ = self._tasks.spawn(self._receive(received), name="enfila notifications")

    async def _connect(self, name: str) -> Any:  # noqa: ANN401 - the driver may not be installed
        from psycopg import AsyncConnection  # noqa: PLC0415 - only where it is installed

        return await AsyncConnection.connect(
            self._address,
            autocommit=True,
            application_name=name,
            connect_timeout=_CONNECT_SECONDS,
        )

    async def _receive(self, received: Callable[[str], None]) -> None:
        try:
            async for notification in self._listening.notifies():
                received(notification.payload)
        finally:
            self._lost.set()

    async def send(self, channel: str, payload: str) -> None:
        await self._sending.execute("select pg_notify(%s, %s)", (channel, payload))

    async def wait_until_lost(self) -> None:
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS_BETWEEN_PULSES):
                    await self._lost.wait()
            if not self._lost.is_set():
                await self._sending.execute("select 1")

    async def close(self) -> None:
        await self._tasks.cancel()
        for connection in (self._listening, self._sending):
            if connection is not None:
                with contextlib.suppress(Exception):
                    await connection.close()
