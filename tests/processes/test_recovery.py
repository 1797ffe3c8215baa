"""A worker vanishes, and another one takes over what it held."""

import time

import pytest

from enfila import AttemptOutcome, JobNotCompleted, JobOptions
from tests.processes.history import Blow, Completed, Ending, Finished, Lost, Stalled, Started
from tests.processes.scene import BOUND, LOCK, Scene
from tests.processes.worker_program import LONG

pytestmark = pytest.mark.processes

NOISE = 2.0
"""Seconds that a busy machine may add to a bound."""


async def test_a_killed_workers_job_is_run_by_another_within_the_bound(scene: Scene) -> None:
    workers = await scene.workers(2)
    job = await scene.queue.add("long", {"seconds": [LONG, 0]}, JobOptions(attempts=1))
    victim = await scene.runner_of(job)
    [heir] = [worker for worker in workers if worker is not victim]
    killed_at = time.time()
    victim.kill()

    second = await heir.wrote(Started, job=job.id)
    assert second.at - killed_at <= BOUND + NOISE
    assert (second.token, second.attempt) == (2, 1)  # a crash costs no attempt
    assert (await heir.wrote(Stalled, job=job.id)).count == 1
    assert await job.result(timeout=10) == {"token": 2}
    outcomes = [run.outcome for run in await job.attempt_history()]
    assert outcomes == [AttemptOutcome.STALLED, AttemptOutcome.COMPLETED]


async def test_a_job_whose_workers_vanish_too_often_fails_and_says_so(scene: Scene) -> None:
    await scene.workers(3, max_stalled_count=1)
    job = await scene.queue.add("deadly", {"seconds": LONG}, JobOptions(attempts=5))
    for token in (1, 2):
        (await scene.runner_of(job, token=token)).kill()
    with pytest.raises(JobNotCompleted, match=r"stalled 2 times .* allowed are 1"):
        await job.result(timeout=10)
    assert len(scene.starts_of(job)) == 2
    assert await scene.nothing_is_active()


@pytest.mark.parametrize("logs", [False, True], ids=["returns", "logs"])
async def test_a_stopped_worker_cannot_settle_what_another_took_over(
    scene: Scene, logs: bool
) -> None:
    """The stopped worker wakes up after another one has completed the job."""
    workers = await scene.workers(2)
    payload = {"seconds": [LONG, 1.5 * LOCK], "awakes": 1.2 * LOCK, "logs": logs}
    job = await scene.queue.add("short", payload)
    sleeper = await scene.runner_of(job)
    await scene.stop(sleeper)
    [heir] = [worker for worker in workers if worker is not sleeper]
    await heir.wrote(Completed, job=job.id)
    sleeper.strike(Blow.CONTINUE)

    await sleeper.wrote(Lost, job=job.id)
    # Its handler returns, unless the worker is faster and cancels it. What it logs is refused.
    ending = Ending.RAISED if logs else Ending.RETURNED
    assert (await sleeper.wrote(Finished, job=job.id)).ending in {ending, Ending.CANCELLED}
    assert [completion.token for completion in scene.completions_of(job)] == [2]
    assert await job.result() == {"token": 2}
    assert [line.line for line in await job.logs()] == ["2"] * logs
    assert await scene.nothing_is_active()


async def test_a_stopped_worker_that_wakes_up_gives_up_what_another_runs(scene: Scene) -> None:
    """The stopped worker wakes up while another one runs the job, and does not disturb it."""
    workers = await scene.workers(2)
    job = await scene.queue.add("long", {"seconds": [LONG, 1.5]})
    sleeper = await scene.runner_of(job)
    await scene.stop(sleeper)
    [heir] = [worker for worker in workers if worker is not sleeper]
    await heir.wrote(Started, job=job.id)
    sleeper.strike(Blow.CONTINUE)

    await sleeper.wrote(Lost, job=job.id)
    assert (await sleeper.wrote(Finished, job=job.id)).ending is Ending.CANCELLED
    assert (await heir.wrote(Finished, job=job.id)).ending is Ending.RETURNED
    assert await job.result(timeout=10) == {"token": 2}
    assert not sleeper.has(Completed)
