"""Several processes at one queue."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from enfila import Enfila, JobOptions, JobState, WorkerInfo
from enfila.core.domain.job.identity import WorkerId
from tests.processes.caller_program import CallerPlan
from tests.processes.history import (
    Added,
    Blow,
    Completed,
    Ending,
    Finished,
    Imported,
    Ready,
    Started,
    only,
)
from tests.processes.place import Place, orders_table, own_engine, states
from tests.processes.programs import Program, Programs
from tests.processes.scene import QUEUE, Scene
from tests.processes.worker_program import LONG, WorkerPlan
from tests.waiting import eventually

pytestmark = pytest.mark.processes


async def test_a_result_comes_from_another_process(scene: Scene) -> None:
    await scene.worker()
    job = await scene.queue.add("any", {"seconds": 0.05})
    assert await job.result(timeout=10) == {"token": 1}


# ── pausing ──────────────────────────────────────────────────────────────────────────────────


async def test_a_pause_holds_in_every_process_and_survives_a_restart(scene: Scene) -> None:
    worker = await scene.worker(poll=0.1, heartbeat=0.1)
    await scene.queue.pause()
    job = await scene.queue.add("any", {})
    await has_looked_again(scene, worker)
    worker.strike(Blow.TERMINATE)
    await worker.ends_well()
    worker = await scene.worker(poll=0.1, heartbeat=0.1)
    await has_looked_again(scene, worker)
    assert (await job.refresh()).state is JobState.WAITING
    await scene.queue.resume()
    await job.result(timeout=10)
    assert [start.process for start in scene.starts_of(job)] == [worker.name]


async def has_looked_again(scene: Scene, worker: Program) -> None:
    """Waits for some heartbeats of a worker, between which it has polled."""
    me = WorkerId((await worker.wrote(Ready)).worker)
    seen = set()

    async def beats() -> bool:
        for known in await scene.app.repository.storage.workers.all(QUEUE):
            if known.worker_id == me:
                seen.add(known.seen_at)
        return len(seen) > 4

    await eventually(beats, message="five heartbeats")


async def test_resuming_wakes_idle_workers_of_other_processes(scene: Scene) -> None:
    await scene.queue.pause()
    job = await scene.queue.add("any", {})
    await scene.worker(poll=LONG)  # so that only a wake-up can be the reason
    await scene.queue.resume()
    assert await job.result(timeout=LONG / 3) == {"token": 1}


# ── cancelling ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("notify", [True, False], ids=["woken", "by heartbeat"])
async def test_a_cancellation_reaches_another_process_within_a_heartbeat(
    scene: Scene, notify: bool
) -> None:
    heartbeat, noise = 1.0, 2.0
    await scene.worker(notify=notify, lock=LONG, heartbeat=heartbeat)
    job = await scene.queue.add("long", {"seconds": LONG})
    worker = await scene.runner_of(job)
    asked_at = time.time()
    await job.cancel("no longer wanted")
    finished = await worker.wrote(Finished, job=job.id)
    assert finished.ending is Ending.CANCELLED
    assert finished.at - asked_at <= heartbeat + noise
    await eventually(scene.nothing_is_active)
    await job.refresh()
    assert (job.state, job.snapshot.cancel_reason) == (JobState.CANCELLED, "no longer wanted")


# ── delays ───────────────────────────────────────────────────────────────────────────────────


async def test_delayed_jobs_start_once_and_not_before_their_time(scene: Scene) -> None:
    await scene.workers(3, concurrency=5)
    due = time.time() + 1.0
    jobs = await scene.queue.add_bulk(
        [("later", {"not_before": due}, JobOptions(delay=1.0)) for _ in range(60)]
    )
    for job in jobs:
        await job.result(timeout=10)
    starts = only(scene.history, Started)
    assert Counter(start.job for start in starts) == {job.id: 1 for job in jobs}
    assert min(start.at for start in starts) >= due


# ── adding ───────────────────────────────────────────────────────────────────────────────────


async def test_two_processes_that_add_one_key_make_one_job(scene: Scene, tmp_path: Path) -> None:
    go = tmp_path / "go"
    callers = [
        scene.programs.start(
            "caller_program", CallerPlan, place=scene.place, queue=QUEUE, go=str(go), task="keys"
        )
        for _ in range(2)
    ]
    for caller in callers:
        await caller.wrote(Imported)
    go.touch()
    for caller in callers:
        await caller.ends_well()
    first, second = ({added.group: added for added in each.records(Added)} for each in callers)
    assert {key: added.jobs for key, added in first.items()} == {
        key: added.jobs for key, added in second.items()
    }
    assert all(first[key].duplicates + second[key].duplicates == 1 for key in first)
    assert states(scene.place) == {"waiting": len(first)}


async def test_a_crash_before_the_callers_commit_leaves_nothing(scene: Scene) -> None:
    """Neither the caller's row nor the job is stored, and no other process is blocked."""
    engine = own_engine(scene.place)
    orders_table().create(engine)
    engine.dispose()
    caller = scene.programs.start(
        "caller_program", CallerPlan, place=scene.place, queue=QUEUE, task="half"
    )
    [half] = (await caller.wrote(Added)).jobs
    assert await scene.queue.get_job(half) is None
    caller.kill()
    worker = await scene.worker()
    other = await scene.queue.add("other", {})
    await worker.wrote(Completed, job=other.id)
    assert [start.job for start in worker.records(Started)] == [other.id]
    with scene.place.connection() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(orders_table())) == 0
    counts = await scene.queue.counts()
    assert (counts.total, counts.completed) == (1, 1)


# ── beginning ────────────────────────────────────────────────────────────────────────────────


async def test_ten_processes_begin_at_once_on_nothing(
    place: Place, programs: Programs, tmp_path: Path
) -> None:
    """All bring the tables up to date, under a lock; all work."""
    place = replace(place, pool_size=2)  # a server has a hundred connections for all tests
    go = tmp_path / "go"
    workers = [
        programs.start(
            "worker_program", WorkerPlan, place=place, queue=QUEUE, concurrency=1, go=str(go)
        )
        for _ in range(10)
    ]
    for worker in workers:
        await worker.wrote(Imported)
    go.touch()
    for worker in workers:
        await worker.wrote(Ready)
    async with place.app() as app:
        known = await eventually(lambda: ten_of(app), message="ten workers")
        jobs = await app.queue(QUEUE).add_bulk([("any", {"seconds": 0.1}) for _ in range(30)])
        for job in jobs:
            await job.result(timeout=20)
    assert {each.worker_id for each in known} == {
        (await worker.wrote(Ready)).worker for worker in workers
    }
    for worker in workers:
        worker.strike(Blow.TERMINATE)
    for worker in workers:
        await worker.ends_well()


async def ten_of(app: Enfila) -> list[WorkerInfo]:
    known = await app.repository.storage.workers.all(QUEUE)
    return known if len(known) == 10 else []
