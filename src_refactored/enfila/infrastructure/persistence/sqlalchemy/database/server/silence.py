"""Noticing that a server has fallen silent: what is sent arrives nowhere, and nobody says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, Final, TypeVar

from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_driver import (
    CONNECT_SECONDS,
    STATEMENT_SECONDS,
)

T = TypeVar("T")

_SECONDS_BETWEEN_LOOKS: Final = 2.0
_SUSPICIOUS_SECONDS: Final = 10.0
_PATIENCE_AT_THE_END: Final = 2.0
_SECONDS_BETWEEN_LAST_LOOKS: Final = 0.25
_SECONDS_TO_FAIL: Final = 0.5
SHORT_WORK: Final = STATEMENT_SECONDS + 15.0
"""Seconds for work of one statement, after which the server has stopped it itself."""
LONG_WORK: Final = 3600.0
"""Seconds for a transaction, whose statements the server stops one by one."""


class Attempt:
    """One try of a piece of work: how far it came, and when it has to end.

    Attributes:
        may_be_committed: something was sent that commits.
        is_partly_committed: of several statements that commit one by one, the first was answered.
        is_given_up: nobody waits for its answer any more.
        touched: when it began, or got its last answer.
    """

    def __init__(self, longest: float) -> None:
        self.may_be_committed = False
        self.is_partly_committed = False
        self.is_given_up = False
        self.touched = monotonic()
        self.longest = longest
        self.limit = asyncio.timeout(None)


class SilenceWatch:
    """Watches over the attempts of one pool, and gives up those that a silent server holds.

    A statement may take long for good reasons, so its length alone says little. When one is under
    way for long, a new connection is tried: if that is answered, the statement is worked on.

    Args:
        is_answered: tries a new connection, for so many seconds at most.
        give_up: breaks all connections of the pool, without a word to the server.
    """

    def __init__(
        self,
        is_answered: Callable[[float], Awaitable[bool]],
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._is_answered = is_answered
        self._give_up = give_up
        self._attempts: set[Attempt] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._answered_at = float("-inf")
        self._is_over = False
        self._tasks = OwnedTasks()

    async def run(self, attempt: Attempt, work: Coroutine[Any, Any, T]) -> T:
        """Runs an attempt, which is ended if it is given up.

        Raises:
            TimeoutError: it was given up.
        """
        if self._is_over:
            work.close()
            attempt.is_given_up = True
            raise TimeoutError
        self._attempts.add(attempt)
        if self._timer is None:
            self._look_again()
        try:
            async with attempt.limit:
                return await work
        finally:
            self._attempts.discard(attempt)

    async def finish(self, work: OwnedTasks) -> None:
        """Waits for the end of all work, for as long as it is answered now and then."""
        began = monotonic()
        while not await work.wait_for(_SECONDS_BETWEEN_LAST_LOOKS):
            last = min((max(each.touched, began) for each in self._attempts), default=began)
            if monotonic() - last > _PATIENCE_AT_THE_END:
                self._is_over = True
                await self._break_off(list(self._attempts))
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.cancel()

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_SECONDS_BETWEEN_LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._attempts:
            return
        self._look_again()
        now = monotonic()
        since = max(min(each.touched for each in self._attempts), self._answered_at)
        if not self._tasks and now - since >= _SUSPICIOUS_SECONDS:
            _ = self._tasks.spawn(self._ask(), name="enfila asks a silent server")

    async def _ask(self) -> None:
        is_answered = await self._is_answered(CONNECT_SECONDS)
        now = monotonic()
        if is_answered:
            self._answered_at = now
            late = [each for each in self._attempts if now - each.touched > each.longest]
        else:
            late = [each for each in self._attempts if now - each.touched > _SUSPICIOUS_SECONDS]
        if late:
            await self._break_off(late)

    async def _break_off(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            attempt.is_given_up = True
        await self._give_up()
        await asyncio.sleep(_SECONDS_TO_FAIL)
        # Those that were still connecting have no connection that could be broken.
        now = asyncio.get_running_loop().time()
        for attempt in self._attempts.intersection(attempts):
            attempt.limit.reschedule(now)
