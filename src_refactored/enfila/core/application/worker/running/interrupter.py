"""Stopping a run before its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from enfila.core.application.worker.running.run import Cause, Interruption, Run, Stage


class Interrupter:
    """Cancels handlers, and gives up those that do not end.

    An async handler gets a `CancelledError`; a plain function in a thread can only be asked, by its
    job's `cancelled`. One that has not ended after `patience` is overdue. A plain function that ran
    into its timeout is overdue at once: nobody waits for its late result.

    Args:
        patience: how long a cancelled handler may clean up.
    """

    def __init__(self, patience: timedelta) -> None:
        self._patience = patience.total_seconds()
        self._give_up: Callable[[Run], None] = _nobody_runs_jobs

    def hand_overdue_to(self, give_up: Callable[[Run], None]) -> None:
        """Sets what is to be done with a run that has no handler yet, or one that does not end."""
        self._give_up = give_up

    def interrupt(self, run: Run, interruption: Interruption) -> None:
        """Stops a run. The first cause stands, except that a lost lock overrides every other."""
        if run.stage is Stage.ENDED:
            return
        is_first = run.interruption is None
        if is_first or interruption.cause is Cause.LOCK_LOST:
            run.interruption = interruption
        if run.stage is Stage.READY:
            self._give_up(run)
        elif is_first:
            self._stop(run, interruption.cause)

    def _stop(self, run: Run, cause: Cause) -> None:
        if run.cancelled is not None:
            run.cancelled.set()
        if run.thread is not None and cause is Cause.TIMED_OUT:
            self._overdue(run)
            return
        if run.thread is None and run.task is not None:
            run.task.cancel()
        run.overdue = asyncio.get_running_loop().call_later(self._patience, self._overdue, run)

    def _overdue(self, run: Run) -> None:
        if run.stage is Stage.RUNNING:
            self._give_up(run)


def _nobody_runs_jobs(run: Run) -> None:
    raise NotImplementedError(run)
