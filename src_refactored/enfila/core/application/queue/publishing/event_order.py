"""Telling listeners of jobs, each job's events in the order of its life."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from enfila.core.application.emitter import Emitter
from enfila.core.domain.events import JobEvent
from enfila.core.domain.job.identity import JobId


class EventOrder:
    """Tells events after their commit, and keeps those of one job in order.

    Commits are not heard of in the order in which they took place: a worker may hold a job before
    the answer to its `add` has come back. So whoever begins to write takes a turn for each of its
    jobs, as people take a number in an office, and what is told in a later turn waits until the
    earlier ones are over.

    Not safe for use from several threads at a time.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._lines: dict[JobId, deque[Turn]] = {}

    def take_turn(self, job_ids: Iterable[JobId]) -> Turn:
        """The next turn of these jobs; to be entered before the write begins."""
        # Whom nobody hears need not wait for a turn; a line begun for others must be joined.
        if not self._emitter.has_job_listeners and not self._lines:
            job_ids = ()
        return Turn(self._emitter, self._lines, tuple(job_ids))

    def publish(self, event: JobEvent) -> None:
        """Tells of something that was written before."""
        with self.take_turn((event.job_id,)) as turn:
            turn.publish(event)


class Turn:
    """A context for one write: the events that are handed in inside are told when it ends.

    Attributes:
        events: what was handed in and not told yet.
        is_over: whether the context was left.
    """

    __slots__ = ("_emitter", "_job_ids", "_lines", "events", "is_over")

    def __init__(
        self, emitter: Emitter, lines: dict[JobId, deque[Turn]], job_ids: tuple[JobId, ...]
    ) -> None:
        self._emitter = emitter
        self._lines = lines
        self._job_ids = job_ids
        self.events: dict[JobId, list[JobEvent]] = {}
        self.is_over = False

    def publish(self, event: JobEvent) -> None:
        """Hands in an event of a job; it is told when the earlier turns of that job are over."""
        if self._job_ids:
            self.events.setdefault(event.job_id, []).append(event)
        else:
            self._emitter.publish(event)

    def begin(self) -> None:
        """Stands in line, behind those who write to the same jobs already."""
        for job_id in self._job_ids:
            self._lines.setdefault(job_id, deque()).append(self)

    def end(self) -> None:
        """Tells what was handed in, now or when the earlier turns are over."""
        self.is_over = True
        for job_id in self._job_ids:
            self._move_up(job_id)

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

    def _move_up(self, job_id: JobId) -> None:
        line = self._lines.get(job_id)
        while line and line[0].is_over:
            for event in line.popleft().events.pop(job_id, ()):
                self._emitter.publish(event)
        if line is not None and not line:
            self._lines.pop(job_id, None)
