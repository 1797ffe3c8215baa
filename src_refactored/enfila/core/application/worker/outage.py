"""Going on while the database is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from enfila.core.application.runtime.outage_log import OUTAGES, OutageLog
from enfila.core.application.runtime.waiting import is_set_within
from enfila.core.domain.errors import AlreadyClosed, RepositoryUnavailable

T = TypeVar("T")

_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 5.0
_LONGEST_HURRIED_WAIT: Final = 0.2

ErrorReport = Callable[[BaseException, str], None]
"""Told of an error, and during what it came. Must not raise."""


class OutageWatch:
    """Repeats the database calls of a worker until the database takes them again.

    The waits grow from 0.1 s to 5 s, with jitter. An outage is reported once, by the part that
    meets it first; the first part that gets through wakes all the others.
    """

    def __init__(
        self,
        report: ErrorReport,
        *,
        random: Callable[[], float] = random.random,
        log: OutageLog = OUTAGES,
    ) -> None:
        self._report = report
        self._log = log
        self._random = random
        self._failing: dict[str, Exception] = {}
        self._woken = asyncio.Event()
        self._is_hurried = False

    async def keep_trying(
        self,
        during: str,
        call: Callable[[], Awaitable[T]],
        *,
        is_over: Callable[[], bool],
        errors: type[Exception] = RepositoryUnavailable,
    ) -> T | None:
        """Calls until it succeeds; None once `is_over` answers true after a failure.

        Args:
            during: what is being done, for the report.
            call: what is tried.
            is_over: whether to leave it at that.
            errors: what is endured; the rest, and that the queue is closed, is raised.
        """
        wait = _FIRST_WAIT
        while True:
            try:
                answer = await call()
            except AlreadyClosed:
                raise
            except errors as error:
                self.failed(during, error)
                if is_over():
                    self._gave_up(during)
                    return None
                await self._rest(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                self.succeeded(during)
                return answer

    def failed(self, during: str, error: Exception) -> None:
        """Notes a failure; reports it unless it belongs to an outage that was reported."""
        is_known = during in self._failing or (
            isinstance(error, RepositoryUnavailable)
            and any(isinstance(other, RepositoryUnavailable) for other in self._failing.values())
        )
        self._failing[during] = error
        self._log.failed((self, during), error, during)
        if not is_known:
            self._report(error, during)

    def succeeded(self, during: str) -> None:
        """Notes a success, which ends this part's share in an outage."""
        if self._failing and self._failing.pop(during, None) is not None:
            self._log.succeeded((self, during))
            self._wake()

    def close(self) -> None:
        """Ends the watch: what has not got through by now is nobody's concern any more."""
        for during in list(self._failing):
            self._gave_up(during)

    def _gave_up(self, during: str) -> None:
        del self._failing[during]
        self._log.gave_up((self, during))

    def hurry(self) -> None:
        """Ends the waits under way and keeps further ones short, for a worker that is closing."""
        self._is_hurried = True
        self._wake()

    def _wake(self) -> None:
        self._woken.set()
        self._woken = asyncio.Event()

    async def _rest(self, wait: float) -> None:
        longest = _LONGEST_HURRIED_WAIT if self._is_hurried else _LONGEST_WAIT
        jittered = min(wait, longest) * (1 - self._random() / 2)
        await is_set_within(self._woken, jittered)
