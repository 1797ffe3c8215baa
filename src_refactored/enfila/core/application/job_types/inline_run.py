"""Running a job type in a test: in this process, without a queue."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, cast

from enfila.core.application.job_ids import new_job_id
from enfila.core.application.job_types.implementation import Implementation
from enfila.core.application.system_clock import SystemClock
from enfila.core.application.worker.running.active_job import ActiveJob, JobControls, SyncActiveJob
from enfila.core.application.worker.running.run import Run
from enfila.core.domain.job.identity import LockToken
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.outcome import Cancel, Retry, Snooze
from enfila.core.domain.json_document import JsonDocument
from enfila.core.domain.showing import shown

logger = logging.getLogger("enfila.inline_run")


class _Log(JobControls):
    """Logs what an inline run says; nothing is stored."""

    async def update_progress(
        self, run: Run, *, progress: JsonDocument | None = None, line: str | None = None
    ) -> None:
        said = line if progress is None else f"progress {progress.text}"
        logger.info("job %s: %s", shown(run.job.name), said)

    async def extend_lock(self, run: Run, length: timedelta) -> None:
        logger.info("job %s: lock extended by %s", shown(run.job.name), length)


async def run_inline(it: Implementation, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - the type's own
    """Runs a job type once in this process, for a test; validated as on the way through a queue.

    Raises:
        InvalidRequest: the arguments do not fit.
        ResultRefused: the result does not fit.
        Snooze, Cancel, Retry: what the function returned or raised.
    """
    codec, now = it.signature.codec, SystemClock().now()
    document = codec.write_payload(arguments)
    definition = it.definition
    job = Job.new(
        new_job_id(now), definition.queue, definition.name, document, definition.options, now
    )
    job.attempt, job.token = 1, LockToken(1)
    answer = await _run(it, Run(job, 0.0, 0.0), codec.read_payload(document))
    if isinstance(answer, Snooze | Cancel | Retry):
        raise answer
    return codec.read_result(codec.write_result(answer))


async def _run(it: Implementation, run: Run, payload: object) -> object:
    call, controls = it.handler().function, _Log()
    if it.on_loop:
        answer = call(ActiveJob(run, controls, payload))
    else:
        cancelled, loop = threading.Event(), asyncio.get_running_loop()
        job = SyncActiveJob[Any](run, controls, payload, cancelled, loop)
        answer = await asyncio.to_thread(call, job)
    return await cast("Awaitable[object]", answer) if inspect.isawaitable(answer) else answer
