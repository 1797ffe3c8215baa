"""Telling listeners of jobs, each job's events in the order of its life."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from enfila.core.application.emitter import Emitter
from enfila.core.domain.events import JobEvent
from enfila.core.domain.job.identity import JobId


class Announcer:
    """Tells events after their commit, and keeps those of one job in order.

    Commits are not heard of in the order in which they took place: a worker may hold a job before
    the answer to its `add` has come back. So whoever begins to write takes a place in the line of
    each job, and what is told from a later place waits until the earlier ones are done.

    Not safe for use from several threads at a time.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._lines: dict[JobId, deque[Place]] = {}

    def place(self, job_ids: Iterable[JobId]) -> Place:
        """The next place in the lines of these jobs; to be entered before the write begins."""
        # Whom nobody hears need not stand in line; a line begun for others must be joined.
        if not self._emitter.is_heard and not self._lines:
            job_ids = ()
        return Place(self._emitter, self._lines, tuple(job_ids))

    def tell(self, event: JobEvent) -> None:
        """Tells of something that was written before."""
        with self.place((event.job_id,)) as place:
            place.tell(event)


class Place:
    """A context: inside, a write takes place and its events are handed in; then they are told.

    Attributes:
        events: what was handed in and not told yet.
        is_done: whether the context was left.
    """

    __slots__ = ("_emitter", "_job_ids", "_lines", "events", "is_done")

    def __init__(
        self, emitter: Emitter, lines: dict[JobId, deque[Place]], job_ids: tuple[JobId, ...]
    ) -> None:
        self._emitter = emitter
        self._lines = lines
        self._job_ids = job_ids
        self.events: dict[JobId, list[JobEvent]] = {}
        self.is_done = False

    def tell(self, event: JobEvent) -> None:
        """Hands in an event of a job; it is told when its turn has come."""
        if self._job_ids:
            self.events.setdefault(event.job_id, []).append(event)
        else:
            self._emitter.tell(event)

    def __enter__(self) -> Self:
        for job_id in self._job_ids:
            self._lines.setdefault(job_id, deque()).append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_done = True
        for job_id in self._job_ids:
            self._move_up(job_id)

    def _move_up(self, job_id: JobId) -> None:
        line = self._lines.get(job_id)
        while line and line[0].is_done:
            for event in line.popleft().events.pop(job_id, ()):
                self._emitter.tell(event)
        if line is not None and not line:
            self._lines.pop(job_id, None)
