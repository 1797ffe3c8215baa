"""Why a job is not finished, as far as the repository knows; for people who wait for it."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable, Sequence
from typing import Final

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.errors import EnfilaError
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState
from enfila.core.domain.showing import shown
from enfila.core.domain.worker import WorkerInfo

_PATIENCE: Final = 1.0
"""Seconds that may be spent on it."""


async def why_unfinished(repository: IJobRepository, job_id: JobId) -> str | None:
    """What a job waits for; None if that is not known, or it is finished by now. Never raises."""
    try:
        async with asyncio.timeout(_PATIENCE):
            job = (await repository.get([job_id])).get(job_id)
            return None if job is None or job.state.is_final else await _reason(repository, job)
    except (TimeoutError, EnfilaError):
        return None


async def _reason(repository: IJobRepository, job: Job) -> str:
    queue = shown(job.queue)
    match job.state:
        case JobState.ACTIVE:
            return f"worker {job.worker_id} runs it, attempt {job.attempt} of {job.max_attempts}"
        case JobState.BLOCKED:
            return "it waits for other jobs"
        case JobState.DELAYED if job.run_at > job.created_at:
            when = f"it starts at {job.run_at.isoformat(timespec='seconds')}"
        case _:
            when = "it waits for a worker"
    workers = await repository.storage.workers.all()
    serving = [each for each in workers if _serves(each, job.queue)]
    if not serving:
        return f"{when}, and no worker serves queue {queue}{_hint(job.queue, workers)}"
    if await repository.storage.queues.is_paused(job.queue):
        return f"{when}, and queue {queue} is paused"
    job_type = await repository.storage.job_types.get(job.name)
    if job_type is not None and not job_type.is_enabled:
        return f"{when}, and job type {shown(job.name)} is disabled"
    if job.state is JobState.WAITING and any(each.active < each.concurrency for each in serving):
        return (
            f"{when}, and those of queue {queue} are not busy: "
            f"perhaps none of them has a processor for jobs named {shown(job.name)}"
        )
    return when


def _serves(worker: WorkerInfo, queue: str) -> bool:
    """A worker of several queues names them all."""
    return worker.queue == queue or queue in worker.queue.split(", ")


def _hint(queue: str, workers: Sequence[WorkerInfo]) -> str:
    served = _names(each.queue for each in workers)
    if not served:
        return ", nor any other"
    near = difflib.get_close_matches(queue, served, n=1)
    return f"; perhaps {shown(near[0])} is meant" if near else ""


def _names(queues: Iterable[str]) -> list[str]:
    return sorted({name for each in queues for name in each.split(", ")})
