"""Tasks with an owner, so that none is forgotten and none is lost to the garbage collector."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context
from time import monotonic
from typing import Any, Final, TypeVar

from enfila.core.application.runtime.forks import ForkAware
from enfila.core.application.runtime.per_loop import call_on

T = TypeVar("T")

_SECONDS_BETWEEN_LOOKS: Final = 0.01

_run_to_the_end: Final[weakref.WeakSet[asyncio.Task[Any]]] = weakref.WeakSet()
"""Tasks that nobody cancels."""
_in_background: Final[weakref.WeakSet[asyncio.Task[Any]]] = weakref.WeakSet()
"""Tasks that go on for as long as their loop does."""


class OwnedTasks(ForkAware):
    """The asyncio tasks of one service: none is garbage-collected, and all are ended with it.

    Unlike an `asyncio.TaskGroup` one task's error does not end the others: it stays with whoever
    awaits that task. `close` is what keeps a service from leaving anything behind.

    A service may be used on several event loops. Each task runs on the loop on which it was
    spawned; one whose loop runs no more will never end, and nobody waits for it.

    Args:
        to_the_end: nobody but the owner has its tasks, and it never cancels them.
        in_background: a loop that ends need not wait for them.
    """

    def __init__(self, *, to_the_end: bool = False, in_background: bool = False) -> None:
        self._in_background = in_background
        self._tasks: set[asyncio.Task[Any]] = set()
        self._to_the_end = to_the_end

    def start_over(self) -> None:
        """See `ForkAware`."""
        self._tasks = set()

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
        if self._in_background:
            _in_background.add(task)
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
        while left := self._alive():
            await until_done(left)

    def ask_to_end(self) -> None:
        """Cancels all tasks, and does not wait for their end."""
        for task in self._alive():
            call_on(task.get_loop(), task.cancel)

    async def wait_for(self, seconds: float) -> bool:
        """Waits until all tasks are done, at most so long; whether they are."""
        ends = monotonic() + seconds
        while left := self._alive():
            if monotonic() >= ends:
                return False
            await until_done(left, timeout=ends - monotonic())
        return True

    async def cancel(self) -> None:
        """Cancels all tasks and waits until they are done."""
        self.ask_to_end()
        await self.wait()

    def _alive(self) -> list[asyncio.Task[Any]]:
        return [task for task in list(self._tasks) if _may_end(task)]

    def __len__(self) -> int:
        return sum(not task.get_loop().is_closed() for task in list(self._tasks))


async def until_done(tasks: Iterable[asyncio.Future[Any]], timeout: float | None = None) -> None:
    """Waits for tasks of any loops, at most so many seconds; not for those that can never end."""
    here, given = asyncio.get_running_loop(), list(tasks)
    ends = None if timeout is None else here.time() + timeout
    while left := [task for task in given if _may_end(task)]:
        patience = None if ends is None else ends - here.time()
        if patience is not None and patience <= 0:
            return
        own = [task for task in left if task.get_loop() is here]
        if len(own) == len(left):
            await asyncio.wait(own, timeout=patience)
        else:
            # Another loop may be stopped at any moment, and then nothing would tell of it.
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)


async def end_all_here() -> None:
    """Waits for all other tasks of the running loop, which is about to end.

    Those that go on for as long as it does are cancelled then.
    """
    me = asyncio.current_task()
    while left := asyncio.all_tasks() - {me}:
        waited_for = [task for task in left if task not in _in_background]
        if not waited_for:
            for task in left:
                _ = task.cancel()
        await asyncio.wait(waited_for or left)


async def run_on(
    loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Runs something on another loop and waits for its end, or for that of the loop."""
    running = asyncio.run_coroutine_threadsafe(work(), loop)
    while not running.done() and loop.is_running():  # noqa: ASYNC110 - as in `until_done`
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
    if running.done() and not running.cancelled():
        running.result()


def _may_end(task: asyncio.Future[Any]) -> bool:
    return not task.done() and task.get_loop().is_running()


def _ignore_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        _ = task.exception()
