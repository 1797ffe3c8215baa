"""The parts of a worker, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Final, cast

from enfila.core.application.emitter import Emitter
from enfila.core.application.interceptors import Interceptors
from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.application.runtime.waiting import is_set_within
from enfila.core.application.worker.intake import Intake
from enfila.core.application.worker.job_controls import WorkerJobControls
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.application.worker.runners import Runners
from enfila.core.application.worker.running.execution import Execution
from enfila.core.application.worker.running.interrupter import Interrupter
from enfila.core.application.worker.running.processor import Processor
from enfila.core.application.worker.running.run import Cause, ClaimedRuns, Interruption, Run
from enfila.core.application.worker.running.threads import Threads
from enfila.core.application.worker.worker_events import WorkerEvents
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.writing.heartbeat import Heartbeat
from enfila.core.application.worker.writing.lock_renewal import LockRenewal
from enfila.core.application.worker.writing.progress_writer import ProgressWriter
from enfila.core.application.worker.writing.settlement import Settlement
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.identity import WorkerId

_LAST_WRITES: Final = 3.0
"""Seconds that a closing worker gives the database to take what is left, all in all."""


class WorkerComponents:
    """Builds the parts of a worker, starts them, and stops them in order.

    Args:
        on_fault: told when a part ends that should not have.
        on_interrupt: told of a KeyboardInterrupt that left a handler.
    """

    def __init__(
        self,
        queue: AnySource,
        worker: Emitter,
        processor: Processor,
        options: WorkerOptions,
        *,
        worker_id: WorkerId,
        events: WorkerEvents,
        interceptors: Interceptors,
        random: Callable[[], float],
        on_fault: Callable[[BaseException], None],
        on_interrupt: Callable[[BaseException], None],
    ) -> None:
        self._queue = queue
        self._worker_id = worker_id
        self._own_events = events
        self._on_fault = on_fault
        self._tasks = OwnedTasks()
        self._loops: list[asyncio.Task[None]] = []
        self._claimed = ClaimedRuns()
        self._threads = Threads(f"enfila-{queue.name}")
        self._outages = OutageWatch(events.error, random=random)
        interrupter = Interrupter(cast("timedelta", options.cancellation_grace))
        self._renewal = LockRenewal(
            queue, self._claimed, options, self._outages, interrupter, on_lost=events.lock_lost
        )
        self._settlement = Settlement(
            queue,
            self._claimed,
            self._outages,
            limit=_most_unsettled(options.concurrency),
            on_written=events.settled,
            on_room=self._on_room,
        )
        self._progress = ProgressWriter(
            queue,
            self._outages,
            on_lost=self._on_lost,
            on_stored=self._settlement.progress_stored,
            is_over=lambda: self._settlement.has_given_up,
        )
        execution = Execution(
            queue,
            worker,
            processor,
            options,
            controls=WorkerJobControls(self._progress, self._renewal),
            interrupter=interrupter,
            threads=self._threads,
            interceptors=interceptors,
            report=events.error,
            on_interrupt=on_interrupt,
        )
        self.runners = Runners(
            self._claimed,
            execution,
            self._settlement,
            interrupter,
            concurrency=options.concurrency,
            when_low=self._on_low,
            on_lapsed=lambda run: self._renewal.lose(run, Cause.LOCK_LAPSED),
            is_alive=self._is_alive,
            report=events.error,
            name=f"enfila {queue.name} runner",
        )
        self.intake = Intake(
            queue,
            self._claimed,
            self.runners,
            self._settlement,
            options,
            outages=self._outages,
            worker_id=worker_id,
            names=processor.names,
            random=random,
        )
        self._heartbeat = Heartbeat(
            queue,
            worker_id,
            cast("timedelta", options.heartbeat),
            self._outages,
            concurrency=lambda: self.runners.concurrency,
            active=lambda: len(self._claimed),
        )

    def set_concurrency(self, value: int) -> None:
        """Changes how many jobs may run at the same time; what runs already goes on."""
        self._settlement.limit = _most_unsettled(value)
        self.runners.concurrency = value

    def start(self) -> None:
        """Starts all parts on the running loop."""
        for name, part in (
            ("settlement", self._settlement.run()),
            ("renewal", self._renewal.renew()),
            ("lock watch", self._renewal.watch()),
            ("intake", self.intake.run()),
        ):
            task = self._tasks.spawn(part, name=f"enfila {self._queue.name} {name}")
            task.add_done_callback(self._part_ended)
            self._loops.append(task)
        self._heartbeat.start()

    # ── stopping, in this order ──────────────────────────────────────────────────────────────

    def take_nothing_more(self) -> None:
        """Ends the intake, and gives back what was fetched and not started."""
        self.intake.stop()
        self._outages.hurry()
        self.runners.give_back()

    def stop_runs(self) -> None:
        """Cancels what runs; it is released."""
        self.runners.interrupt_all(Interruption(Cause.SHUTDOWN, "the worker is shutting down"))

    async def finish(self) -> None:
        """Waits for what runs, writes the outcomes, and stops everything."""
        try:
            await self.runners.until_idle()
            ends = monotonic() + _LAST_WRITES
            # Together, for a database that does not answer holds up both.
            await asyncio.gather(self._write_the_rest(ends), self._heartbeat.stop())
            self._renewal.stop()
            await self._deregister(ends)
        finally:
            self._threads.close()
            self._settlement.give_up()
            self._outages.hurry()
            await self._progress.close()
            await self._tasks.cancel()
            await self.runners.close()
            self._outages.close()

    async def _write_the_rest(self, ends: float) -> None:
        # A claim under way brings jobs that have to be given back.
        _ = await is_set_within(self.intake.ended, ends - monotonic())
        if not await self._settlement.flush(max(ends - monotonic(), 0)):
            lost = self._settlement.unsettled
            self._own_events.error(
                RepositoryUnavailable(
                    self._queue.name,
                    f"{lost} outcome(s) could not be written; their jobs run again",
                ),
                "closing the worker",
            )

    async def _deregister(self, ends: float) -> None:
        try:
            async with asyncio.timeout(ends - monotonic()):
                await self._outages.keep_trying(
                    "deregistering",
                    lambda: self._queue.outcomes.deregister(self._worker_id),
                    is_over=lambda: True,
                    errors=Exception,
                )
        except TimeoutError as error:
            self._own_events.error(error, "deregistering")

    # ── between the parts ────────────────────────────────────────────────────────────────────

    def _on_low(self) -> None:
        self.intake.notice_room()

    def _on_room(self) -> None:
        self.runners.dispatch()
        self.intake.notice_room()

    def _on_lost(self, run: Run) -> None:
        self._renewal.lose(run, Cause.LOCK_LOST)

    def _is_alive(self) -> bool:
        return not any(task.cancelling() for task in self._loops)

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_fault(error)


def _most_unsettled(concurrency: int) -> int:
    return max(2 * concurrency, 1_000)
