"""How many jobs a worker takes, and when it asks."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob
from enfila.core.application.worker.throughput import MOST_AHEAD, Throughput
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import JobOptions
from enfila.infrastructure.queue.queue_service import QueueService
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.recording import Recording
from tests.core.application.worker.unreliable_repository import UnreliableRepository
from tests.waiting import eventually


class Gate:
    """A processor whose jobs wait until they are let go; remembers who began."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.began: list[str] = []

    async def __call__(self, job: ActiveJob[Any]) -> None:
        self.began.append(job.name)
        await self.open.wait()


async def _no_op(job: ActiveJob[Any]) -> None: ...


async def test_no_more_jobs_run_at_once_than_there_are_slots(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    running, most = 0, 0

    async def count(job: ActiveJob[Any]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1

    jobs = await queue.add_bulk([("count",)] * 200)
    async with make_worker(count, concurrency=7):
        await jobs[-1].result(timeout=10)
    assert most == 7


async def test_jobs_run_in_the_order_in_which_they_were_added(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    order: list[str] = []

    async def note(job: ActiveJob[Any]) -> None:
        order.append(job.name)

    names = [str(number) for number in range(300)]
    jobs = await queue.add_bulk([(name,) for name in names])
    urgent = await queue.add("urgent", None, JobOptions(priority=-1))
    async with make_worker(note):
        await jobs[-1].result(timeout=10)
        await urgent.result(timeout=10)
    assert order == ["urgent", *names]


async def test_fast_jobs_are_claimed_by_the_hundred(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    jobs = await queue.add_bulk([("no-op",)] * 5000)
    async with make_worker(_no_op, concurrency=10):
        await jobs[-1].result(timeout=30)
    assert max(claim.limit for claim in repository.claims) > 100
    assert len(repository.claims) < 500


async def test_slow_jobs_are_not_hoarded(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    gate = Gate()
    await queue.add_bulk([("slow",)] * 20)
    async with make_worker(gate, concurrency=3):
        await eventually(lambda: len(gate.began) == 3)
        assert (await queue.counts()).active == 3
        gate.open.set()
        await eventually(lambda: len(gate.began) == 20)
    assert repository.claims[0].limit == 3


async def test_jobs_held_for_slots_that_turn_out_slow_are_given_back(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    gate = Gate()

    async def fast_then_slow(job: ActiveJob[Any]) -> None:
        if job.name == "slow":
            await gate(job)

    await queue.add_bulk([("fast",)] * 2000)
    await queue.add_bulk([("slow",)] * 100)
    async with make_worker(fast_then_slow, concurrency=2):
        await eventually(lambda: len(gate.began) == 2)

        async def are_given_back() -> bool:
            return (await queue.counts()).active == 2

        await eventually(are_given_back)
        [job] = await queue.get_jobs(["waiting"], limit=1)
        assert job.attempt == 0
        gate.open.set()
        await eventually(lambda: len(gate.began) == 100)


async def test_a_fixed_prefetch_is_kept(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    gate = Gate()
    await queue.add_bulk([("slow",)] * 20)
    async with make_worker(gate, concurrency=2, prefetch=5):

        async def are_held() -> bool:
            return (await queue.counts()).active == 7

        await eventually(are_held)
        assert repository.claims[0].limit == 7
        gate.open.set()
        await eventually(lambda: len(gate.began) == 20)


async def test_no_prefetch_means_none(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    jobs = await queue.add_bulk([("no-op",)] * 300)
    async with make_worker(_no_op, concurrency=4, prefetch=0):
        await jobs[-1].result(timeout=10)
    assert max(claim.limit for claim in repository.claims) == 4


@pytest.mark.parametrize("prefetch", [0, 5, None])
@pytest.mark.parametrize("quick", [9, 10, 200])
async def test_long_jobs_behind_quick_ones_get_all_the_slots(
    queue: AnyQueue, make_worker: MakeWorker, quick: int, prefetch: int | None
) -> None:
    running = 0
    may_end = asyncio.Event()

    async def work(job: ActiveJob[Any]) -> None:
        nonlocal running
        if job.name == "long":
            running += 1
            await may_end.wait()

    await queue.add_bulk([("quick",)] * quick + [("long",)] * 30)
    async with make_worker(work, concurrency=10, prefetch=prefetch, poll_interval=60):
        await eventually(lambda: running == 10)
        may_end.set()


async def test_an_idle_worker_asks_at_its_poll_interval_and_no_more(
    make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    async with make_worker(_no_op, poll_interval=0.1):
        await eventually(lambda: len(repository.claims) >= 5)
        started, before = asyncio.get_running_loop().time(), len(repository.claims)
        await eventually(lambda: len(repository.claims) >= before + 5)
        elapsed = asyncio.get_running_loop().time() - started
    assert elapsed > 5 * 0.09 - 0.1


class _Hearing(InProcessWakeUp):
    """A wake-up that hears of other processes, until the test says otherwise."""

    hears = True

    @property
    def hears_others(self) -> bool:
        return self.hears


async def _claims_in(repository: UnreliableRepository, seconds: float) -> int:
    """How often idle workers ask in that time."""
    before, over = len(repository.claims), asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()
    return len(repository.claims) - before


async def test_an_idle_worker_that_hears_of_others_asks_more_and_more_seldom(
    repository: UnreliableRepository,
) -> None:
    wake_up = _Hearing()
    options = WorkerOptions(maintenance=None, poll_interval=0.02)
    async with (
        QueueService[Any, Any]("work", repository, wake_up=wake_up) as queue,
        WorkerService[Any, Any](queue, _no_op, options),
    ):
        await eventually(lambda: len(repository.claims) >= 5)
        # Five looks lie within 15 intervals; from now on there is one in 16.
        seldom = await _claims_in(repository, 0.5)
        wake_up.hears = False
        wake_up.arrived("work", Hint.JOBS)
        often = await _claims_in(repository, 0.5)
        assert seldom < often
        wake_up.hears = True
        job = await queue.add("work")
        await job.result(timeout=5)


async def test_one_idle_worker_of_a_process_asks_for_all(
    repository: UnreliableRepository,
) -> None:
    options = WorkerOptions(maintenance=None, poll_interval=0.05)
    async with (
        QueueService[Any, Any]("work", repository, wake_up=_Hearing()) as queue,
        AsyncExitStack() as workers,
    ):
        for _ in range(50):
            worker = WorkerService[Any, Any](queue, _no_op, options)
            await workers.enter_async_context(worker)
        await eventually(lambda: len(repository.claims) >= 50)
        # Each for itself they would ask a hundred times: in 16 intervals of 0.05 s, twice.
        assert await _claims_in(repository, 1.6) < 50
        jobs = await queue.add_bulk([("work",)] * 40)
        for job in jobs:
            await job.result(timeout=5)


async def test_a_delayed_job_is_run_in_time_by_one_that_asks_seldom(
    repository: UnreliableRepository,
) -> None:
    options = WorkerOptions(maintenance=None, poll_interval=0.01)
    async with (
        QueueService[Any, Any]("work", repository, wake_up=_Hearing()) as queue,
        WorkerService[Any, Any](queue, _no_op, options),
    ):
        await eventually(lambda: len(repository.claims) >= 5)
        for delay in (0.3, 0.2, 0.1):
            job = await queue.add("work", None, JobOptions(delay=delay))
            assert await job.result(timeout=delay + 5) is None


async def test_a_job_that_is_due_and_cannot_be_had_does_not_make_it_spin(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    await queue.add("not mine", None, JobOptions(delay=0.01))
    async with make_worker({"mine": _no_op}, poll_interval=30):
        waited = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, waited.set)
        await waited.wait()
    assert len(repository.claims) < 15


async def test_a_hint_wakes_an_idle_worker(queue: AnyQueue, make_worker: MakeWorker) -> None:
    async with make_worker(_no_op, poll_interval=60):
        for _ in range(20):
            job = await queue.add("no-op")
            await job.result(timeout=5)


async def test_a_job_that_was_added_without_a_hint_is_found_by_polling(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    elsewhere = QueueService[Any, Any]("work", repository)  # with a wake-up of its own
    async with make_worker(_no_op, poll_interval=0.05), elsewhere:
        await eventually(lambda: "until_next_due" in repository.calls)
        job = await elsewhere.add("no-op")

        async def is_completed() -> bool:
            return (await job.refresh()).state == "completed"

        await eventually(is_completed)


async def test_more_slots_are_used_at_once_and_fewer_as_they_become_free(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    gate = Gate()
    await queue.add_bulk([("slow",)] * 30)
    async with make_worker(gate, concurrency=2, prefetch=0) as worker:
        await eventually(lambda: len(gate.began) == 2)
        worker.concurrency = 6
        await eventually(lambda: len(gate.began) == 6)
        assert (worker.concurrency, worker.active_count) == (6, 6)
        worker.concurrency = 1
        assert worker.active_count == 6
        gate.open.set()
        await eventually(lambda: len(gate.began) == 30)
        await eventually(lambda: worker.active_count == 0)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, 100_001])
async def test_a_concurrency_that_makes_no_sense_is_refused(
    make_worker: MakeWorker, value: Any
) -> None:
    worker = make_worker(_no_op)
    with pytest.raises(InvalidRequest, match="concurrency"):
        worker.concurrency = value
    assert worker.concurrency == 1


async def test_a_paused_worker_takes_nothing_and_gives_back_what_it_held(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    gate = Gate()
    await queue.add_bulk([("slow",)] * 10)
    async with make_worker(gate, concurrency=2, prefetch=4) as worker:
        await eventually(lambda: len(gate.began) == 2)
        worker.pause()
        assert worker.is_paused

        async def are_given_back() -> bool:
            return (await queue.counts()).active == 2

        await eventually(are_given_back)
        gate.open.set()
        await eventually(lambda: worker.active_count == 0)
        assert len(gate.began) == 2
        worker.resume()
        await eventually(lambda: len(gate.began) == 10)


async def test_a_paused_queue_gives_nothing_until_it_is_resumed(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    await queue.pause()
    async with make_worker(_no_op, poll_interval=60):
        job = await queue.add("no-op")
        with pytest.raises(TimeoutError):
            await job.result(timeout=0.05)
        await queue.resume()
        await job.result(timeout=5)


async def test_two_workers_share_the_jobs_and_run_each_once(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    began: list[str] = []

    async def note(job: ActiveJob[Any]) -> None:
        began.append(job.id)
        await asyncio.sleep(0)

    drained = Recording(queue, "queue.drained")
    async with make_worker(note, concurrency=3), make_worker(note, concurrency=3):
        jobs = await queue.add_bulk([("note",)] * 500)
        await jobs[-1].result(timeout=10)
        await eventually(lambda: drained.events)
    assert sorted(began) == sorted(job.id for job in jobs)
    assert len(drained.events) == 1


def test_the_pace_is_what_ended_per_second_while_there_was_work() -> None:
    pace = Throughput()
    pace.observe(0.0, 0)
    pace.observe(0.1, 100)
    assert pace.per_second == pytest.approx(1000)
    assert pace.worth_holding == 100
    pace.rest()
    pace.observe(60.0, 100)  # an idle minute
    assert pace.worth_holding == 100
    pace.observe(61.0, 101)  # a slow job
    assert pace.worth_holding == 0


def test_the_pace_is_bounded() -> None:
    pace = Throughput()
    pace.observe(0.0, 0)
    pace.observe(0.001, 10)  # too short to say anything
    assert pace.worth_holding == 0
    pace.observe(0.1, 1_000_000)
    assert pace.worth_holding == MOST_AHEAD
