"""Worker processes, and what processes use."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

PROJECT = Path(__file__).parents[1]
COMMAND_TIMEOUT = 180
STOP_TIMEOUT = 5


class DriverFailedError(Exception):
    """A system did not do what it was told."""


def answer_of(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Runs a driver's command to its end."""
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DriverFailedError(f"it took more than {COMMAND_TIMEOUT} s") from None
    if done.returncode:
        raise DriverFailedError((done.stdout + done.stderr)[-2000:])
    return done.stdout


class Workers:
    """Worker processes that have imported everything, and start to work together."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, processes: int
    ) -> None:
        self._command = command
        self._environment = {**os.environ, **environment}
        self._log = log
        self._count = processes
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            with self._log.open("wb") as log:
                for _ in range(self._count):
                    self._processes.append(self._started(log.fileno()))
            for process in self._processes:
                self._wait_until_ready(process)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def start(self) -> None:
        """Lets them work."""
        for process in self._processes:
            if process.stdin:
                process.stdin.write(b"\n")
                process.stdin.flush()

    def check(self) -> None:
        """Raises when one of them has ended."""
        if any(process.poll() is not None for process in self._processes):
            raise DriverFailedError(self._log.read_text(errors="replace")[-2000:])

    def cpu_seconds(self) -> float:
        """What they have used so far."""
        return sum(cpu_seconds(_process(process.pid)) for process in self._processes)

    def peak_memory(self) -> float:
        """Megabytes; the sum of the peaks of all processes."""
        return sum(_peak_memory(process.pid) for process in self._processes)

    def _started(self, log: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            cwd=PROJECT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        lines = process.stdout or ()
        if not any(line.strip() == b"ready" for line in lines):
            process.wait()
            raise DriverFailedError(self._log.read_text(errors="replace")[-2000:])

    def _end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self._processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            for process in self._processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_TIMEOUT)
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def cpu_seconds(process: psutil.Process | None) -> float:
    """What a process and its children have used so far, those that have ended too."""
    total = 0.0
    for member in _tree(process):
        with suppress(psutil.Error):
            used = member.cpu_times()
            total += used.user + used.system
            if member == process:
                total += getattr(used, "children_user", 0.0) + getattr(used, "children_system", 0.0)
    return total


def _process(pid: int) -> psutil.Process | None:
    with suppress(psutil.Error):
        return psutil.Process(pid)
    return None


def _tree(process: psutil.Process | None) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)] if process else []
    return []


def _peak_memory(pid: int) -> float:
    total = 0.0
    for member in _tree(_process(pid)):
        with suppress(psutil.Error, OSError):
            total += _peak_of_one(member)
    return total


def _peak_of_one(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024
    return process.memory_info().rss / 1024 / 1024
