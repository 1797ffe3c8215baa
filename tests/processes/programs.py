"""Starting programs, striking them, and leaving none behind."""

import ctypes
import importlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tests.processes.history import (
    Blow,
    Journal,
    Ready,
    Record,
    Struck,
    journal_path,
    only,
    read_history,
    read_journal,
)
from tests.processes.plans import Plan, write_plan
from tests.waiting import eventually

R = TypeVar("R", bound=Record)

_PR_SET_PDEATHSIG: Final = 1
_SIGNALS: Final = {
    Blow.KILL: signal.SIGKILL,
    Blow.STOP: signal.SIGSTOP,
    Blow.CONTINUE: signal.SIGCONT,
    Blow.TERMINATE: signal.SIGTERM,
    Blow.INTERRUPT: signal.SIGINT,
}


# Each program is forked from a server that has loaded enfila and has done nothing else: a process
# of its own like any other, but there in milliseconds and not in a second of computing.
_SPAWNING: Final = multiprocessing.get_context("forkserver")
_SPAWNING.set_forkserver_preload(
    [
        "tests.processes.worker_program",
        "tests.processes.enqueuer_program",
        "tests.processes.scheduler_program",
        "enfila.infrastructure.persistence.sqlalchemy",
        "enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.wake_up",
        "sqlalchemy.dialects.postgresql.asyncpg",
        "alembic.runtime.environment",
        "asyncpg",
    ]
)


class Program:
    """A process that was started, and what it writes.

    Args:
        module: what is run.
        plan: what it is told.
        blows: where signals that are sent to it are written down.
    """

    def __init__(self, module: str, plan: Plan, blows: Journal) -> None:
        self.plan: Final = plan
        self.name: Final = plan.name
        self._blows = blows
        self._log = Path(plan.folder) / f"{plan.name}.log"
        self.process: Final = _SPAWNING.Process(
            target=run_program, args=(module, write_plan(plan), str(self._log)), daemon=True
        )
        self.process.start()

    # ── what it wrote ────────────────────────────────────────────────────────────────────────

    def records(self, kind: type[R], **facts: Any) -> list[R]:
        """What it wrote down of this kind."""
        return only(read_journal(journal_path(self.plan.folder, self.name)), kind, **facts)

    def has(self, kind: type[Record], **facts: Any) -> bool:
        return bool(self.records(kind, **facts))

    async def wrote(self, kind: type[R], *, timeout: float = 20.0, **facts: Any) -> R:
        """Waits for a record, the first one of this kind with these facts."""

        def look() -> list[R]:
            found = self.records(kind, **facts)
            assert found or self.is_running, f"{self.name} has ended:\n{self.said}"
            return found

        wanted = ", ".join(f"{name}={value}" for name, value in facts.items())
        message = f"{self.name} writes {kind.__name__}({wanted})"
        return (await eventually(look, timeout=timeout, message=message))[0]

    @property
    def said(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""

    # ── its life ─────────────────────────────────────────────────────────────────────────────

    @property
    def is_running(self) -> bool:
        return self.process.is_alive()

    @property
    def is_unborn(self) -> bool:
        """Whether it ended at its beginning because there was no database."""
        return not self.is_running and not self.has(Ready) and "RepositoryUnavailable:" in self.said

    def strike(self, blow: Blow) -> None:
        """Sends a signal; nothing if the process has ended."""
        if not self.is_running or self.process.pid is None:
            return
        if blow is not Blow.CONTINUE:
            self._blows.write(Struck, target=self.name, blow=blow)
        os.kill(self.process.pid, _SIGNALS[blow])
        if blow is Blow.CONTINUE:
            self._blows.write(Struck, target=self.name, blow=blow)

    def kill(self) -> None:
        """`kill -9`; returns when it is dead."""
        self.strike(Blow.KILL)
        self.process.join()

    async def exited(self, *, timeout: float = 20.0) -> int | None:
        """Waits for its end; its exit code."""
        message = f"{self.name} ends"
        await eventually(lambda: not self.is_running, timeout=timeout, message=message)
        return self.process.exitcode

    async def ends_well(self, *, timeout: float = 20.0) -> float:
        """Waits for its end, which has to be in good order; how many seconds that took."""
        since = time.monotonic()
        assert await self.exited(timeout=timeout) == 0, self.said
        return time.monotonic() - since


def run_program(module: str, plan: str, log: str) -> None:
    """What a new process does: the module's `main`, with all that it prints in a file."""
    os.setsid()  # an interrupt from the keyboard is for the tests alone
    _die_with_the_tests()
    with Path(log).open("wb", buffering=0) as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    importlib.import_module(module).main(plan)


def _die_with_the_tests() -> None:
    """Has the system kill this process when the tests are gone, even if it is stopped then."""
    if sys.platform == "linux":
        # The server of forks ends with the tests, unless its children keep it alive.
        alive: int | None = vars(forkserver._forkserver)["_forkserver_alive_fd"]  # noqa: SLF001
        if alive is not None:
            os.close(alive)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Programs:
    """The processes of one test. Leaving it kills all that are left.

    Args:
        folder: where they write.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder: Final = folder
        self.all: Final[list[Program]] = []
        self.blows: Final = Journal(folder, "blows")
        self._numbers: dict[str, int] = {}

    def start(self, module: str, plan: Callable[..., Plan], **facts: Any) -> Program:
        """Starts a module of this folder with a plan under a fresh name."""
        number = self._numbers.get(module, 0) + 1
        self._numbers[module] = number
        name = f"{module.removesuffix('_program')}-{number}"
        made = plan(name=name, folder=str(self.folder), **facts)
        program = Program(f"tests.processes.{module}", made, self.blows)
        self.all.append(program)
        return program

    def history(self) -> list[Record]:
        """What all processes wrote down."""
        return read_history(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in self.all:
            program.process.kill()
        for program in self.all:
            program.process.join()
            program.process.close()
        self.blows.close()
