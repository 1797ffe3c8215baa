"""Tasks with an owner, so that none is forgotten and none is lost to the garbage collector."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class OwnedTasks:
    """The tasks of one service.

    Unlike an `asyncio.TaskGroup` one task's error does not end the others: it stays with whoever
    awaits that task. `close` is what keeps a service from leaving anything behind.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(
        self, coroutine: Coroutine[Any, Any, T], *, name: str, context: Context | None = None
    ) -> asyncio.Task[T]:
        """Starts a task that this owner keeps until it is done.

        It runs with the context variables of `context`, or with a copy of the caller's.
        """
        task = asyncio.get_running_loop().create_task(coroutine, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def run(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> T:
        """Runs a coroutine to its end even when the caller is cancelled while waiting for it."""
        return await asyncio.shield(self.spawn(coroutine, name=name))

    async def wait(self) -> None:
        """Waits until all tasks are done, whatever became of them."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def cancel(self) -> None:
        """Cancels all tasks and waits until they are done."""
        for task in list(self._tasks):
            task.cancel()
        await self.wait()

    def __len__(self) -> int:
        return len(self._tasks)
