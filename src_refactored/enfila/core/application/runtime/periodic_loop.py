"""The one loop skeleton: something that is done again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from enfila.core.application.runtime.forks import ForkAware
from enfila.core.application.runtime.outage_log import OUTAGES
from enfila.core.application.runtime.per_loop import call_on
from enfila.core.application.runtime.tasks import OwnedTasks

_JITTER = 0.1
"""The share of an interval that is left to chance, so that many processes don't march in step."""


class PeriodicLoop(ForkAware):
    """Service: runs a step at once, then after each interval, until it is stopped.

    A step that answers True has more to do and is called again without a wait. A step that raises
    is reported, and the loop goes on after the interval.

    Args:
        step: one piece of work, a statement or two: `stop` waits for its end.
        interval: the longest wait between two steps; asked anew each time, so that it may change.
        report: told of what a step raised; must not raise.
        name: the name of its task.
        random: a random number in [0, 1) for the jitter: a wait is up to a tenth shorter.
        patience: how long `stop` waits for a step under way before it cancels it. A statement goes
            on then to its end, for which those who close the database wait.
    """

    def __init__(
        self,
        step: Callable[[], Awaitable[bool]],
        *,
        interval: Callable[[], timedelta],
        report: Callable[[Exception], None],
        name: str,
        random: Callable[[], float] = random.random,
        patience: timedelta = timedelta(seconds=1),
    ) -> None:
        self._step = step
        self._interval = interval
        self._report = report
        self._name = name
        self._random = random
        self._patience = patience
        self._tasks = OwnedTasks()
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._is_failing = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start_over(self) -> None:
        """See `ForkAware`. It runs no more until it is started."""
        self._loop = None
        self._is_failing = False

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return len(self._tasks) > 0

    def start(self) -> None:
        """Begins, on the running event loop. A loop that runs already is left as it is."""
        if not self.is_running:
            self._is_stopping = False
            # A fresh event: the old one belongs to the event loop it was waited for on.
            self._woken = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            _ = self._tasks.spawn(self._run(), name=self._name)

    def wake(self) -> None:
        """Ends the current wait, so that a step is done soon. May be called on any loop."""
        if self._loop is not None:
            call_on(self._loop, self._woken.set)

    async def stop(self) -> None:
        """Ends after the step under way, which is cancelled if it takes too long. Idempotent."""
        self._is_stopping = True
        OUTAGES.gave_up(self)
        self.wake()
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                await self._tasks.wait()
        except TimeoutError:
            await self._tasks.cancel()

    async def _run(self) -> None:
        while not self._is_stopping:
            self._woken.clear()
            if not await self._do_step():
                await self._rest()

    async def _do_step(self) -> bool:
        try:
            has_more = await self._step()
        except Exception as error:  # noqa: BLE001 - one failed step must not end what comes after it
            OUTAGES.failed(self, error, self._name)
            self._is_failing = True
            self._report(error)
            return False
        if self._is_failing:
            self._is_failing = False
            OUTAGES.succeeded(self)
        return has_more

    async def _rest(self) -> None:
        wait = self._interval().total_seconds() * (1 - _JITTER * self._random())
        try:
            async with asyncio.timeout(wait):
                await self._woken.wait()
        except TimeoutError:
            return
