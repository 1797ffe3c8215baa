"""One run, from its announcement to its outcome."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import assert_never, cast

from enfila.core.application.emitter import Emitter
from enfila.core.application.interceptors import Interceptors
from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.worker.outage import ErrorReport
from enfila.core.application.worker.running.active_job import ActiveJob, JobControls, SyncActiveJob
from enfila.core.application.worker.running.interrupter import Interrupter
from enfila.core.application.worker.running.processor import Handler, Processor
from enfila.core.application.worker.running.run import Cause, Interruption, Run
from enfila.core.application.worker.running.threads import Threads
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.domain.duration import ZERO, duration
from enfila.core.domain.errors import (
    AttemptTimedOut,
    InvalidRequest,
    Unrecoverable,
)
from enfila.core.domain.events import JobActive, WorkerJobActive
from enfila.core.domain.job.failure import JobError, trace_of
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.policies.backoff import BackoffKind
from enfila.core.domain.job.running.outcome import (
    Cancel,
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Retry,
    Snooze,
    Snoozed,
)
from enfila.core.domain.showing import message_of, shown

_AnyActiveJob = ActiveJob[object] | SyncActiveJob[object]
_WORDS = (Snooze, Cancel, Retry)
_OWN_FILES = str(Path(__file__).parents[2])


@dataclass(frozen=True, slots=True)
class _Raised:
    """What a handler raised, as against an exception that it returned as its result."""

    error: BaseException


class Execution:
    """Runs a job from its announcement to its outcome; many calls may overlap.

    Args:
        controls: what the running jobs may ask of the worker.
        interceptors: go around every call of a handler.
        report: told of what went wrong beside a handler.
        on_interrupt: told of a KeyboardInterrupt that left a handler.
    """

    def __init__(
        self,
        queue: AnySource,
        worker: Emitter,
        processor: Processor,
        options: WorkerOptions,
        *,
        controls: JobControls,
        interrupter: Interrupter,
        threads: Threads,
        interceptors: Interceptors,
        report: ErrorReport,
        on_interrupt: Callable[[BaseException], None],
    ) -> None:
        self._queue = queue
        self._worker = worker
        self._processor = processor
        self._backoffs = options.backoffs
        self._timeout = cast("timedelta | None", options.timeout)
        self._controls = controls
        self._interrupter = interrupter
        self._threads = threads
        self._interceptors = interceptors
        self._report_error = report
        self._on_interrupt = on_interrupt

    async def run(self, run: Run) -> Outcome | None:
        """Runs a job; None if its outcome is nobody's any more.

        Whatever leaves the handler ends the attempt, SystemExit too: a library that calls
        `sys.exit` must not end the worker. KeyboardInterrupt is meant for the whole process and is
        handed on besides.
        """
        task = asyncio.current_task()
        timer = self._start_timer(run)
        try:
            await self._announce(run)
            handler = self._processor.handler_for(run.job.name)
            job = self._active_job(handler, run)
            if self._interceptors.around_runs:
                proceed = partial(self._proceed, handler, run, job)
                answer = await self._interceptors.running(job, proceed)
            else:
                answer = await self._call(handler, run, job)
            ended = self._end(handler, answer)
        except (Snooze, Cancel, Retry) as word:
            return self._outcome(run, word)
        except BaseException as error:
            if issubclass(type(error), GeneratorExit) and not _runs_in(task):
                raise  # not the handler's: the loop is gone, and nothing may be awaited any more
            # Not by its own method, which a class may have overridden.
            error = BaseException.with_traceback(error, _of_the_handler(error))
            if issubclass(type(error), KeyboardInterrupt):
                self._on_interrupt(error)
            return self._outcome(run, _Raised(error))
        finally:
            if timer is not None:
                timer.cancel()
        return self._outcome(run, ended)

    def outcome_of_interruption(self, run: Run, interruption: Interruption) -> Outcome | None:
        """How an interrupted run ends, whatever its handler says; None if nobody may write it."""
        match interruption.cause:
            case Cause.TIMED_OUT:
                limit = run.job.options.timeout or self._timeout or ZERO
                return self._failed(run.job, AttemptTimedOut(limit))
            case Cause.REQUESTED:
                return Cancelled(interruption.reason)
            case Cause.SHUTDOWN | Cause.LOCK_LAPSED:
                return Released()
            case Cause.LOCK_LOST:
                return None
        assert_never(interruption.cause)

    # ── the steps ────────────────────────────────────────────────────────────────────────────

    def _start_timer(self, run: Run) -> asyncio.TimerHandle | None:
        limit = run.job.options.timeout or self._timeout
        if limit is None:
            return None
        seconds = limit.total_seconds()
        interruption = Interruption(
            Cause.TIMED_OUT, f"ran longer than its timeout of {seconds:g} s"
        )
        loop = asyncio.get_running_loop()
        return loop.call_later(seconds, self._interrupter.interrupt, run, interruption)

    async def _announce(self, run: Run) -> None:
        job = run.job
        if self._queue.has_listeners(JobActive.name):
            await self._queue.mark_job_as_active(job)
        if self._worker.has_listeners(WorkerJobActive.name) and job.worker_id and job.started_at:
            self._worker.publish(
                WorkerJobActive(
                    queue=job.queue,
                    at=job.started_at,
                    worker_id=job.worker_id,
                    job_id=job.id,
                    job_name=job.name,
                    attempt=job.attempt,
                )
            )

    def _active_job(self, handler: Handler, run: Run) -> _AnyActiveJob:
        """The job as its handler gets it. `Unrecoverable` if its payload does not fit."""
        try:
            payload = handler.read_payload(run.job)
        except InvalidRequest as refusal:
            # The next attempt would get the same payload.
            raise Unrecoverable(
                f"the payload does not fit the processor: {message_of(refusal)}"
            ) from None
        if handler.is_async:
            return ActiveJob(run, self._controls, payload)
        cancelled = threading.Event()
        run.cancelled = cancelled
        loop = asyncio.get_running_loop()
        return SyncActiveJob(run, self._controls, payload, cancelled, loop)

    async def _proceed(self, handler: Handler, run: Run, job: _AnyActiveJob) -> object:
        """What lies within the interceptors."""
        if run.interruption is not None:
            raise asyncio.CancelledError  # one of them swallowed it: nothing new is begun
        try:
            return await self._call(handler, run, job)
        except _WORDS as word:
            return word

    async def _call(self, handler: Handler, run: Run, job: _AnyActiveJob) -> object:
        if handler.is_async:
            answer = handler.function(job)
        else:
            answer = await self._call_in_thread(handler, run, job)
        if not inspect.isawaitable(answer):
            return answer
        if run.interruption is not None and inspect.iscoroutine(answer):
            answer.close()  # interrupted while in its thread: nothing new is begun
            return None
        return await cast("Awaitable[object]", answer)

    async def _call_in_thread(self, handler: Handler, run: Run, job: _AnyActiveJob) -> object:
        run.thread = self._threads.call(lambda: handler.function(job))
        try:
            return await run.thread
        finally:
            run.thread = None

    def _end(self, handler: Handler, answer: object) -> Completed | Snooze | Cancel | Retry:
        if isinstance(answer, _WORDS):
            return answer
        write = handler.write_result or self._queue.write_result
        return Completed(write(answer))

    # ── folding ──────────────────────────────────────────────────────────────────────────────

    def _outcome(
        self, run: Run, answer: Completed | Snooze | Cancel | Retry | _Raised
    ) -> Outcome | None:
        if run.interruption is not None:
            return self.outcome_of_interruption(run, run.interruption)
        match answer:
            case Completed():
                return answer
            case Snooze(delay=delay):
                return Snoozed(delay)
            case Cancel(reason=reason):
                return Cancelled(reason)
            case Retry(delay=delay):
                return Failed(JobError.of(answer), custom_delay=delay)
            case _Raised(error=error):
                return self._failed(run.job, error)
        assert_never(answer)

    def _failed(self, job: Job, error: BaseException) -> Failed:
        # By its type: `isinstance` asks an object for its `__class__`, which may raise.
        if issubclass(type(error), Unrecoverable):
            return Failed(JobError.of(error), is_recoverable=False)
        return Failed(JobError.of(error), custom_delay=self._custom_delay(job, error))

    def _custom_delay(self, job: Job, error: BaseException) -> timedelta | None:
        backoff = job.options.backoff
        if backoff.kind is not BackoffKind.CUSTOM or backoff.name is None:
            return None
        during = f"computing the backoff {shown(backoff.name)}"
        rule = self._backoffs.get(backoff.name)
        if rule is None:
            allowed = f"this worker knows: {', '.join(sorted(self._backoffs)) or 'none'}"
            self._report_error(InvalidRequest("backoff.name", backoff.name, allowed), during)
            return None
        try:
            return duration(f"backoff {shown(backoff.name)}", rule(job, error))
        except KeyboardInterrupt as interrupt:
            self._on_interrupt(interrupt)
            return None
        except BaseException as problem:  # noqa: BLE001 - the rule is the user's; without it no wait
            self._report_error(problem, during)
            return None


def _runs_in(task: asyncio.Task[object] | None) -> bool:
    """Whether this is called from the task, as against by whoever closes its coroutine."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no loop runs
        return False


def _of_the_handler(error: BaseException) -> TracebackType | None:
    """The trace without our own frames at its beginning, which tell a reader nothing."""
    trace = whole = trace_of(error)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN_FILES):
        trace = trace.tb_next
    return trace or whole
