"""What the running jobs of a worker may ask of it."""

from __future__ import annotations

from datetime import timedelta

from enfila.core.application.worker.running.active_job import JobControls
from enfila.core.application.worker.running.run import Run
from enfila.core.application.worker.writing.lock_renewal import LockRenewal
from enfila.core.application.worker.writing.progress_writer import ProgressWriter
from enfila.core.domain.errors import LockLost
from enfila.core.domain.json_document import JsonDocument


class WorkerJobControls(JobControls):
    """Carries out what running jobs ask of their worker: progress, log lines, a longer lock."""

    def __init__(self, progress: ProgressWriter, renewal: LockRenewal) -> None:
        self._progress = progress
        self._renewal = renewal

    async def update_progress(
        self, run: Run, *, progress: JsonDocument | None = None, line: str | None = None
    ) -> None:
        await self._progress.submit(run, progress=progress, line=line)

    async def extend_lock(self, run: Run, length: timedelta) -> None:
        if not await self._renewal.extend(run, length):
            raise LockLost(run.job.id, run.job.token)
