"""Workers as many processes: real ones."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psutil
import pytest

from enfila import AbstractQueue, AlreadyRunning, JobState, WorkerProcesses
from tests.entrypoints import worker_processes_target
from tests.entrypoints.worker_processes_target import QUEUE
from tests.processes.place import Place
from tests.waiting import eventually

pytestmark = pytest.mark.processes

ROOT: Final = Path(__file__).parents[2]
TARGETS: Final = worker_processes_target.__name__


class Service:
    """A supervisor and its processes, as a service manager sees them."""

    def __init__(self, environment: dict[str, str], folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "enfila.entrypoints.processes", *arguments],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid: Final = self._supervisor.pid
        self._seen: set[int] = set()

    @property
    def said(self) -> str:
        return self._log.read_text()

    def pids(self, name: str) -> list[int]:
        found = began(self._folder, name)
        self._seen |= set(found)
        return found

    async def begins(self, name: str, times: int = 1) -> list[int]:
        def look() -> list[int]:
            found = self.pids(name)
            return found if len(found) >= times else []

        return await eventually(look, timeout=20, message=f"{name} begins\n{self.said}")

    async def says(self, sentence: str, times: int = 1) -> None:
        def look() -> bool:
            return self.said.count(sentence) >= times

        await eventually(look, timeout=20, message=f"{sentence}\n{self.said}")

    async def ends(self) -> int:
        def look() -> bool:
            return self._supervisor.poll() is not None

        await eventually(look, timeout=20, message=f"the supervisor ends\n{self.said}")
        return self._supervisor.returncode

    def children(self) -> list[psutil.Process]:
        """The worker processes; not the one with which Python tracks what it shares."""
        return [
            each
            for each in psutil.Process(self.pid).children()
            if "resource_tracker" not in " ".join(each.cmdline())
        ]

    def remove(self) -> None:
        """Leaves nothing behind."""
        self._supervisor.kill()
        self._supervisor.wait()
        for pid in self._seen:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def make(file: Path) -> None:
    file.touch()


def began(folder: Path, name: str) -> list[int]:
    """The processes that wrote down that they began something; the first ones first."""
    files = sorted(folder.glob(f"{name}.*"), key=lambda file: file.stat().st_mtime_ns)
    return [int(file.name.split(".")[1]) for file in files]


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Services:
    """Starts them."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._folder = folder
        self.environment = {"TEST_FOLDER": str(folder), "TEST_URL": place.url}
        if place.schema is not None:
            self.environment["TEST_SCHEMA"] = place.schema
        self.all: list[Service] = []

    def start(self, name: str = "work", processes: int = 2, stop_timeout: float = 20) -> Service:
        service = Service(
            self.environment,
            self._folder,
            f"{TARGETS}:{name}",
            *("--processes", str(processes), "--stop-timeout", str(stop_timeout)),
        )
        self.all.append(service)
        return service


@pytest.fixture
def place(sqlite_url: str) -> Place:
    return Place(sqlite_url)


@pytest.fixture
def services(place: Place, tmp_path: Path) -> Iterator[Services]:
    services = Services(place, tmp_path)
    yield services
    for service in services.all:
        service.remove()


@pytest.fixture
async def queue(place: Place) -> AsyncIterator[AbstractQueue[Any, Any]]:
    async with place.app() as app:
        yield app.queue(QUEUE)


async def check_that_jobs_are_shared(
    services: Services, queue: AbstractQueue[Any, Any], done: Path
) -> None:
    service = services.start(processes=3)
    long = await queue.add_bulk([("long", {"until": str(done)}) for _ in range(3)])
    pids = set(await service.begins("long", 3))
    assert len(pids) == 3
    short = await queue.add_bulk([("short", {}) for _ in range(30)])
    make(done)
    assert {await job.result(timeout=20) for job in long} == pids
    assert {await job.result(timeout=20) for job in short} <= pids
    assert len(service.pids("long")) == 3
    assert len(service.pids("short")) == 30
    os.kill(service.pid, signal.SIGTERM)
    assert await service.ends() == 0
    assert not any(map(is_alive, pids))


async def test_jobs_are_shared_and_each_runs_once(
    services: Services, queue: AbstractQueue[Any, Any], tmp_path: Path
) -> None:
    await check_that_jobs_are_shared(services, queue, tmp_path / "done")


async def test_jobs_are_shared_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    place = Place(postgres_url, f"processes_{uuid4().hex[:8]}")
    services = Services(place, tmp_path)
    try:
        async with place.app() as app:
            await check_that_jobs_are_shared(services, app.queue(QUEUE), tmp_path / "done")
    finally:
        for service in services.all:
            service.remove()


async def test_a_killed_process_is_replaced_and_its_job_runs_again(
    services: Services, queue: AbstractQueue[Any, Any], tmp_path: Path
) -> None:
    service = services.start(processes=2)
    done = tmp_path / "done"
    job = await queue.add("long", {"until": str(done)})
    (victim,) = await service.begins("long")
    os.kill(victim, signal.SIGKILL)
    _, other = await service.begins("long", 2)
    await service.says("was killed by SIGKILL. Another one starts at once.")
    blocker = await queue.add("second", {"until": str(done)})
    (replacement,) = await service.begins("second")
    assert len({victim, other, replacement}) == 3
    done.touch()
    assert await job.result(timeout=10) == other
    assert await blocker.result(timeout=10) == replacement
    assert (await job.refresh()).stalled_count == 1


# ── the end ──────────────────────────────────────────────────────────────────────────────────


def by_its_manager(service: Service) -> None:
    os.kill(service.pid, signal.SIGTERM)


def by_ctrl_c(service: Service) -> None:
    """The terminal tells all processes of the group in the foreground."""
    os.killpg(service.pid, signal.SIGINT)


def by_telling_everybody(service: Service) -> None:
    """As systemd does, unless it is told otherwise."""
    for child in service.children():
        child.send_signal(signal.SIGTERM)
    os.kill(service.pid, signal.SIGTERM)


@pytest.mark.parametrize("stop", [by_its_manager, by_ctrl_c, by_telling_everybody])
async def test_all_end_together_and_running_jobs_finish(
    services: Services, queue: AbstractQueue[Any, Any], tmp_path: Path, stop: Any
) -> None:
    service = services.start(processes=2)
    done = tmp_path / "done"
    quick = await queue.add_bulk([("first", {"until": str(done)}) for _ in range(2)])
    pids = await service.begins("first", 2)
    done.touch()
    for job in quick:
        await job.result(timeout=10)
    running = await queue.add("long", {"until": str(tmp_path / "really done")})
    await service.begins("long")
    stop(service)
    # The idle one has ended: it was told, and so was the other.
    await service.says("ended with exit code 0.")
    waiting = await queue.add("late", {})
    (tmp_path / "really done").touch()
    assert await service.ends() == 0
    assert (await running.refresh()).state is JobState.COMPLETED
    assert (await waiting.refresh()).state is JobState.WAITING
    assert "Traceback" not in service.said
    assert not any(map(is_alive, pids))


async def test_ctrl_c_at_the_very_beginning_leaves_no_trace(services: Services) -> None:
    service = services.start("wait", processes=2)
    await service.says("has started", 2)
    by_ctrl_c(service)
    assert await service.ends() == 0
    assert "Traceback" not in service.said
    assert "SIGINT" not in service.said


async def test_a_second_signal_gives_running_jobs_back(
    services: Services, queue: AbstractQueue[Any, Any], tmp_path: Path
) -> None:
    service = services.start(processes=1)
    job = await queue.add("long", {"until": str(tmp_path / "never")})
    await service.begins("long")
    os.kill(service.pid, signal.SIGINT)
    await service.says("Ending 1 worker process: stop.")
    os.kill(service.pid, signal.SIGINT)
    assert await service.ends() == 0
    await job.refresh()
    assert (job.state, job.attempt) == (JobState.WAITING, 0)


async def test_threads_that_never_end_do_not_keep_a_process(
    services: Services, queue: AbstractQueue[Any, Any]
) -> None:
    """It ends soon after the grace of its worker, long before it would be killed."""
    service = services.start("work_in_threads", processes=1, stop_timeout=50)
    jobs = await queue.add_bulk([("to_thread", {}), ("run_in_executor", {})])
    await service.begins("to_thread")
    await service.begins("run_in_executor")
    os.kill(service.pid, signal.SIGTERM)
    assert await service.ends() == 0
    assert "still run what was cancelled" in service.said
    assert "killed" not in service.said
    for job in jobs:
        await job.refresh()
        assert (job.state, job.attempt) == (JobState.WAITING, 0)


async def test_without_a_worker_the_function_is_cancelled(services: Services) -> None:
    service = services.start("wait", processes=1)
    pids = await service.begins("wait")
    os.kill(service.pid, signal.SIGTERM)
    assert await service.ends() == 0
    assert service.pids("cleaned") == pids
    assert "Traceback" not in service.said


async def test_who_does_not_end_is_killed(services: Services) -> None:
    service = services.start("never_end", processes=1, stop_timeout=0.5)
    (pid,) = await service.begins("never")
    os.kill(service.pid, signal.SIGTERM)
    assert await service.ends() == 1
    assert service.pids("cancelled") == [pid]
    assert "Not ended within 0.5 s: what is left is killed." in service.said
    assert "was killed by SIGKILL." in service.said
    assert not is_alive(pid)


async def test_when_the_supervisor_is_killed_the_others_end_and_running_jobs_finish(
    services: Services, queue: AbstractQueue[Any, Any], tmp_path: Path
) -> None:
    service = services.start(processes=2)
    done = tmp_path / "done"
    jobs = await queue.add_bulk([("long", {"until": str(done)}) for _ in range(2)])
    pids = await service.begins("long", 2)
    os.kill(service.pid, signal.SIGKILL)
    await service.says("The supervisor is gone", 2)
    done.touch()
    for job in jobs:
        await job.result(timeout=10)
    await eventually(lambda: not any(map(is_alive, pids)), message=service.said)


async def test_who_does_not_end_without_a_supervisor_ends_itself(services: Services) -> None:
    service = services.start("never_end", processes=1, stop_timeout=0.3)
    (pid,) = await service.begins("never")
    os.kill(service.pid, signal.SIGKILL)
    await eventually(lambda: not is_alive(pid), message=service.said)


# ── no beginning ─────────────────────────────────────────────────────────────────────────────


async def test_a_wrong_target_is_told_once_in_a_sentence(services: Services) -> None:
    service = services.start("wrok", processes=2)
    assert await service.ends() == 1
    told = f"target: '{TARGETS}:wrok' is not allowed; the module '{TARGETS}' has no 'wrok'"
    assert service.said.count(told) == 1
    assert "Giving up, for none has come up." in service.said
    assert "Traceback" not in service.said


def test_a_program_without_its_main_guard_is_told_so(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from enfila import WorkerProcesses\n"
        "async def work(): ...\n"
        "raise SystemExit(WorkerProcesses(work, processes=1).run())\n"
    )
    ended = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, check=False, timeout=20
    )
    assert ended.returncode == 1
    assert 'run it under `if __name__ == "__main__":`' in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_who_dies_at_its_beginning_again_is_given_up(services: Services) -> None:
    service = services.start("crash", processes=1)
    assert await service.ends() == 1
    assert service.said.count("RuntimeError: no luck today") == 2
    assert "ended with exit code 1. Another one starts at once." in service.said
    assert "ended with exit code 1. Giving up, for none has come up." in service.said


async def test_a_database_that_is_away_is_waited_for(services: Services, tmp_path: Path) -> None:
    service = services.start("without_a_database", processes=1)
    await service.says("RepositoryUnavailable")
    await service.says("Another one starts in 0.5 s.")
    (tmp_path / "later").mkdir()
    await service.begins("wait")
    os.kill(service.pid, signal.SIGTERM)
    assert await service.ends() == 0
    assert "Traceback" not in service.said


# ── inside a program ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def told(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in services.environment.items():
        monkeypatch.setenv(name, value)


async def test_a_program_supervises_beside_its_own_work(told: None, tmp_path: Path) -> None:
    processes = WorkerProcesses(worker_processes_target.wait, processes=1)
    async with asyncio.TaskGroup() as group:
        supervising = group.create_task(processes.supervise())
        pids = await eventually(lambda: began(tmp_path, "wait"))
        with pytest.raises(AlreadyRunning):
            await processes.supervise()
        await asyncio.to_thread(processes.stop)
    assert supervising.result() == 0
    assert began(tmp_path, "cleaned") == pids
    processes.stop()


async def test_cancelling_the_caller_ends_all(told: None, tmp_path: Path) -> None:
    processes = WorkerProcesses(worker_processes_target.wait, processes=1)
    supervising = asyncio.create_task(processes.supervise())
    (pid,) = await eventually(lambda: began(tmp_path, "wait"))
    supervising.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervising
    assert not is_alive(pid)
    assert began(tmp_path, "cleaned") == [pid]
