"""Workers as many processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from typing import Final

from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import AlreadyRunning, InvalidRequest
from enfila.core.domain.showing import shown
from enfila.entrypoints.processes.child import NAME
from enfila.entrypoints.processes.supervisor import Supervisor, Urgency
from enfila.entrypoints.processes.target import AsyncFunction, name_of

MOST_PROCESSES: Final = 1_000


class WorkerProcesses:
    """Runs an async function in many processes: replaced when they die, ended together.

    The function is what you would give to `asyncio.run`: it opens an app, makes a worker (or
    several) and awaits `worker.run()`.

    A process that dies, or returns unasked, is replaced: at once, and after growing waits (up to
    30 s) when it dies again and again. If none ever came up, because of a wrong target or wrong
    settings, `run` gives up. What happens is logged (`enfila.processes`), in a sentence each.

    SIGTERM and Ctrl-C end all processes as they end a worker: running jobs may finish within the
    grace of their workers. A second signal hurries them: `close(grace=0)`. A third one kills. If
    this process is killed itself, the others notice and end as after a SIGTERM.

    Args:
        target: `"package.module:name"`, or the async function itself, at the top of a module. Each
            process imports it afresh, so a program that calls `run` does so under
            `if __name__ == "__main__":`.
        processes: how many; one for each usable CPU when None.
        stop_timeout: how long a process may take to end before it is killed. Has to be longer than
            the `grace` and `cancellation_grace` of its workers.

    Raises:
        InvalidRequest: a wrong argument.
    """

    def __init__(
        self,
        target: str | AsyncFunction,
        *,
        processes: int | None = None,
        stop_timeout: Duration = 60,
    ) -> None:
        self.target: Final = name_of(target)
        self.processes: Final = _check_processes(_usable_cpus() if processes is None else processes)
        self._stop_timeout = duration("stop_timeout", stop_timeout).total_seconds()
        self._running: tuple[Supervisor, asyncio.AbstractEventLoop] | None = None

    def __repr__(self) -> str:
        state = "new" if self._running is None else "running"
        return f"<{self.processes} worker processes of {shown(self.target)}, {state}>"

    def run(self) -> int:
        """Blocks until all processes have ended.

        Returns:
            The exit code for `sys.exit`: 0 if they ended as they were told to; 1 if none came up,
            or one had to be killed or ended with an error.
        """
        return asyncio.run(self.supervise())

    async def supervise(self) -> int:
        """Does what `run` does, on a loop that runs already.

        Signals are heard in the main thread only. Cancelling the caller is a second signal.

        Raises:
            AlreadyRunning: these processes run already.
        """
        _check_is_no_worker_process()
        if self._running is not None:
            raise AlreadyRunning(f"the processes of {shown(self.target)}")
        supervisor = Supervisor(self.target, self.processes, self._stop_timeout)
        self._running = supervisor, asyncio.get_running_loop()
        try:
            return await supervisor.run()
        finally:
            self._running = None

    def stop(self) -> None:
        """Does what a SIGTERM does, from any thread. Nothing if none runs, or all end already."""
        if self._running is not None:
            supervisor, loop = self._running
            loop.call_soon_threadsafe(supervisor.ask_for, Urgency.STOP)


def _check_is_no_worker_process() -> None:
    if multiprocessing.current_process().name.startswith(NAME):
        # The trace of multiprocessing for this mistake is long, and comes once per process.
        raise SystemExit(
            "WorkerProcesses was run while a worker process imported its module: "
            'run it under `if __name__ == "__main__":`.'
        )


def _check_processes(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_PROCESSES:
        raise InvalidRequest("processes", value, f"give a whole number from 1 to {MOST_PROCESSES}")
    return value


def _usable_cpus() -> int:
    """How many CPUs this process may run on, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
