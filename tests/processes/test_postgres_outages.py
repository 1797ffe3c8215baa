"""PostgreSQL goes away and comes back."""

import random
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Literal

import pytest
import sqlalchemy as sa

from enfila import Enfila, RepositoryUnavailable
from tests.postgres_servers import NoServerError, OwnServer, own_server
from tests.processes.chaos import Blows, ChaosPlan, Crowd, cut_connections, run_chaos
from tests.processes.history import Blow, Started, Struck
from tests.processes.place import Place, states
from tests.processes.scene import Scene
from tests.processes.worker_program import LONG
from tests.waiting import eventually

pytestmark = [pytest.mark.processes, pytest.mark.postgres]

SOON = LONG / 6
"""Seconds that are far less than the poll interval, so that only a wake-up can be the reason."""


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """A server of our own: it is stopped, and that is to hurt nobody else."""
    try:
        with own_server() as server:
            yield server
    except NoServerError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def place(server: OwnServer) -> Place:
    number = random.SystemRandom().getrandbits(32)
    return Place(server.url.render_as_string(hide_password=False), f"outages_{number:08x}")


# ── under load ───────────────────────────────────────────────────────────────────────────────


def quick(seconds: float) -> ChaosPlan:
    seed = random.SystemRandom().randrange(10**6)
    return ChaosPlan(seed=seed, seconds=seconds, workers=2, enqueuers=1, rate=150)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_workers_go_on_by_themselves_after_a_restart(
    server: OwnServer, place: Place, tmp_path: Path
) -> None:
    """The server is stopped in turn with `fast` and with `immediate`."""

    def outages(crowd: Crowd) -> Blows:
        ways: Iterator[Literal["fast", "immediate"]] = cycle(["fast", "immediate"])

        def outage() -> None:
            crowd.programs.blows.write(Struck, target="all", blow=Blow.OUTAGE)
            server.stop(next(ways))
            time.sleep(crowd.random.uniform(0.2, 1.0))
            server.start()

        return {outage: 1}

    verdict = run_chaos(quick(5), place, tmp_path / "history", outages)
    assert verdict.violations == [], verdict
    assert verdict.stored.jobs, verdict


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_workers_go_on_when_their_connections_are_cut_again_and_again(
    place: Place, tmp_path: Path
) -> None:
    def cuts(crowd: Crowd) -> Blows:
        return {crowd.cut_connections: 1}

    verdict = run_chaos(quick(4), place, tmp_path / "history", cuts)
    assert verdict.violations == [], verdict
    assert verdict.stored.jobs, verdict


# ── wake-ups ─────────────────────────────────────────────────────────────────────────────────


async def pickup(scene: Scene) -> float:
    """Seconds from the addition of a job until another process has started it."""
    job = await scene.queue.add("any", {})
    added_at = time.time()
    worker = await scene.runner_of(job)
    return (await worker.wrote(Started, job=job.id)).at - added_at


async def test_listening_begins_again_by_itself(scene: Scene) -> None:
    await scene.worker(poll=LONG)
    await eventually(lambda: listeners(scene.place) == 2, message="both listen")
    assert await pickup(scene) < SOON
    cut_connections(scene.place)
    assert await pickup(scene) < SOON  # while the connections are made anew
    await eventually(lambda: listeners(scene.place) == 2, message="both listen again")
    assert await pickup(scene) < SOON


async def test_listening_begins_again_after_an_outage(scene: Scene, server: OwnServer) -> None:
    await scene.worker(poll=LONG)
    await eventually(lambda: listeners(scene.place) == 2, message="both listen")
    server.stop("fast")
    server.start()
    assert await pickup(scene) < SOON
    await eventually(lambda: listeners(scene.place) == 2, message="both listen again")
    assert await pickup(scene) < SOON


def listeners(place: Place) -> int:
    """How many connections wait for notifications."""
    with place.connection() as connection:
        found: int = connection.scalar(
            sa.text("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%listen'")
        )
    return found


# ── adding ───────────────────────────────────────────────────────────────────────────────────


async def test_an_addition_without_a_server_is_refused_and_says_where(
    scene: Scene, server: OwnServer
) -> None:
    before = await scene.queue.add("before", {})
    server.stop("fast")
    try:
        for _ in range(2):  # on a connection of the pool, then on a new one
            with pytest.raises(RepositoryUnavailable) as refusal:
                await scene.queue.add("meanwhile", {})
            assert f"127.0.0.1:{server.url.port}/postgres" in str(refusal.value)
            assert not refusal.value.uncertain
        with pytest.raises(RepositoryUnavailable):
            await scene.queue.add_bulk([("meanwhile", {}) for _ in range(10)])
    finally:
        server.start()
    after = await scene.queue.add("after", {})
    assert states(scene.place) == {"waiting": 2}
    assert [job.id for job in await scene.queue.get_jobs()] == [before.id, after.id]
    assert (await scene.queue.counts()).waiting == 2


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_start_without_a_server_is_refused_and_says_where(
    server: OwnServer, driver: str
) -> None:
    url = server.url.set(drivername=f"postgresql+{driver}", username="ada", password="secret")
    app = Enfila(url.render_as_string(hide_password=False))
    server.stop("fast")
    try:
        with pytest.raises(RepositoryUnavailable) as refusal:
            await app.open()
    finally:
        server.start()
    assert f"ada:***@127.0.0.1:{server.url.port}/postgres" in str(refusal.value)
    await app.close()
