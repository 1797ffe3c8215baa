"""Event loops in threads of their own, for tests of what several loops share."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

DEADLINE = 30.0


class LoopInThread:
    """A context in which another event loop runs in a thread of its own, under `asyncio.run`."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._begun = threading.Event()
        self._over: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._until_over()), daemon=True)

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The answer of a coroutine that runs on that loop, awaited on this one."""
        async with asyncio.timeout(DEADLINE):
            return await asyncio.wrap_future(self.submit(coroutine))

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts a coroutine there; the future of its answer."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._begun.wait(DEADLINE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    async def _until_over(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._begun.set()
        await self._over.wait()


async def in_a_passing_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """The answer of a coroutine on a loop that comes and goes with it."""
    async with asyncio.timeout(DEADLINE):
        return await asyncio.to_thread(asyncio.run, coroutine)
