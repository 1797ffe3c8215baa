"""Tasks with an owner, so that none is forgotten and none is lost to the garbage collector."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine
from contextvars import Context
from time import monotonic
from typing import Any, Final, TypeVar

T = TypeVar("T")


_run_to_the_end: Final[weakref.WeakSet[asyncio.Task[Any]]] = weakref.WeakSet()
"""Tasks that nobody cancels."""


class OwnedTasks:
    """The asyncio tasks of one service: none is garbage-collected, and all are ended with it.

    Unlike an `asyncio.TaskGroup` one task's error does not end the others: it stays with whoever
    awaits that task. `close` is what keeps a service from leaving anything behind.

    Args:
        to_the_end: nobody but the owner has its tasks, and it never cancels them.
    """

    def __init__(self, *, to_the_end: bool = False) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._to_the_end = to_the_end

    def spawn(
        self, coroutine: Coroutine[Any, Any, T], *, name: str, context: Context | None = None
    ) -> asyncio.Task[T]:
        """Starts a task that this owner keeps until it is done.

        It runs with the context variables of `context`, or with a copy of the caller's.
        """
        task = asyncio.get_running_loop().create_task(coroutine, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._to_the_end:
            _run_to_the_end.add(task)
        return task

    async def run(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> T:
        """Runs a coroutine to its end even when the caller is cancelled while waiting for it."""
        task = asyncio.current_task()
        if task is None or task not in _run_to_the_end:
            spawned = self.spawn(coroutine, name=name)
            try:
                return await asyncio.shield(spawned)
            except asyncio.CancelledError:
                # Nobody is left who would hear of its error.
                spawned.add_done_callback(_ignore_error)
                raise
        # A task inside a task that nobody cancels would only cost as much as a small statement.
        self._tasks.add(task)
        try:
            return await coroutine
        finally:
            self._tasks.discard(task)

    async def wait(self) -> None:
        """Waits until all tasks are done, whatever became of them."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def wait_for(self, seconds: float) -> bool:
        """Waits until all tasks are done, at most so long; whether they are."""
        ends = monotonic() + seconds
        while self._tasks:
            _, unfinished = await asyncio.wait(list(self._tasks), timeout=ends - monotonic())
            if unfinished:
                return False
        return True

    async def cancel(self) -> None:
        """Cancels all tasks and waits until they are done."""
        for task in list(self._tasks):
            task.cancel()
        await self.wait()

    def __len__(self) -> int:
        return len(self._tasks)


def _ignore_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        _ = task.exception()
