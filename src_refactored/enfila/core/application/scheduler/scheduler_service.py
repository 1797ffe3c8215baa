"""The scheduler: it has schedules tick."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Final, Self, cast

from enfila.core.application.emitter import Emitter
from enfila.core.application.interceptors import Interceptors, InterceptorsLike
from enfila.core.application.listening import ListensToScheduler
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import ALL_SCHEDULES, Hint, WakeUp
from enfila.core.application.runtime.periodic_loop import PeriodicLoop
from enfila.core.application.runtime.tasks import OwnedTasks, run_on
from enfila.core.application.scheduler.scheduler_options import SchedulerOptions
from enfila.core.application.scheduler.ticks.recomputing import Recomputing
from enfila.core.application.scheduler.ticks.recording import Recording
from enfila.core.application.scheduler.ticks.scheduler_events import SchedulerEvents
from enfila.core.application.scheduler.ticks.ticking import Ticking
from enfila.core.application.system_clock import clock_or_system
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.application.worker.shutdown import SIGNALS
from enfila.core.domain.checking import instance
from enfila.core.domain.errors import AlreadyClosed, AlreadyRunning
from enfila.core.domain.schedule.events import SCHEDULER_EVENTS
from enfila.core.domain.showing import plain

_FORGETTING: Final = timedelta(hours=1)
_RECOMPUTING: Final = timedelta(minutes=10)
_FORGOTTEN_AT_ONCE: Final = 10_000


class _Mode(Enum):
    """Where a scheduler is in its life."""

    NEW = auto()
    RUNNING = auto()
    CLOSED = auto()


class SchedulerService(Emitter):
    """Service: makes jobs of due schedules, and an emitter of what it does.

    Its events are those of `enfila.core.domain.schedule.events`. `async with scheduler:` runs it
    beside; `await scheduler.run()` runs it until it is closed or the process is asked to end. It
    runs once: make a new one to start again.

    Any number of processes may run one. What a tick does is one transaction, which only the first
    of them gets through. Between two due times it sleeps; edits in any process wake it. An outage
    of the database ends nothing: it is reported once, and what came due meanwhile is caught up as
    the schedules say.

    Args:
        repository: where schedules and jobs are.
        wake_up: tells of edits, and wakes workers.
        options: the settings; the defaults of `SchedulerOptions` when None.
        interceptors: go around the adding of the jobs that it makes, the first one outermost.
        clock: gives the instants of its own events; ticks go by the repository's clock.
    """

    def __init__(
        self,
        repository: IJobRepository,
        wake_up: WakeUp,
        options: SchedulerOptions | None = None,
        *,
        interceptors: InterceptorsLike = (),
        clock: Clock | None = None,
    ) -> None:
        super().__init__(SCHEDULER_EVENTS)
        instance("repository", repository, IJobRepository, "a job repository")
        instance("wake_up", wake_up, WakeUp, "a WakeUp")
        if options is not None:
            instance("options", options, SchedulerOptions, "SchedulerOptions(…) or None")
        self.options: Final = options or SchedulerOptions()
        self._repository = repository
        self._wake_up = wake_up
        self._interceptors = Interceptors.of(interceptors)
        self._own_events = SchedulerEvents(self, clock_or_system(clock))
        self._outages = OutageWatch(self._own_events.error)
        self._mode = _Mode.NEW
        self._tasks = OwnedTasks()
        self._hearing = OwnedTasks()
        self._closed = asyncio.Event()
        self._edited = asyncio.Event()
        self._stop_hearing: Callable[[], None] = _nothing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_watching: Callable[[], None] = _nothing
        self._make_loops()

    _INSIDE: ClassVar[frozenset[str]] = Emitter._INSIDE | {"cancel"}  # noqa: SLF001 - a base class's

    def __repr__(self) -> str:
        address = plain(self._repository.storage.address)
        return f"<scheduler on {address}, {self._mode.name.lower()}>"

    @property
    def on(self) -> ListensToScheduler:  # type: ignore[override]  # a method of pyee's, typed by the event
        """Adds a listener: `scheduler.on("scheduler.error", f)`, or as a decorator without `f`."""
        return cast("ListensToScheduler", super().on)

    @property
    def once(self) -> ListensToScheduler:  # type: ignore[override]  # as above
        """As `on`, for one event."""
        return cast("ListensToScheduler", super().once)

    def _make_loops(self) -> None:
        options = self.options
        ticking = Ticking(
            self._repository,
            self._wake_up,
            self._own_events,
            batch=options.batch,
            most_failures=options.most_enqueue_failures,
            poll=options.poll_length,
            interceptors=self._interceptors,
        )
        # Woken at a due time and not before it: so without jitter.
        self._ticks = self._periodic(
            "ticking", ticking.tick_due, lambda: ticking.wait, random=_never
        )
        recording = Recording(
            self._repository.storage.schedule_runs,
            self._own_events,
            interval=options.record_length,
            told=self._ticks.wake,
            report=self._own_events.error,
        )
        recomputing = Recomputing(
            self._repository.storage.schedules,
            self._repository.storage.schedule_runs,
            report=self._own_events.error,
        )
        self._loops = [
            self._ticks,
            self._periodic("recording runs", recording.record_ended, lambda: recording.wait),
            self._periodic("recomputing times", recomputing.recompute, lambda: _RECOMPUTING),
            self._periodic("forgetting runs", self._forget, lambda: _FORGETTING),
        ]

    @property
    def is_running(self) -> bool:
        """Whether it was started and not closed."""
        return self._mode is _Mode.RUNNING

    def start_over(self) -> None:
        """See `ForkAware`. It is the parent's: here it is closed."""
        super().start_over()
        if self._mode is not _Mode.NEW:
            self._mode = _Mode.CLOSED
            self._loop = None
            self._closed = asyncio.Event()
            self._closed.set()

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Begins to look for due schedules, and returns; `close` ends it.

        Raises:
            AlreadyRunning: it was started before.
            AlreadyClosed: it was closed.
        """
        if self._mode is not _Mode.NEW:
            is_running = self._mode is _Mode.RUNNING
            raise (
                AlreadyRunning("this scheduler") if is_running else AlreadyClosed("this scheduler")
            )
        self._mode = _Mode.RUNNING
        self._loop = asyncio.get_running_loop()
        self._stop_hearing = self.report_errors_to(self._own_events.error)
        self._edited = self._wake_up.listen(ALL_SCHEDULES, Hint.SCHEDULES)
        self._stop_watching = self._repository.storage.when_moved(self._look_again)
        _ = self._hearing.spawn(self._hear(), name="enfila hears of schedules")
        for loop in self._loops:
            loop.start()
        self._own_events.ready()

    async def run(self) -> None:
        """Has schedules tick until `close`, or until SIGTERM or Ctrl-C (see `SchedulerOptions`).

        Cancelling the caller closes it too.

        Raises:
            AlreadyRunning: it was started before.
            AlreadyClosed: it was closed.
        """
        await self.start()
        with contextlib.ExitStack() as stack:
            if self.options.handle_signals:
                stack.enter_context(SIGNALS.listening(self._on_signal))
            try:
                await self._closed.wait()
            finally:
                await self.close()

    async def close(self) -> None:
        """Ends after the statements under way. Idempotent; all callers wait for the same end."""
        own_loop = self._loop
        if own_loop is not None and own_loop is not asyncio.get_running_loop():
            if own_loop.is_running():
                await run_on(own_loop, self.close)
            self._mode = _Mode.CLOSED
            return
        if self._mode is _Mode.RUNNING:
            self._mode = _Mode.CLOSED
            _ = self._tasks.spawn(self._shut_down(), name="enfila scheduler shutdown")
        if self._mode is _Mode.NEW:
            self._mode = _Mode.CLOSED
            self._closed.set()
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
        await self.close()

    async def _shut_down(self) -> None:
        try:
            self._wake_up.ignore(ALL_SCHEDULES, Hint.SCHEDULES, self._edited)
            self._stop_watching()
            self._outages.hurry()
            await self._hearing.cancel()
            await asyncio.gather(*(loop.stop() for loop in self._loops))
        finally:
            self._outages.close()
            self._own_events.closed()
            await self.wait_for_listeners()
            self._stop_hearing()
            self._closed.set()

    def _on_signal(self) -> None:
        if self._mode is _Mode.RUNNING:
            _ = self._tasks.spawn(self.close(), name="enfila scheduler is asked to end")

    # ── loops ────────────────────────────────────────────────────────────────────────────────

    def _periodic(
        self,
        during: str,
        step: Callable[[], Coroutine[Any, Any, bool]],
        interval: Callable[[], timedelta],
        **settings: Any,  # noqa: ANN401 - those of `PeriodicLoop`
    ) -> PeriodicLoop:
        return PeriodicLoop(
            partial(self._keep_trying, during, step),
            interval=interval,
            report=partial(self._outages.failed, during),
            name=f"enfila scheduler {during}",
            **settings,
        )

    async def _keep_trying(
        self, during: str, step: Callable[[], Coroutine[Any, Any, bool]]
    ) -> bool:
        has_more = await self._outages.keep_trying(
            during, step, is_over=lambda: not self.is_running
        )
        return bool(has_more)

    async def _forget(self) -> bool:
        count = await self._repository.storage.schedule_runs.forget(
            self.options.kept_length, _FORGOTTEN_AT_ONCE
        )
        return count == _FORGOTTEN_AT_ONCE

    def _look_again(self) -> None:
        """The clock was moved."""
        self._wake_up.hint(ALL_SCHEDULES, Hint.SCHEDULES)

    async def _hear(self) -> None:
        """Looks again when a schedule was edited, in this process or another."""
        while await self._edited.wait():
            self._edited.clear()
            self._ticks.wake()


def _never() -> float:
    return 0.0


def _nothing() -> None:
    """There is nothing to stop yet."""
