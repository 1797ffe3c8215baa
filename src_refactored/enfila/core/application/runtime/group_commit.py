"""Writing together what arrives together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.errors import RepositoryUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class GroupCommit(Generic[Item, Answer]):
    """Gathers items while a write is under way and then writes all of them as one.

    An idle one writes at once, so nothing waits for a timer. `submit` returns after the commit.

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
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._tasks = OwnedTasks(to_the_end=True)
        # Not `bool(self._tasks)`: a task that has ended is in there until its callbacks are called,
        # and a caller that its last answer woke may submit again before that.
        self._is_writing = False

    async def submit(self, item: Item) -> Answer:
        """Stores one item; returns its answer once it is committed.

        A cancelled caller does not take its item back.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if not self._is_writing:
            self._is_writing = True
            _ = self._tasks.spawn(self._write_groups(), name=self._name)
        return await answer

    async def close(self) -> None:
        """Waits until everything that was submitted is written."""
        await self._tasks.wait()

    async def _write_groups(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                await self._write_group(group)
        finally:
            self._is_writing = False

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
