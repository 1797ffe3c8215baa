"""Storing what running jobs say: their progress and their log lines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.runtime.group_commit import GroupCommit
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.application.worker.running.run import Run, Stage
from enfila.core.domain.errors import LockLost, RepositoryUnavailable
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.json_document import JsonDocument

_MOST_IN_ONE_STATEMENT: Final = 1000
_LAST_WRITE: Final = 1.0
"""Seconds that a write under way may still take at the close."""
_Said = tuple[Job, ProgressUpdate]
_DURING: Final = "storing progress and logs"


class ProgressWriter:
    """Writes the progress and the log lines of all running jobs together.

    Args:
        on_lost: told of a run that is found to have lost its lock.
        on_stored: told of a run of which nothing is left to be stored.
        is_over: whether to stop trying while the database is away.
    """

    def __init__(
        self,
        queue: AnySource,
        outages: OutageWatch,
        *,
        on_lost: Callable[[Run], None],
        on_stored: Callable[[Run], None],
        is_over: Callable[[], bool],
    ) -> None:
        self._name = queue.name
        self._outcomes = queue.outcomes
        self._outages = outages
        self._on_lost = on_lost
        self._on_stored = on_stored
        self._is_over = is_over
        self._group: GroupCommit[_Said, bool] = GroupCommit(
            self._write, limit=_MOST_IN_ONE_STATEMENT, name=f"enfila {queue.name} progress"
        )
        self._tasks = OwnedTasks()

    async def submit(
        self, run: Run, *, progress: JsonDocument | None = None, line: str | None = None
    ) -> None:
        """Stores what a run says; returns after the commit, however long the database is away.

        Raises:
            LockLost: the lock's token is old, or the run is over; nothing was stored.
            RepositoryUnavailable: the worker closed before the database came back.
        """
        job = run.job
        if run.stage is not Stage.RUNNING or run.is_lost:
            raise LockLost(job.id, job.token)
        update = ProgressUpdate(
            job.id,
            job.token,
            job.attempt,
            progress,
            () if line is None else (line,),
            job.options.keep_logs,
        )
        run.unstored += 1
        # In a task of its own, so that a handler that is cancelled meanwhile loses no line, and
        # its outcome still waits for it.
        if not await self._tasks.run(self._store(run, update), name="enfila progress"):
            self._on_lost(run)
            raise LockLost(job.id, job.token)

    async def close(self) -> None:
        """Drops what is not stored yet. By then `is_over` has to be true."""
        await self._tasks.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WRITE):
                await self._group.close()

    async def _store(self, run: Run, update: ProgressUpdate) -> bool:
        try:
            return await self._group.submit((run.job, update))
        finally:
            run.unstored -= 1
            if not run.unstored:
                self._on_stored(run)

    async def _write(self, said: Sequence[_Said]) -> list[bool]:
        answers: dict[tuple[JobId, int], bool] = {}
        for merged in _rounds(said):
            stored = await self._outages.keep_trying(
                _DURING, partial(self._outcomes.update_progress, merged), is_over=self._is_over
            )
            if stored is None:
                raise RepositoryUnavailable(self._name, "the worker closed meanwhile")
            for (job, _), is_stored in zip(merged, stored, strict=True):
                answers[job.id, job.token] = is_stored
        return [answers[job.id, job.token] for job, _ in said]


def _rounds(said: Sequence[_Said]) -> list[list[_Said]]:
    """Merges what was said, into one update per job and statement.

    Log lines are gathered in order. A second progress of a job needs a second statement, because
    each progress is told to listeners.
    """
    rounds: list[dict[tuple[JobId, int], _Said]] = [{}]
    for job, update in said:
        key = (job.id, job.token)
        place = next((place for place in reversed(rounds) if key in place), rounds[0])
        if key not in place:
            place[key] = (job, update)
            continue
        known = place[key][1]
        if known.progress is None or update.progress is None:
            progress = update.progress or known.progress
            merged = replace(known, progress=progress, lines=known.lines + update.lines)
            place[key] = (job, merged)
        else:
            if place is rounds[-1]:
                rounds.append({})
            rounds[rounds.index(place) + 1][key] = (job, update)
    return [list(place.values()) for place in rounds]
