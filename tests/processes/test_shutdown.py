"""A worker process is told to end."""

from pathlib import Path

import pytest

from enfila import AttemptOutcome, JobState
from tests.processes.history import Blow, Ending, Finished
from tests.processes.place import Place
from tests.processes.scene import Job, Scene
from tests.processes.worker_program import LONG

pytestmark = pytest.mark.processes

SOON = LONG / 3
"""Seconds in which a process ends that waits for nothing, however busy the machine is."""


async def is_given_back(scene: Scene, job: Job) -> None:
    """The job is in line as if it had not been run, and the run is remembered."""
    await job.refresh()
    assert (job.state, job.attempt) == (JobState.WAITING, 0)
    assert [run.outcome for run in await job.attempt_history()] == [AttemptOutcome.RELEASED]
    assert await scene.nothing_is_active()


@pytest.mark.parametrize("signal", [Blow.TERMINATE, Blow.INTERRUPT])
async def test_a_signal_lets_running_jobs_end_and_takes_no_more(
    scene: Scene, signal: Blow, tmp_path: Path
) -> None:
    worker = await scene.worker()
    done = tmp_path / "done"
    running, waiting = await scene.queue.add_bulk(
        [("a", {"seconds": LONG, "until": str(done)}), ("b", {})]
    )
    await scene.runner_of(running)
    worker.strike(signal)
    done.touch()
    assert await worker.ends_well() < SOON
    assert (await running.refresh()).state is JobState.COMPLETED
    assert (await waiting.refresh()).state is JobState.WAITING
    assert await scene.nothing_is_active()


@pytest.mark.parametrize("signal", [Blow.TERMINATE, Blow.INTERRUPT])
async def test_a_second_signal_hurries(scene: Scene, signal: Blow) -> None:
    """Two different signals, because two equal ones may be delivered as one."""
    worker = await scene.worker()
    job = await scene.queue.add("long", {"seconds": LONG})
    await scene.runner_of(job)
    worker.strike(signal)
    worker.strike(Blow.INTERRUPT if signal is Blow.TERMINATE else Blow.TERMINATE)
    assert await worker.ends_well() < SOON
    assert (await worker.wrote(Finished)).ending is Ending.CANCELLED
    await is_given_back(scene, job)


class TestOnOneDatabase:
    """What does not depend on it."""

    @pytest.fixture
    def place(self, sqlite_url: str) -> Place:
        return Place(sqlite_url)

    async def test_after_the_grace_jobs_are_given_back(self, scene: Scene) -> None:
        worker = await scene.worker(grace=0.3)
        job = await scene.queue.add("long", {"seconds": LONG})
        await scene.runner_of(job)
        worker.strike(Blow.TERMINATE)
        assert await worker.ends_well() < SOON
        await is_given_back(scene, job)

    @pytest.mark.parametrize("in_threads", [False, True], ids=["async", "in a thread"])
    async def test_a_handler_that_does_not_end_does_not_keep_its_process(
        self, scene: Scene, in_threads: bool
    ) -> None:
        worker = await scene.worker(grace=0.1, cancellation_grace=0.2, in_threads=in_threads)
        job = await scene.queue.add("stubborn", {"seconds": LONG, "stubborn": True})
        await scene.runner_of(job)
        worker.strike(Blow.TERMINATE)
        assert await worker.ends_well() < SOON
        await is_given_back(scene, job)
