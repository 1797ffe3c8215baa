"""Fetching jobs: as many as there is room for, and no more than are soon run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Final

from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.claims.idle_looks import idle_look
from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.runtime.waiting import is_set_within
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.application.worker.runners import Runners
from enfila.core.application.worker.running.run import ClaimedRuns
from enfila.core.application.worker.throughput import Throughput
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.writing.settlement import Settlement
from enfila.core.domain.duration import duration
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.job.job import Job

_CLAIMING: Final = "fetching jobs"
_ASKING: Final = "asking for the next due job"
_QUIET: Final = 0.01
"""Seconds without a hint before it is asked when the next delayed job is due."""
_SHORTEST_SLEEP: Final = 0.01
_JITTER: Final = 0.1
_LONGEST_STRETCH: Final = 16
"""Poll intervals between two looks of a worker that has been idle for long, and hears of others."""
LONGEST_HOLD: Final = 1.0
"""Seconds that a job may be held without a slot, until it is given back for other workers."""


class Intake:
    """Fetches jobs for a worker, one statement at a time, while others run and are settled.

    Asked for are the free slots and as many as the worker gets through in about 100 ms, so that
    few slots too are fed by large claims and no job is kept from an idle worker. After a claim that
    brought less than was asked for, the next one waits for a hint, for the next job that is due, or
    for the poll interval, whichever is first. While hints of other processes arrive, an idle worker
    polls more and more seldom, and one of those in a process looks for all.

    Args:
        names: only jobs with these names; None for all.
        random: random numbers in [0, 1), for the jitter.

    Attributes:
        ended: set when nothing more will be fetched, after a claim under way at the stop.
    """

    def __init__(
        self,
        queue: AnySource,
        claimed: ClaimedRuns,
        runners: Runners,
        settlement: Settlement,
        options: WorkerOptions,
        *,
        outages: OutageWatch,
        worker_id: WorkerId,
        names: frozenset[str] | None,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._worker_id = worker_id
        self._claimed = claimed
        self._runners = runners
        self._settlement = settlement
        self._lock_length = options.lock_length
        self._poll = duration("poll_interval", options.poll_interval).total_seconds()
        self._prefetch = options.prefetch
        self._outages = outages
        self._names = names
        self._random = random
        self._throughput = Throughput()
        self._look = asyncio.Event()
        self._shared = idle_look(queue, names)
        self._idle_looks = 0
        self._slept = 0.0
        self._is_drained = False
        self._is_paused = False
        self._is_stopped = False
        self._missed = 0
        self.ended = asyncio.Event()

    @property
    def is_paused(self) -> bool:
        """Whether this worker takes no jobs for the time being."""
        return self._is_paused

    def pause(self) -> None:
        """Takes nothing more until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Takes jobs again."""
        self._is_paused = False
        self._is_drained = False
        self._look.set()

    def stop(self) -> None:
        """Takes nothing more; a claim under way is waited for, and given back."""
        self._is_stopped = True
        self._look.set()

    def notice_room(self) -> None:
        """Notes that there may be room; of interest only while there may be jobs."""
        if not self._is_drained:
            self._look.set()

    async def run(self) -> None:
        """Fetches until it is stopped."""
        self._look = self._queue.listen(Hint.JOBS)
        try:
            while not self._is_stopped:
                if self._is_drained:
                    await self._sleep()
                elif self._wanted():
                    await self._claim()
                else:
                    await self._wait_for_room()
                self._give_back_overdue()
        finally:
            self._queue.ignore(Hint.JOBS, self._look)
            self.ended.set()

    # ── how many ─────────────────────────────────────────────────────────────────────────────

    def _wanted(self) -> int:
        if self._is_stopped or self._is_paused or self._settlement.is_full:
            return 0
        ahead = self._ahead()
        self._runners.low_water = ahead // 2
        beyond = self._runners.busy + len(self._claimed.ready) - self._runners.concurrency
        # Half is left when the next claim begins, so that it overlaps with running and settling.
        if beyond < 0 or (ahead and beyond <= ahead // 2):
            return ahead - beyond
        return 0

    def _ahead(self) -> int:
        if self._prefetch is not None:
            return self._prefetch
        self._throughput.observe(monotonic(), self._runners.ended)
        return self._throughput.worth_holding

    # ── one claim ────────────────────────────────────────────────────────────────────────────

    async def _claim(self) -> None:
        await self._outages.keep_trying(
            _CLAIMING, self._fetch, is_over=lambda: self._is_stopped, errors=Exception
        )

    async def _fetch(self) -> None:
        # Asked anew at each try, because much may have changed in an outage.
        wanted = self._wanted()
        if not wanted:
            return
        if self._was_looked_for():
            self._is_drained = True
            return
        self._look.clear()
        asked_at = monotonic()
        jobs = await self._queue.fetch_jobs_and_lock(
            self._worker_id, wanted, self._lock_length, names=self._names
        )
        self._is_drained = len(jobs) < wanted
        if jobs:
            self._shared.forget()
            self._idle_looks = 0
        if self._is_drained:
            self._shared.empty_at = asked_at
        self._take(jobs, asked_at)

    def _was_looked_for(self) -> bool:
        """Whether another worker of this process has looked while this one slept undisturbed."""
        seen = self._shared.empty_at
        return (
            bool(self._slept)
            and self._queue.hears_others
            and seen is not None
            and monotonic() - seen < self._slept
        )

    def _take(self, jobs: list[Job], asked_at: float) -> None:
        self._claimed.take(jobs, monotonic(), asked_at + self._lock_length.total_seconds())
        if self._is_stopped or self._is_paused:
            self._runners.give_back()
        else:
            self._runners.dispatch()

    def _give_back_overdue(self) -> None:
        """Gives back what waits for slots that turned out to be slow."""
        if self._until_overdue() <= 0 and self._prefetch is None and not self._settlement.is_full:
            self._runners.give_back()

    def _until_overdue(self) -> float:
        """Seconds until the oldest ready job has been held for too long."""
        if not self._claimed.ready:
            return LONGEST_HOLD
        return self._claimed.ready[0].claimed_at + LONGEST_HOLD - monotonic()

    # ── waiting ──────────────────────────────────────────────────────────────────────────────

    async def _wait_for_room(self) -> None:
        self._look.clear()
        if self._claimed.ready and self._prefetch is None:
            _ = await is_set_within(self._look, max(self._until_overdue(), 0))
        else:
            await self._look.wait()

    async def _sleep(self) -> None:
        if not self._runners.busy:
            self._throughput.rest()
        # Under a light load another hint comes at once, and then the question would be for nothing.
        self._slept = 0.0
        is_told = await is_set_within(self._look, _QUIET)
        if not is_told:
            seconds = await self._until_next_look()
            if self._claimed.ready:
                seconds = min(seconds, max(self._until_overdue(), 0))
            is_told = await is_set_within(self._look, seconds)
            self._slept = 0.0 if is_told else seconds
        if is_told:
            self._shared.forget()
            self._idle_looks = 0
        else:
            self._idle_looks += 1
        self._is_drained = False

    async def _until_next_look(self) -> float:
        poll = self._poll * (1 - _JITTER + 2 * _JITTER * self._random())
        if self._queue.hears_others:
            poll *= min(2**self._idle_looks, _LONGEST_STRETCH)
        due = await self._next_due()
        if due is None:
            return poll
        return min(poll, self._until_due(due.total_seconds()))

    async def _next_due(self) -> timedelta | None:
        if self._queue.hears_others and self._shared.knows_due:
            return self._shared.until_due
        due = await self._outages.keep_trying(
            _ASKING,
            self._queue.until_next_due,
            is_over=lambda: self._is_stopped,
            errors=Exception,
        )
        if due is None or due.total_seconds() > 0:
            self._shared.note_due(due)
        return due

    def _until_due(self, seconds: float) -> float:
        if seconds > 0:
            self._missed = 0
            return max(seconds, _SHORTEST_SLEEP / 10)
        # Due, and yet the claim did not bring it: the queue is paused, another worker has it, or
        # its name is not ours. Asking again at once would spin.
        wait = _SHORTEST_SLEEP * float(2 ** min(self._missed, 10))
        self._missed += 1
        return wait
