"""Storing what running jobs say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from enfila.core.application.group_commit import GroupCommit
from enfila.core.application.queue.job_source import AnySource
from enfila.core.application.tasks import OwnedTasks
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.application.worker.run import Run, Stage
from enfila.core.domain.errors import LockLost, RepositoryUnavailable
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.progress import ProgressUpdate
from enfila.core.domain.json_document import JsonDocument

_MOST_IN_ONE_STATEMENT: Final = 1000
_LAST_WRITE: Final = 1.0
"""Seconds that a write under way may still take at the close."""
_DURING: Final = "storing progress and logs"


class ReportDesk:
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
        self._queue = queue
        self._outages = outages
        self._on_lost = on_lost
        self._on_stored = on_stored
        self._is_over = is_over
        self._group: GroupCommit[ProgressUpdate, bool] = GroupCommit(
            self._write, limit=_MOST_IN_ONE_STATEMENT, name=f"enfila {queue.name} reports"
        )
        self._tasks = OwnedTasks()

    async def submit(
        self, run: Run, *, progress: JsonDocument | None = None, line: str | None = None
    ) -> None:
        """Stores a report of a run; returns after the commit, however long the database is away.

        Raises:
            LockLost: the lock's token is old, or the run is over; nothing was stored.
            RepositoryUnavailable: the worker closed before the database came back.
        """
        job = run.job
        if run.stage is not Stage.RUNNING or run.is_lost:
            raise LockLost(job.id, job.token)
        report = ProgressUpdate(
            job.id,
            job.token,
            job.attempt,
            progress,
            () if line is None else (line,),
            job.options.keep_logs,
        )
        run.reports += 1
        # In a task of its own, so that a handler that is cancelled meanwhile loses no line, and
        # its outcome still waits for it.
        if not await self._tasks.run(self._store(run, report), name="enfila report"):
            self._on_lost(run)
            raise LockLost(job.id, job.token)

    async def close(self) -> None:
        """Drops what is not stored yet. By then `is_over` has to be true."""
        await self._tasks.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WRITE):
                await self._group.close()

    async def _store(self, run: Run, report: ProgressUpdate) -> bool:
        try:
            return await self._group.submit(report)
        finally:
            run.reports -= 1
            if not run.reports:
                self._on_stored(run)

    async def _write(self, reports: Sequence[ProgressUpdate]) -> list[bool]:
        answers: dict[tuple[JobId, int], bool] = {}
        for merged in _rounds(reports):
            stored = await self._outages.endure(
                _DURING, partial(self._queue.update_progress, merged), is_over=self._is_over
            )
            if stored is None:
                raise RepositoryUnavailable(self._queue.name, "the worker closed meanwhile")
            for report, is_stored in zip(merged, stored, strict=True):
                answers[report.job_id, report.token] = is_stored
        return [answers[report.job_id, report.token] for report in reports]


def _rounds(reports: Sequence[ProgressUpdate]) -> list[list[ProgressUpdate]]:
    """Merges reports, one per job and statement.

    Log lines are gathered in order. A second progress of a job needs a second statement, because
    each progress is told to listeners.
    """
    rounds: list[dict[tuple[JobId, int], ProgressUpdate]] = [{}]
    for report in reports:
        key = (report.job_id, report.token)
        place = next((place for place in reversed(rounds) if key in place), rounds[0])
        known = place.get(key)
        if known is None:
            place[key] = report
        elif known.progress is None or report.progress is None:
            place[key] = replace(
                known,
                progress=report.progress or known.progress,
                lines=known.lines + report.lines,
            )
        else:
            if place is rounds[-1]:
                rounds.append({})
            rounds[rounds.index(place) + 1][key] = report
    return [list(place.values()) for place in rounds]
