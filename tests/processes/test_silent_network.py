"""The network to PostgreSQL falls silent: nothing arrives, and nothing says so."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import sqlalchemy as sa

from enfila import Enfila, JobState, RepositoryUnavailable
from tests.contract.adapters import with_driver
from tests.processes.history import Blow, Completed, Ending, Finished, Lost, Ready, Troubled
from tests.processes.place import Place
from tests.processes.programs import Program
from tests.processes.scene import QUEUE, Scene
from tests.processes.worker_program import LONG, WorkerPlan
from tests.silent_proxy import SilentProxy

pytestmark = [pytest.mark.processes, pytest.mark.postgres, pytest.mark.thorough]

GRACE: Final = 1.0
BOUND: Final = GRACE + 10
"""Seconds in which a worker has ended, whatever its database does."""


@pytest.fixture(params=["postgresql-asyncpg", "postgresql-psycopg"])
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def place(postgres_url: str) -> Place:
    return Place(postgres_url, f"silent_{random.SystemRandom().getrandbits(32):08x}")


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[SilentProxy]:
    proxy = SilentProxy(sa.make_url(postgres_url))
    async with proxy.serving():
        yield proxy


async def worker_behind(proxy: SilentProxy, scene: Scene, adapter: str, **facts: Any) -> Program:
    """A worker process whose way to the database can fall silent."""
    url = with_driver(proxy.url.render_as_string(hide_password=False), adapter)
    given = {"concurrency": 2, "lock": 4.0, "maintenance": 0.4, "poll": 0.3, "grace": GRACE}
    worker = scene.programs.start(
        "worker_program",
        WorkerPlan,
        place=Place(url, scene.place.schema),
        queue=QUEUE,
        **{**given, **facts},
    )
    await worker.wrote(Ready)
    return worker


async def test_a_signal_ends_a_worker_whose_network_is_silent(
    scene: Scene, proxy: SilentProxy, adapter: str
) -> None:
    worker = await worker_behind(proxy, scene, adapter)
    job = await scene.queue.add("long", {"seconds": LONG, "logs": True})
    await scene.runner_of(job)
    proxy.fall_silent()
    worker.strike(Blow.TERMINATE)
    assert await worker.ends_well() < BOUND
    assert (await worker.wrote(Finished)).ending is Ending.CANCELLED


async def test_a_signal_ends_a_worker_that_has_met_the_silence_before(
    scene: Scene, proxy: SilentProxy, adapter: str
) -> None:
    """Its claims, renewals and heartbeats hang by then."""
    worker = await worker_behind(proxy, scene, adapter, lock=3.0, heartbeat=0.5)
    job = await scene.queue.add("long", {"seconds": LONG})
    await scene.runner_of(job)
    proxy.fall_silent()
    await worker.wrote(Lost)
    worker.strike(Blow.TERMINATE)
    assert await worker.ends_well() < BOUND


async def test_a_job_is_stopped_when_its_lock_ends_and_the_worker_goes_on_afterwards(
    scene: Scene, proxy: SilentProxy, adapter: str
) -> None:
    worker = await worker_behind(proxy, scene, adapter, lock=3.0)
    job = await scene.queue.add("first long", {"seconds": [LONG, 0]})
    await scene.runner_of(job)
    proxy.fall_silent()
    assert (await worker.wrote(Finished)).ending is Ending.CANCELLED
    assert not await scene_has_taken_over(scene, job.id)
    await worker.wrote(Troubled)
    proxy.speak_again()
    await worker.wrote(Completed, job=job.id)
    worker.strike(Blow.TERMINATE)
    await worker.ends_well()


async def scene_has_taken_over(scene: Scene, job_id: str) -> bool:
    """Whether somebody else could have run the job by now."""
    job = await scene.queue.get_job(job_id)
    assert job is not None
    return (await job.refresh()).state is not JobState.ACTIVE


async def test_on_a_path_that_is_dead_alone_locks_are_renewed_over_a_new_one(
    scene: Scene, proxy: SilentProxy, adapter: str
) -> None:
    worker = await worker_behind(proxy, scene, adapter, lock=6.0, maintenance=None)
    job = await scene.queue.add("long", {"seconds": 9})
    await scene.runner_of(job)
    proxy.forget_connections()
    await worker.wrote(Completed, job=job.id)
    assert not worker.has(Lost)
    worker.strike(Blow.TERMINATE)
    assert await worker.ends_well() < BOUND


# ── programs that add ────────────────────────────────────────────────────────────────────────


async def test_an_addition_into_silence_is_refused_and_closing_is_not_held(
    proxy: SilentProxy, place: Place, adapter: str
) -> None:
    url = with_driver(proxy.url.render_as_string(hide_password=False), adapter)
    async with asyncio.timeout(60):
        async with Enfila(url, schema=place.schema) as app:
            queue = app.queue(QUEUE)
            await queue.add("before")
            proxy.fall_silent()
            adding: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(queue.add("meanwhile")) for _ in range(3)
            ]
            adding.append(asyncio.ensure_future(queue.add_bulk([("bulk", None)] * 3_000)))
            adding.append(asyncio.ensure_future(queue.counts()))
            await asyncio.wait(adding, timeout=0.1)
        for answer in await asyncio.gather(*adding, return_exceptions=True):
            assert isinstance(answer, RepositoryUnavailable), answer
    proxy.speak_again()
