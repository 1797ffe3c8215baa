"""Keeping the locks of a worker, and hearing who asks for a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Final

from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.runtime.waiting import is_set_within
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.application.worker.running.interrupter import Interrupter
from enfila.core.application.worker.running.run import Cause, ClaimedRuns, Interruption, Run, Stage
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.running.lock import Extension, Lock

_DURING: Final = "renewing locks"
_SHORTEST_INTERVAL: Final = 0.05
"""Seconds between two renewals, however many hints arrive."""
_SHARE_OF_A_TRY: Final = 4
_SHORTEST_TRY: Final = 1.0
"""Seconds in which a renewal must be answered; else there is time for another before the end."""


class LockRenewal:
    """Renews all locks in one statement, at intervals and when something may have been cancelled.

    A lock that could not be renewed until its own end is treated as lost, for another worker may
    have the job by then.

    Args:
        on_lost: told of each run that turns out to be another's, or may be.
    """

    def __init__(
        self,
        queue: AnySource,
        claimed: ClaimedRuns,
        options: WorkerOptions,
        outages: OutageWatch,
        interrupter: Interrupter,
        *,
        on_lost: Callable[[Run], None],
    ) -> None:
        self._queue = queue
        self._outcomes = queue.outcomes
        self._claimed = claimed
        self._length = options.lock_length
        self._interval = options.renewal_interval.total_seconds()
        seconds = options.lock_length.total_seconds()
        self._longest_try = max(seconds / _SHARE_OF_A_TRY, _SHORTEST_TRY)
        self._outages = outages
        self._interrupter = interrupter
        self._on_lost = on_lost
        self._stopped = asyncio.Event()

    async def renew(self) -> None:
        """Renews until it is stopped."""
        control = self._queue.listen(Hint.CONTROL)
        try:
            while not self._stopped.is_set():
                _ = await is_set_within(control, self._interval)
                control.clear()
                await self._outages.keep_trying(
                    _DURING, self._renew_all, is_over=self._stopped.is_set, errors=Exception
                )
                _ = await is_set_within(self._stopped, _SHORTEST_INTERVAL)
        finally:
            self._queue.ignore(Hint.CONTROL, control)

    async def watch(self) -> None:
        """Looks for locks that have run out, until it is stopped."""
        while not self._stopped.is_set():
            self._lapse(monotonic())
            # No lock is ever taken or extended for less than the usual length.
            next_end = min(
                (run.lock_ends for run in self._claimed if _may_lapse(run)),
                default=monotonic() + self._length.total_seconds(),
            )
            _ = await is_set_within(self._stopped, max(next_end - monotonic(), 0.001))

    def stop(self) -> None:
        """Ends both."""
        self._stopped.set()

    async def extend(self, run: Run, length: timedelta) -> bool:
        """Extends one lock for its run, never for less than the usual; whether it holds."""
        lock, asked_at = run.job.lock, monotonic()
        if lock is None or run.is_lost or run.stage is not Stage.RUNNING:
            return False
        length = max(length, self._length)
        [extension] = await self._outcomes.extend_locks([lock], length)
        self._hear(run, extension, asked_at + length.total_seconds())
        return extension.is_held

    def lose(self, run: Run, cause: Cause) -> None:
        """Stops a run that another worker has, or may have."""
        if not run.is_lock_over:
            run.is_lock_over = True
            self._on_lost(run)
        reason = "the lock could not be renewed in time"
        if cause is Cause.LOCK_LOST:
            reason = "another worker took the job over"
        self._interrupter.interrupt(run, Interruption(cause, reason))

    async def _renew_all(self) -> None:
        asked_at = monotonic()
        usual_end = asked_at + self._length.total_seconds()
        usual: list[tuple[Run, Lock]] = []
        longer: list[tuple[Run, Lock]] = []
        for run in self._claimed:
            if (lock := run.job.lock) is not None and not run.is_lost:
                (usual if run.lock_ends <= usual_end else longer).append((run, lock))
        if usual:
            await self._extend(usual, self._length, asked_at)
        for run, lock in longer:
            # What a handler asked for must not be cut short.
            await self._extend([(run, lock)], timedelta(seconds=run.lock_ends - asked_at), asked_at)

    async def _extend(
        self, locked: list[tuple[Run, Lock]], length: timedelta, asked_at: float
    ) -> None:
        try:
            async with asyncio.timeout(self._longest_try):
                extensions = await self._outcomes.extend_locks([lock for _, lock in locked], length)
        except TimeoutError as error:
            # On a path that is dead nobody answers; the next try takes another connection.
            reason = f"there was no answer within {self._longest_try:g} s"
            raise RepositoryUnavailable(self._queue.name, reason, uncertain=True) from error
        for (run, _), extension in zip(locked, extensions, strict=True):
            self._hear(run, extension, asked_at + length.total_seconds())

    def _hear(self, run: Run, extension: Extension, lock_ends: float) -> None:
        if extension.is_held:
            run.lock_ends = max(run.lock_ends, lock_ends)
            if extension.cancel_requested:
                reason = extension.cancel_reason or "cancelled by request"
                self._interrupter.interrupt(run, Interruption(Cause.REQUESTED, reason))
        elif run in self._claimed and run.stage is not Stage.ENDED:
            # An ended one may be written already, and then its lock is gone for a good reason.
            self.lose(run, Cause.LOCK_LOST)

    def _lapse(self, now: float) -> None:
        for run in self._claimed:
            if run.lock_ends <= now and _may_lapse(run):
                self.lose(run, Cause.LOCK_LAPSED)


def _may_lapse(run: Run) -> bool:
    return run.stage is not Stage.ENDED and not run.is_lock_over
