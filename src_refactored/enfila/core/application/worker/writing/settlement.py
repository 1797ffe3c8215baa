"""Writing how runs ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.queue.claims.outcome_writer import ended
from enfila.core.application.runtime.waiting import is_set_within
from enfila.core.application.system_clock import SystemClock
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.application.worker.running.run import ClaimedRuns, Run, Stage
from enfila.core.domain.errors import AlreadyClosed, RepositoryUnavailable
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.outcome import Failed, Outcome

_MOST_IN_ONE_STATEMENT: Final = 1_000
_DURING: Final = "writing outcomes"


class Settlement:
    """Group commit of outcomes: one write is under way, what ends meanwhile shares the next.

    Every write is fenced by its job's lock token, so it is tried again until the database has
    answered, even when the lock has run out: either the job is still this worker's, or the answer
    is that it is stale. The writes run in tasks of their own, so nobody who cancels a worker cuts
    a write in the middle.

    Args:
        on_written: told of runs whose outcome was answered, with their jobs afterwards; None where
            it was stale.
        on_room: told when there is room again.

    Attributes:
        limit: when so many outcomes are not written, nothing new should be started.
        has_given_up: it writes nothing any more.
    """

    def __init__(
        self,
        queue: AnySource,
        claimed: ClaimedRuns,
        outages: OutageWatch,
        *,
        limit: int,
        on_written: Callable[[Sequence[Run], Sequence[Job | None]], None],
        on_room: Callable[[], None],
    ) -> None:
        self.limit = limit
        self._outcomes = queue.outcomes
        self._claimed = claimed
        self._outages = outages
        self._on_written = on_written
        self._on_room = on_room
        self._waiting: deque[Run] = deque()
        self._unsettled = 0
        self._arrived = asyncio.Event()
        self._all_written = asyncio.Event()
        self._all_written.set()
        self.has_given_up = False

    @property
    def is_full(self) -> bool:
        """Whether the database is so far behind that nothing new should be started."""
        return self._unsettled >= self.limit

    @property
    def unsettled(self) -> int:
        """How many outcomes are not written yet."""
        return self._unsettled

    def hand_over(self, run: Run, outcome: Outcome | None) -> None:
        """Takes the outcome of a run; None drops the run, because it is nobody's any more."""
        run.stage = Stage.ENDED
        if outcome is None:
            self._claimed.let_go(run)
            return
        run.outcome = outcome
        self._unsettled += 1
        self._all_written.clear()
        if not run.unstored:
            self._enqueue(run)

    def progress_stored(self, run: Run) -> None:
        """Notes that the last word of a run is stored, which its outcome may have waited for."""
        if run.stage is Stage.ENDED and run.outcome is not None and run in self._claimed:
            self._enqueue(run)

    async def run(self) -> None:
        """Writes what is handed over, until it has given up."""
        while not self.has_given_up:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting and not self.has_given_up:
                size = min(len(self._waiting), _MOST_IN_ONE_STATEMENT)
                await self._write([self._waiting.popleft() for _ in range(size)])

    async def flush(self, patience: float) -> bool:
        """Waits until everything is written, at most so many seconds; whether it was."""
        return await is_set_within(self._all_written, patience)

    def give_up(self) -> None:
        """Stops trying. Jobs whose outcomes are not written are recovered as stalled ones."""
        self.has_given_up = True
        self._arrived.set()

    def _enqueue(self, run: Run) -> None:
        self._waiting.append(run)
        self._arrived.set()

    # ── one group ────────────────────────────────────────────────────────────────────────────

    async def _write(self, group: list[Run]) -> None:
        try:
            answers = await self._answers(group)
        except AlreadyClosed:
            raise
        except Exception as error:  # noqa: BLE001 - one outcome that cannot be stored, for whatever reason, must not hold up the others
            await self._write_each(group, error)
        else:
            if answers is not None:
                self._written(group, answers)

    async def _write_each(self, group: list[Run], error: Exception) -> None:
        if len(group) > 1:
            for run in group:
                await self._write([run])
            return
        [run] = group
        self._outages.failed(_DURING, error)
        if run.is_refused:
            self._written(group, [None])
            return
        run.is_refused = True
        run.outcome = Failed(JobError.of(error), is_recoverable=False)
        await self._write(group)

    async def _answers(self, group: list[Run]) -> list[Job | None] | None:
        outcomes = [(run.job, run.outcome) for run in group if run.outcome is not None]
        is_uncertain = False

        async def settle() -> list[Job | None]:
            nonlocal is_uncertain
            try:
                return await self._outcomes.settle(outcomes)
            except RepositoryUnavailable as error:
                is_uncertain = is_uncertain or error.uncertain
                raise

        answers = await self._outages.keep_trying(
            _DURING, settle, is_over=lambda: self.has_given_up
        )
        if answers is not None and is_uncertain:
            return [
                await self._as_written_before(run) if answer is None else answer
                for run, answer in zip(group, answers, strict=True)
            ]
        return answers

    async def _as_written_before(self, run: Run) -> Job | None:
        """The job, if an earlier try whose answer was lost did write this outcome."""
        job = await self._outages.keep_trying(
            _DURING, lambda: self._outcomes.find(run.job.id), is_over=lambda: self.has_given_up
        )
        if run.outcome is None:
            return None
        transition = ended(run.job, run.outcome)
        if job is None:
            return run.job.after(transition, SystemClock().now()) if transition.removes else None
        return job if transition.is_reached_by(job) else None

    def _written(self, group: Sequence[Run], answers: Sequence[Job | None]) -> None:
        was_full = self.is_full
        for run in group:
            self._claimed.let_go(run)
        self._unsettled -= len(group)
        if not self._unsettled:
            self._all_written.set()
        self._on_written(group, answers)
        if was_full:
            self._on_room()
