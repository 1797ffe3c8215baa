"""The worker: it takes jobs from a queue and runs them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import timedelta
from enum import Enum, auto
from types import TracebackType
from typing import ClassVar, Final, Generic, NoReturn, Self, cast

from enfila.core.application.emitter import Emitter
from enfila.core.application.interceptors import Interceptors, InterceptorsLike
from enfila.core.application.listening import ListensToWorker
from enfila.core.application.ports.clock import Clock
from enfila.core.application.queue.claims.job_source import JobSource, P, R
from enfila.core.application.runtime.per_loop import call_on
from enfila.core.application.runtime.tasks import OwnedTasks, run_on
from enfila.core.application.system_clock import clock_or_system
from enfila.core.application.worker.running.processor import Processor, ProcessorLike
from enfila.core.application.worker.shutdown import SIGNALS
from enfila.core.application.worker.worker_components import WorkerComponents
from enfila.core.application.worker.worker_events import WorkerEvents
from enfila.core.application.worker.worker_options import WorkerOptions, check_concurrency
from enfila.core.domain.checking import function, instance
from enfila.core.domain.duration import ZERO, Duration, duration
from enfila.core.domain.errors import AlreadyClosed, AlreadyRunning
from enfila.core.domain.events import WORKER_EVENTS
from enfila.core.domain.job.identity import WorkerId, new_worker_id
from enfila.core.domain.showing import shown


class _Mode(Enum):
    """Where a worker is in its life."""

    NEW = auto()
    RUNNING = auto()
    CLOSING = auto()
    CLOSED = auto()


_NEXT: Final = {
    _Mode.NEW: (_Mode.RUNNING, _Mode.CLOSED),
    _Mode.RUNNING: (_Mode.CLOSING,),
    _Mode.CLOSING: (_Mode.CLOSED,),
    _Mode.CLOSED: (),
}


class WorkerService(Emitter, Generic[P, R]):
    """Service: runs the jobs of a queue with a processor, and an emitter of what it does.

    Its events are the `worker.*` ones of `enfila.core.domain.events`. `async with worker:` runs it
    beside; `await worker.run()` runs it until it is closed or the process is asked to end. A worker
    runs once: make a new one to start again.

    An outage of the database ends nothing: the worker reports `worker.error` once, tries again with
    growing waits, and goes on by itself.

    Args:
        queue: where the jobs come from: a queue, or several (`ServedQueues`).
        processor: an async function (runs on the event loop) or a plain one (runs in a thread) of
            one argument, the job; or a mapping from job names to such functions, or a registry of
            job types, and then only jobs with these names are taken.
        options: the settings; the defaults of `WorkerOptions` when None.
        interceptors: go around every run of a processor, the first one outermost.
        clock: gives the instants of the worker's own events.
        random: random numbers in [0, 1), for jitter.

    Raises:
        InvalidRequest: the processor cannot be called with a job, or an interceptor is none.
    """

    def __init__(
        self,
        queue: JobSource[P, R],
        processor: ProcessorLike[P, R],
        options: WorkerOptions | None = None,
        *,
        interceptors: InterceptorsLike = (),
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(WORKER_EVENTS)
        instance("queue", queue, JobSource, "a queue, or several as ServedQueues")
        if options is not None:
            instance("options", options, WorkerOptions, "WorkerOptions(…) or None")
        self.id: Final[WorkerId] = new_worker_id()
        self.queue: Final = queue
        self.options: Final = options or WorkerOptions()
        self._own_events = WorkerEvents(self, queue.name, self.id, clock_or_system(clock))
        self._parts = WorkerComponents(
            queue,
            self,
            Processor(processor, queue),
            self.options,
            worker_id=self.id,
            events=self._own_events,
            interceptors=Interceptors.of(interceptors),
            random=function("random", random, "a function without arguments"),
            on_fault=self._on_fault,
            on_interrupt=self._on_interrupt,
        )
        self._mode = _Mode.NEW
        self._tasks = OwnedTasks()
        self._closed = asyncio.Event()
        self._grace: asyncio.TimerHandle | None = None
        self._fault: BaseException | None = None
        self._interrupt: BaseException | None = None
        self._stop_hearing: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    _INSIDE: ClassVar[frozenset[str]] = Emitter._INSIDE | {"cancel"}  # noqa: SLF001 - a base class's

    def __repr__(self) -> str:
        jobs = f"{self.active_count} of {self.concurrency} jobs"
        state = self._mode.name.lower()
        return f"<worker {self.id} of queue {shown(self.queue.name)}, {state}, {jobs}>"

    @property
    def on(self) -> ListensToWorker:  # type: ignore[override]  # a method of pyee's, typed by the event
        """Adds a listener: `worker.on("worker.error", f)`, or as a decorator without `f`."""
        return cast("ListensToWorker", super().on)

    @property
    def once(self) -> ListensToWorker:  # type: ignore[override]  # as above
        """As `on`, for one event."""
        return cast("ListensToWorker", super().once)

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._mode in (_Mode.RUNNING, _Mode.CLOSING)

    @property
    def is_paused(self) -> bool:
        """Whether it takes no jobs for the time being."""
        return self._parts.intake.is_paused

    @property
    def active_count(self) -> int:
        """How many jobs it runs at this moment."""
        return self._parts.runners.busy

    @property
    def concurrency(self) -> int:
        """How many jobs may run at the same time. May be set at any time; none is stopped by it."""
        return self._parts.runners.concurrency

    @concurrency.setter
    def concurrency(self, value: int) -> None:
        checked = check_concurrency(value)
        self._on_own_loop(lambda: self._parts.set_concurrency(checked))

    # ── control ──────────────────────────────────────────────────────────────────────────────

    def pause(self) -> None:
        """Takes no more jobs until `resume`; what runs goes on. Other workers are not concerned."""
        self._on_own_loop(self._pause)

    def resume(self) -> None:
        """Takes jobs again."""
        self._on_own_loop(self._parts.intake.resume)

    async def start(self) -> None:
        """Begins to take jobs, and returns; `close` ends it.

        Raises:
            AlreadyRunning: it was started before.
            AlreadyClosed: it, or its queue, was closed.
        """
        self._check_may_enter(_Mode.RUNNING)
        if self.options.maintenance is not None:
            self.queue.start_maintenance(self.options.maintenance)
        self._enter(_Mode.RUNNING)
        self._loop = asyncio.get_running_loop()
        self._stop_hearing = [
            self.report_errors_to(self._own_events.error),
            self.queue.report_errors_to(self._own_events.error),
        ]
        self._parts.start()
        self._own_events.ready()

    async def run(self) -> None:
        """Takes and runs jobs until `close`, or until SIGTERM or Ctrl-C (see `WorkerOptions`).

        The first signal is a `close()`, the second one hurries it: `close(grace=0)`. Cancelling the
        caller is a `close(grace=0)` too.

        Raises:
            AlreadyRunning: it was started before.
            AlreadyClosed: it, or its queue, was closed.
        """
        await self.start()
        with contextlib.ExitStack() as stack:
            if self.options.handle_signals:
                stack.enter_context(SIGNALS.listening(self._on_signal))
            try:
                await self._closed.wait()
            except asyncio.CancelledError:
                await self.close(grace=0)
                raise
        if self._fault is not None:
            raise self._fault

    async def close(self, grace: Duration | None = None) -> None:
        """Takes nothing new, waits for what runs, and ends. Idempotent.

        What was fetched and not started goes back at once. What still runs after `grace` is
        cancelled and goes back too; that costs no attempt. The outcomes are written; if the
        database is away, that is given up after a few seconds and reported. All callers wait for
        the same shutdown; one with a shorter grace hurries it. Called by a handler or listener of
        this worker, it returns at once, for it would wait for its own caller.

        Args:
            grace: how long to wait for running jobs; None for the one of the options.
        """
        length = duration("grace", self.options.grace if grace is None else grace)
        if self._mode is _Mode.NEW:
            self._enter(_Mode.CLOSED)
            self._closed.set()
            return
        if self._mode is _Mode.CLOSED:
            return
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            await self._close_from_elsewhere(length, self._loop)
            return
        self._begin_to_close(length)
        caller = asyncio.current_task()
        if not self._parts.runners.runs_in(caller) and caller not in self._waiting:
            await self._closed.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_cancelled = isinstance(error, asyncio.CancelledError)
        await self.close(grace=ZERO if is_cancelled else None)

    def start_over(self) -> None:
        """See `ForkAware`. It is the parent's: here it is closed."""
        super().start_over()
        if self._mode is not _Mode.NEW:
            self._mode = _Mode.CLOSED
            self._closed = asyncio.Event()
            self._closed.set()

    # ── on other event loops than its own ─────────────────────────────────────────────────────

    def _on_own_loop(self, callback: Callable[[], object]) -> None:
        if self._loop is None:
            callback()
        else:
            call_on(self._loop, callback)

    def _pause(self) -> None:
        self._parts.intake.pause()
        self._parts.runners.give_back()

    async def _close_from_elsewhere(
        self, grace: timedelta, own_loop: asyncio.AbstractEventLoop
    ) -> None:
        if own_loop.is_running():
            await run_on(own_loop, lambda: self.close(grace))
        if not own_loop.is_running():
            self._mode = _Mode.CLOSED  # it ended with its loop; what it held is recovered

    # ── closing ──────────────────────────────────────────────────────────────────────────────

    def _begin_to_close(self, grace: timedelta) -> None:
        if self._mode is _Mode.CLOSED:
            return
        if self._mode is _Mode.RUNNING:
            self._enter(_Mode.CLOSING)
            self._parts.take_nothing_more()
            _ = self._tasks.spawn(self._shut_down(), name=f"enfila {self.queue.name} shutdown")
        loop = asyncio.get_running_loop()
        ends = loop.time() + grace.total_seconds()
        if self._grace is None or ends < self._grace.when():
            if self._grace is not None:
                self._grace.cancel()
            self._grace = loop.call_at(ends, self._parts.stop_runs)

    async def _shut_down(self) -> None:
        try:
            await self._parts.finish()
        finally:
            if self._grace is not None:
                self._grace.cancel()
            self._enter(_Mode.CLOSED)
            self._own_events.closed()
            await self.wait_for_listeners()
            for stop in self._stop_hearing:
                stop()
            if self._interrupt is not None:
                # Out of a callback it leaves the event loop, and so ends the program.
                _ = asyncio.get_running_loop().call_soon(_raise, self._interrupt)
            self._closed.set()

    def _on_signal(self) -> None:
        is_first = self._mode is _Mode.RUNNING
        self._begin_to_close(cast("timedelta", self.options.grace) if is_first else ZERO)

    def _on_fault(self, error: BaseException) -> None:
        self._own_events.error(error, "running the worker")
        if self._fault is None:
            self._fault = error
        self._begin_to_close(cast("timedelta", self.options.grace))

    def _on_interrupt(self, error: BaseException) -> None:
        """Ends the worker in order, as Ctrl-C does; then the interrupt goes its way."""
        if self._interrupt is None:
            self._interrupt = error
        self._on_signal()

    # ── the mode ─────────────────────────────────────────────────────────────────────────────

    def _enter(self, mode: _Mode) -> None:
        self._check_may_enter(mode)
        self._mode = mode

    def _check_may_enter(self, mode: _Mode) -> None:
        if mode in _NEXT[self._mode]:
            return
        what = f"the worker {self.id} of queue {shown(self.queue.name)}"
        raise AlreadyRunning(what) if self._mode is _Mode.RUNNING else AlreadyClosed(what)


def _raise(error: BaseException) -> NoReturn:
    raise error
