"""Writing together what arrives together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from enfila.core.application.runtime.per_loop import PerLoop
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.errors import RepositoryUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class _Line(Generic[Item, Answer]):
    """What waits on one event loop.

    Attributes:
        is_writing: whether a task writes. It is asked for this and not for the tasks: one that has
            ended is among them until its callbacks are called, and a caller that its last answer
            woke may submit again before that.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self.is_writing = False


class GroupCommit(Generic[Item, Answer]):
    """Gathers items while a write is under way and then writes all of them as one.

    An idle one writes at once, so nothing waits for a timer. `submit` returns after the commit.
    Each event loop has a line of its own: its callers' futures can be answered there alone.

    Args:
        write: stores a group in one atomic step; its answers stand in the order of the items.
        limit: at most so many items in one group.
        name: for the names of its tasks.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        limit: int,
        name: str,
    ) -> None:
        self._write = write
        self._limit = limit
        self._name = name
        self._lines: PerLoop[_Line[Item, Answer]] = PerLoop(_Line)
        self._tasks = OwnedTasks(to_the_end=True)

    async def submit(self, item: Item) -> Answer:
        """Stores one item; returns its answer once it is committed.

        A cancelled caller does not take its item back.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        line = self._lines.here()
        line.waiting.append((item, answer))
        if not line.is_writing:
            line.is_writing = True
            _ = self._tasks.spawn(self._write_groups(line), name=self._name)
        return await answer

    async def close(self) -> None:
        """Waits until everything that was submitted is written."""
        await self._tasks.wait()

    async def _write_groups(self, line: _Line[Item, Answer]) -> None:
        try:
            while line.waiting:
                group, line.waiting = line.waiting[: self._limit], line.waiting[self._limit :]
                await self._write_group(group)
        finally:
            line.is_writing = False

    async def _write_group(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._write([item for item, _ in group])
        except RepositoryUnavailable as error:
            _refuse(group, error)
        except Exception as error:  # noqa: BLE001 - each caller gets what concerns it
            if len(group) == 1:
                _refuse(group, error)
            else:
                # One bad item must not fail its neighbours: each gets a write, and a fault, of
                # its own.
                for single in group:
                    await self._write_group([single])
        else:
            for (_, future), answer in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _refuse(group: list[tuple[Item, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
