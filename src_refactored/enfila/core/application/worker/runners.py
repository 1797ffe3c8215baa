"""The slots of a worker, and the tasks that run jobs in them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from time import monotonic
from typing import Final, cast

from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.application.worker.outage import ErrorReport
from enfila.core.application.worker.running.execution import Execution
from enfila.core.application.worker.running.interrupter import Interrupter
from enfila.core.application.worker.running.run import Cause, ClaimedRuns, Interruption, Run, Stage
from enfila.core.application.worker.writing.settlement import Settlement
from enfila.core.domain.errors import HandlerError
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.running.outcome import Failed, Outcome, Released
from enfila.core.domain.showing import shown

_SLICE: Final = 0.001
"""Seconds after which runners whose handlers never wait let others have the event loop."""
_LAST_CHANCE: Final = 0.1
"""Seconds for handlers that were given up to end when the worker closes."""


class Runners:
    """Runs ready jobs, at most `concurrency` at a time.

    A runner is a task that goes from one ready job to the next, which spares a task per job. It is
    replaced by a new one when a handler leaves traces in it: a pending cancellation, or changed
    context variables, which the next job must not see. A handler that does not end after its
    cancellation keeps its task but loses its slot.

    There are as many runners as have something to wait for: one that only lets others have the
    event loop for a moment can take the next job itself. More are started in the turn of the loop
    after handlers began to wait, twice as many each time.

    Args:
        when_low: told when few jobs are ready.
        on_lapsed: told of a run that cannot start because its lock has run out.
        is_alive: false when the event loop is being torn down, so that nothing may be begun.
        report: told of handlers that do not end.
        name: for the tasks.

    Attributes:
        ended: how many runs have ended so far.
        low_water: few are so many or less.
    """

    def __init__(
        self,
        claimed: ClaimedRuns,
        execution: Execution,
        settlement: Settlement,
        interrupter: Interrupter,
        *,
        concurrency: int,
        when_low: Callable[[], None],
        on_lapsed: Callable[[Run], None],
        is_alive: Callable[[], bool],
        report: ErrorReport,
        name: str,
    ) -> None:
        self.ended = 0
        self.low_water = 0
        self._claimed = claimed
        self._execution = execution
        self._settlement = settlement
        self._concurrency = concurrency
        self._when_low = when_low
        self._on_lapsed = on_lapsed
        self._is_alive = is_alive
        self._report = report
        self._name = name
        self._interrupter = interrupter
        self._tasks = OwnedTasks()
        self._slots: set[asyncio.Task[None]] = set()
        self._abandoned: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._context: contextvars.Context | None = None
        self._slice_ends: float | None = None
        self._yielding = 0
        interrupter.hand_overdue_to(self._give_up)

    @property
    def concurrency(self) -> int:
        """How many jobs may run at the same time."""
        return self._concurrency

    @concurrency.setter
    def concurrency(self, value: int) -> None:
        self._concurrency = value
        self.dispatch()
        self._when_low()

    @property
    def busy(self) -> int:
        """How many slots are taken."""
        return len(self._slots)

    def dispatch(self) -> None:
        """Starts runners for what is ready, as far as there are free slots."""
        # Runners that only let others have the loop will take the next jobs themselves.
        unserved = len(self._claimed.ready) - self._yielding
        free = self._concurrency - len(self._slots)
        growth = len(self._slots) - self._yielding if self._slots else 1
        for _ in range(min(free, unserved, growth)):
            if self._settlement.is_full:
                return
            # The context of whoever fetched the first jobs, and not that of a handler. An empty
            # one is false.
            if self._context is None:
                self._context = contextvars.copy_context()
            self._idle.clear()
            self._slots.add(
                self._tasks.spawn(self._work(), name=self._name, context=self._context.copy())
            )

    def interrupt_all(self, interruption: Interruption) -> None:
        """Stops everything that runs."""
        for run in self._claimed:
            if run.stage is Stage.RUNNING:
                self._interrupter.interrupt(run, interruption)

    def give_back(self) -> None:
        """Releases what is ready, so that other workers can run it."""
        while self._claimed.ready:
            run = self._claimed.ready.popleft()
            self._settlement.hand_over(run, Released(has_run=False))

    def runs_in(self, task: asyncio.Task[object] | None) -> bool:
        """Whether this task is one of the runners."""
        return task in self._slots or task in self._abandoned

    async def until_idle(self) -> None:
        """Waits until every slot is free."""
        while self._slots:
            await self._idle.wait()

    async def close(self) -> None:
        """Lets go of the tasks whose handlers did not end when they were told to."""
        for task in self._abandoned:
            task.cancel()
        if self._abandoned:
            _ = await asyncio.wait(self._abandoned, timeout=_LAST_CHANCE)
        for task in self._abandoned:
            # `asyncio.run` waits at its end for every task it knows of: these might never end.
            asyncio.tasks._unregister_task(task)  # noqa: SLF001 - documented under "Extending"

    # ── one runner ───────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        clean = contextvars.copy_context()
        try:
            while (run := self._next()) is not None:
                await self._run(run, task)
                if not self._may_go_on(run, task) or _differs(contextvars.copy_context(), clean):
                    break
                if self._is_slice_over():
                    await self._let_others_run()
        finally:
            self._abandoned.discard(task)
            self._leave(task)

    def _begin_slice(self) -> None:
        """Counts from now what the runners together have of this turn of the event loop.

        Not each for itself: ten of them would keep claims and settlements waiting ten times as
        long, and run out of jobs meanwhile.
        """
        if self._slice_ends is None:
            self._slice_ends = monotonic() + _SLICE
            _ = asyncio.get_running_loop().call_soon(self._end_slice)

    def _is_slice_over(self) -> bool:
        return self._slice_ends is not None and monotonic() > self._slice_ends

    def _end_slice(self) -> None:
        self._slice_ends = None
        if self._is_alive():
            self.dispatch()
            # The last ready ones may just have got a slot of their own, and nothing need end soon.
            if len(self._claimed.ready) <= self.low_water:
                self._when_low()

    async def _let_others_run(self) -> None:
        self._yielding += 1
        try:
            await asyncio.sleep(0)
        finally:
            self._yielding -= 1

    def _next(self) -> Run | None:
        ready = self._claimed.ready
        while ready and len(self._slots) <= self._concurrency and not self._settlement.is_full:
            run = ready[0]
            if self._may_start(run):
                _ = ready.popleft()
                run.stage = Stage.RUNNING
                self._begin_slice()
                return run
        return None

    def _may_start(self, run: Run) -> bool:
        """Whether a run may start; one that may not is no longer ready then."""
        job = run.job
        if job.cancel_requested:
            reason = job.cancel_reason or "cancelled by request"
            self._interrupter.interrupt(run, Interruption(Cause.REQUESTED, reason))
        elif run.lock_ends <= monotonic():
            self._on_lapsed(run)
        return run.interruption is None

    async def _run(self, run: Run, task: asyncio.Task[None]) -> None:
        run.task = task
        try:
            outcome = await self._execution.run(run)
        except (GeneratorExit, asyncio.CancelledError):
            # The loop is being torn down: the job goes back if that can still be said.
            self._settle(run, Released())
            raise
        except BaseException as error:  # noqa: BLE001 - a fault of ours must not run the job for ever
            self._report(error, f"running {shown(run.job.name)} {run.job.id}")
            outcome = Failed(JobError.of(error))
        self._settle(run, outcome)

    def _may_go_on(self, run: Run, task: asyncio.Task[None]) -> bool:
        """Whether the task still has a slot, and its handler left it as it found it."""
        if task in self._abandoned:
            return False
        if not task.cancelling():
            return True
        if run.interruption is None:
            raise asyncio.CancelledError  # somebody else cancelled the runner itself
        return False

    def _settle(self, run: Run, outcome: Outcome | None) -> None:
        """Hands over the outcome of a run, unless it was given up and this comes too late."""
        if run.stage is Stage.ENDED:
            return
        run.task = None
        if run.overdue is not None:
            run.overdue.cancel()
        self.ended += 1
        self._settlement.hand_over(run, outcome)
        if len(self._claimed.ready) <= self.low_water:
            self._when_low()

    def _end(self, run: Run) -> None:
        """Settles an interrupted run without its handler."""
        if run.interruption is not None:
            self._settle(run, self._execution.outcome_of_interruption(run, run.interruption))

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._slots.discard(task)
        if not self._slots:
            self._idle.set()
        if self._is_alive():
            self.dispatch()
            self._when_low()

    # ── interrupted runs ─────────────────────────────────────────────────────────────────────

    def _give_up(self, run: Run) -> None:
        if run.stage is Stage.READY:
            self._claimed.ready.remove(run)
            self._end(run)
        elif run.thread is None:
            self._report_stubborn(run)
            self._abandon(run)
        else:
            if run.interruption is not None and run.interruption.cause is not Cause.TIMED_OUT:
                self._report_stubborn(run)
            # Frees the runner; the thread is left to itself and its late answer dropped.
            run.thread.cancel()

    def _abandon(self, run: Run) -> None:
        task = run.task
        self._end(run)
        if task is not None:
            task.cancel()
            self._abandoned.add(task)
            self._leave(task)

    def _report_stubborn(self, run: Run) -> None:
        job = f"{shown(run.job.name)} {run.job.id}"
        problem = f"the processor of {job} ignores that it is cancelled"
        self._report(HandlerError(problem), "cancelling a job")


def _differs(context: contextvars.Context, clean: contextvars.Context) -> bool:
    try:
        return context != clean
    except Exception:  # noqa: BLE001 - values of a user's variables are compared, by their own rules
        return True
