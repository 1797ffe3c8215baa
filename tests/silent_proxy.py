"""A way to a server that can fall silent without a word, as a network does that drops packets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import URL


class SilentProxy:
    """Takes connections and passes on what is said, until it is told to be silent.

    Attributes:
        url: leads to the server, through it.
    """

    def __init__(self, server: URL) -> None:
        self._server: Final = server
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._always = asyncio.Event()
        self._always.set()
        self._newcomers = self._speaks
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = server

    def fall_silent(self) -> None:
        """From now on nothing is passed on, and nothing is closed."""
        self._speaks.clear()

    def forget_connections(self) -> None:
        """Nothing is passed on of the connections that there are; new ones are served."""
        self._newcomers = self._always
        self._speaks.clear()

    def speak_again(self) -> None:
        self._speaks.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = self._server.set(host="127.0.0.1", port=listening.sockets[0].getsockname()[1])
        try:
            yield
        finally:
            listening.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        speaks = self._newcomers
        with contextlib.suppress(OSError, asyncio.CancelledError):
            to_reader, to_writer = await asyncio.open_connection(
                self._server.host, self._server.port or 5432
            )
            try:
                await asyncio.gather(
                    _pass_on(reader, to_writer, speaks), _pass_on(to_reader, writer, speaks)
                )
            finally:
                to_writer.close()
        writer.close()
        self._tasks.discard(task)


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speaks: asyncio.Event
) -> None:
    while said := await reader.read(65_536):
        await speaks.wait()
        writer.write(said)
        await writer.drain()
    await speaks.wait()
    writer.close()
