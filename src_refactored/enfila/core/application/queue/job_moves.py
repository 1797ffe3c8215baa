"""Writing decided moves, and telling everyone concerned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.announcer import Place
from enfila.core.application.queue.announcing import events_of_move
from enfila.core.application.queue.audience import Audience
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition

Move = tuple[Job, Transition]
"""A job as it was read, and what it decided."""


class JobMoves:
    """Applies moves; after the commit it tells listeners, waiting callers and idle workers.

    Nothing is told of a move that was stale: that job is somebody else's by now.
    """

    def __init__(self, repository: IJobRepository, audience: Audience) -> None:
        self._repository = repository
        self._audience = audience

    async def apply(self, moves: Sequence[Move]) -> list[Job | None]:
        """Applies moves in one step; per move the job afterwards, None where it was stale."""
        if not moves:
            return []
        if any(
            move.target.is_final and job.id not in self._audience.holdings for job, move in moves
        ):
            self._audience.drained.arm()
        with self._audience.announcer.place(job.id for job, _ in moves) as place:
            written = await self._repository.apply([transition for _, transition in moves])
            after = [
                self._moved(job, transition, at, place)
                for (job, transition), at in zip(moves, written, strict=True)
            ]
        self._tell_those_who_wait(after)
        return after

    def _moved(
        self, job: Job, transition: Transition, at: datetime | None, place: Place
    ) -> Job | None:
        if transition.source is JobState.ACTIVE:
            self._audience.holdings.let_go(job.id, job.token)
        if at is None:
            return None
        emitter = self._audience.emitter
        if emitter.is_heard:
            for event in events_of_move(job, transition, at, emitter.has_listeners):
                place.tell(event)
        return job.after(transition, at)

    def _tell_those_who_wait(self, after: Sequence[Job | None]) -> None:
        hints: set[Hint] = set()
        for job in after:
            if job is None:
                continue
            if not job.state.is_final:
                hints.add(Hint.JOBS)
                continue
            hints.add(Hint.SETTLED)
            if job.options.deduplication:
                # Only a job with a key can have another one blocked behind it, which may run now.
                hints.add(Hint.JOBS)
            self._audience.waiter.settled(job)
        for hint in hints:
            self._audience.hint(hint)
        self._audience.drained.look_soon()
