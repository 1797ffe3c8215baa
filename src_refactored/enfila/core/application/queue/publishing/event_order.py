"""Telling listeners of jobs, each job's events in the order of its life."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from enfila.core.application.emitter import Emitter
from enfila.core.application.runtime.forks import ForkAware
from enfila.core.domain.events import JobEvent
from enfila.core.domain.job.identity import JobId


class EventOrder(ForkAware):
    """Tells events after their commit, and keeps those of one job in order.

    Commits are not heard of in the order in which they took place: a worker may hold a job before
    the answer to its `add` has come back. So whoever begins to write takes a turn for each of its
    jobs, as people take a number in an office, and what is told in a later turn waits until the
    earlier ones are over.

    Writers may be on several event loops. Whoever is telling then tells what others hand in
    meanwhile: no listener is called while a lock is held.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._lines: dict[JobId, deque[Turn]] = {}
        self._door = threading.Lock()
        self._untold: deque[JobEvent] = deque()
        self._telling = threading.Lock()

    def start_over(self) -> None:
        """See `ForkAware`."""
        self._lines, self._untold = {}, deque()
        self._door, self._telling = threading.Lock(), threading.Lock()

    def take_turn(self, job_ids: Iterable[JobId]) -> Turn:
        """The next turn of these jobs; to be entered before the write begins."""
        # Whom nobody hears need not wait for a turn; a line begun for others must be joined.
        if not self._emitter.has_job_listeners and not self._lines:
            job_ids = ()
        return Turn(self, tuple(job_ids))

    def publish(self, event: JobEvent) -> None:
        """Tells of something that was written before."""
        with self.take_turn((event.job_id,)) as turn:
            turn.publish(event)

    # ── for turns ────────────────────────────────────────────────────────────────────────────

    def tell(self, event: JobEvent) -> None:
        """Tells an event that waits for no turn."""
        self._emitter.publish(event)

    def join(self, turn: Turn) -> None:
        """Puts a turn into the line of each of its jobs."""
        with self._door:
            for job_id in turn.job_ids:
                self._lines.setdefault(job_id, deque()).append(turn)

    def leave(self, turn: Turn) -> None:
        """Ends a turn, and tells what waited for nothing else."""
        with self._door:
            turn.is_over = True
            for job_id in turn.job_ids:
                self._move_up(job_id)
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    self._emitter.publish(self._untold.popleft())
            finally:
                self._telling.release()

    def _move_up(self, job_id: JobId) -> None:
        line = self._lines.get(job_id)
        while line and line[0].is_over:
            self._untold.extend(line.popleft().events.pop(job_id, ()))
        if line is not None and not line:
            self._lines.pop(job_id, None)


class Turn:
    """A context for one write: the events that are handed in inside are told when it ends.

    Attributes:
        job_ids: the jobs in whose lines it stands.
        events: what was handed in and not told yet.
        is_over: whether the context was left.
    """

    __slots__ = ("_order", "events", "is_over", "job_ids")

    def __init__(self, order: EventOrder, job_ids: tuple[JobId, ...]) -> None:
        self._order = order
        self.job_ids = job_ids
        self.events: dict[JobId, list[JobEvent]] = {}
        self.is_over = False

    def publish(self, event: JobEvent) -> None:
        """Hands in an event of a job; it is told when the earlier turns of that job are over."""
        if self.job_ids:
            self.events.setdefault(event.job_id, []).append(event)
        else:
            self._order.tell(event)

    def begin(self) -> None:
        """Stands in line, behind those who write to the same jobs already."""
        if self.job_ids:
            self._order.join(self)

    def end(self) -> None:
        """Tells what was handed in, now or when the earlier turns are over."""
        if self.job_ids:
            self._order.leave(self)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
