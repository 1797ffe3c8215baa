"""Pausing queues, listing them, and the registry of workers."""

import asyncio
from datetime import timedelta

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.job.identity import WorkerId, new_worker_id
from enfila.core.domain.worker import WorkerInfo
from enfila.testing import FrozenClock
from tests.contract.building import Line, ids
from tests.contract.conftest import Connect


def worker(queue: str, worker_id: WorkerId | None = None, active: int = 0) -> WorkerInfo:
    """A worker as it describes itself."""
    return WorkerInfo(worker_id or new_worker_id(), queue, "höst", 4711, 10, active)


# ── pausing ──────────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_queue_is_not_paused(repository: IJobRepository, queue: str) -> None:
    assert not await repository.storage.queues.is_paused(queue)


async def test_pausing_says_whether_it_changed_anything(
    repository: IJobRepository, queue: str
) -> None:
    assert await repository.storage.queues.set_paused(queue, paused=True)
    assert await repository.storage.queues.is_paused(queue)
    assert not await repository.storage.queues.set_paused(queue, paused=True)
    assert await repository.storage.queues.set_paused(queue, paused=False)
    assert not await repository.storage.queues.is_paused(queue)
    assert not await repository.storage.queues.set_paused(queue, paused=False)


async def test_resuming_a_queue_that_was_never_used_changes_nothing(
    repository: IJobRepository, queue: str
) -> None:
    assert not await repository.storage.queues.set_paused(queue, paused=False)


async def test_a_pause_holds_in_every_process(line: Line, connect: Connect) -> None:
    other = Line(await connect(), line.clock, line.queue)
    job = await line.add()
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    assert await other.repository.storage.queues.is_paused(line.queue)
    assert await other.claim() == []
    await other.repository.storage.queues.set_paused(line.queue, paused=False)
    assert ids(await line.claim()) == [job.id]


async def test_a_pause_survives_a_restart(line: Line, connect: Connect) -> None:
    await line.add()
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    await line.repository.close()
    restarted = Line(await connect(), line.clock, line.queue)
    assert await restarted.repository.storage.queues.is_paused(line.queue)
    assert await restarted.claim() == []


async def test_jobs_survive_a_restart(line: Line, connect: Connect) -> None:
    waiting, active = await line.add(priority=1), await line.add_active()
    await line.repository.close()
    restarted = Line(await connect(), line.clock, line.queue)
    assert await restarted.read(waiting) == waiting
    assert await restarted.read(active) == active
    assert ids(await restarted.claim()) == [waiting.id]


async def test_the_place_in_line_survives_a_restart(line: Line, connect: Connect) -> None:
    first = await line.add_many(2)
    await line.repository.close()
    restarted = Line(await connect(), line.clock, line.queue)
    later = await restarted.add()
    front = await restarted.add(lifo=True)
    assert ids(await restarted.claim()) == ids([front, *first, later])


async def test_running_jobs_go_on_in_a_paused_queue(line: Line) -> None:
    job = await line.add_active()
    await line.repository.storage.queues.set_paused(line.queue, paused=True)
    assert job.lock is not None
    [extension] = await line.repository.extend([job.lock], timedelta(seconds=60))
    assert extension.is_held


async def test_pausing_at_once_changes_it_once(repository: IJobRepository, queue: str) -> None:
    changes = await asyncio.gather(
        *(repository.storage.queues.set_paused(queue, paused=True) for _ in range(5))
    )
    assert sorted(changes) == [False, False, False, False, True]


# ── queues ───────────────────────────────────────────────────────────────────────────────────


async def test_queues_that_were_used_are_listed_sorted(
    repository: IJobRepository, clock: FrozenClock, queue: str
) -> None:
    names = [f"{queue}-{ending}" for ending in ("b", "a", "c")]
    for name in names[:2]:
        await Line(repository, clock, name).add()
    await repository.storage.queues.set_paused(names[2], paused=True)
    mine = [name for name in await repository.storage.queues.names() if name.startswith(queue)]
    assert mine == sorted(names)


async def test_a_queue_is_listed_though_it_is_empty_again(line: Line) -> None:
    job = await line.add()
    await line.repository.remove([job])
    assert line.queue in await line.repository.storage.queues.names()


async def test_looking_at_a_queue_does_not_use_it(repository: IJobRepository, queue: str) -> None:
    await repository.storage.queues.is_paused(queue)
    await repository.storage.queues.counts(queue)
    assert queue not in await repository.storage.queues.names()


# ── workers ──────────────────────────────────────────────────────────────────────────────────


async def test_a_beat_registers_a_worker(
    repository: IJobRepository, clock: FrozenClock, queue: str
) -> None:
    info = worker(queue)
    await repository.storage.workers.heartbeat(info)
    [found] = await repository.storage.workers.all(queue)
    assert (found.worker_id, found.queue, found.host) == (info.worker_id, queue, "höst")
    assert (found.process_id, found.concurrency, found.active) == (4711, 10, 0)
    assert found.started_at == found.seen_at == clock.now()


async def test_a_further_beat_updates_a_worker(
    repository: IJobRepository, clock: FrozenClock, queue: str
) -> None:
    info = worker(queue)
    await repository.storage.workers.heartbeat(info)
    started_at = clock.now()
    clock.advance(10)
    await repository.storage.workers.heartbeat(worker(queue, info.worker_id, active=3))
    [found] = await repository.storage.workers.all(queue)
    assert (found.started_at, found.seen_at, found.active) == (started_at, clock.now(), 3)


async def test_workers_are_listed_by_queue_the_oldest_first(
    repository: IJobRepository, clock: FrozenClock, queue: str
) -> None:
    first, second, elsewhere = worker(queue), worker(queue), worker(f"{queue}-other")
    for info in (first, elsewhere, second):
        await repository.storage.workers.heartbeat(info)
        clock.advance(1)
    await repository.storage.workers.heartbeat(first)
    of_queue = [info.worker_id for info in await repository.storage.workers.all(queue)]
    assert of_queue == [first.worker_id, second.worker_id]
    everywhere = [
        info.worker_id
        for info in await repository.storage.workers.all()
        if info.queue.startswith(queue)
    ]
    assert everywhere == [first.worker_id, elsewhere.worker_id, second.worker_id]


async def test_a_worker_that_signs_off_is_forgotten(repository: IJobRepository, queue: str) -> None:
    info = worker(queue)
    await repository.storage.workers.heartbeat(info)
    await repository.storage.workers.deregister(info.worker_id)
    await repository.storage.workers.deregister(info.worker_id)
    assert await repository.storage.workers.all(queue) == []


async def test_silent_workers_are_forgotten(
    repository: IJobRepository, clock: FrozenClock, queue: str
) -> None:
    silent, lively = worker(queue), worker(queue)
    for info in (silent, lively):
        await repository.storage.workers.heartbeat(info)
    clock.advance(60)
    await repository.storage.workers.heartbeat(lively)
    # Workers of other tests may be among those that are forgotten.
    assert await repository.storage.workers.forget_silent(timedelta(seconds=61)) >= 0
    assert len(await repository.storage.workers.all(queue)) == 2
    assert await repository.storage.workers.forget_silent(timedelta(seconds=59)) >= 1
    assert [info.worker_id for info in await repository.storage.workers.all(queue)] == [
        lively.worker_id
    ]


async def test_jobs_do_not_need_their_worker_to_be_registered(line: Line) -> None:
    """No rule depends on the registry."""
    job = await line.add_active()
    assert job.worker_id is not None
    await line.repository.storage.workers.deregister(job.worker_id)
    assert await line.read(job) == job
