"""PostgreSQL refuses, or rolls back: what is tried again, and what the caller is told."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import URL

from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Lock
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_database import (
    ServerDatabase,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.choosing import engine_url
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.drivers import (
    driver_of,
)
from enfila.infrastructure.persistence.sqlalchemy.storage import SqlAlchemyStorage
from enfila.testing import FrozenClock
from tests.contract.adapters import with_driver
from tests.contract.building import Line, completed
from tests.postgres_servers import new_database

SECOND_DRIVER_IS_THOROUGH = True
pytestmark = pytest.mark.postgres

DRIVERS: Final = ["postgresql-asyncpg", "postgresql-psycopg"]
USERS: Final = 8
"""So many statements at once that the pool has more connections than there are tries."""


@pytest.fixture(params=DRIVERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def own_database(database_server: URL) -> Iterator[str]:
    """A database whose settings a test may change."""
    with new_database(database_server) as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture
async def line(adapter: str, own_database: str) -> AsyncIterator[Line]:
    clock = FrozenClock()
    repository = SqlAlchemyJobRepository(with_driver(own_database, adapter), clock=clock)
    await repository.open()
    yield Line(repository, clock, "q")
    await repository.close()


@pytest.fixture
def admin(own_database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(own_database, autocommit=True) as connection:
        yield connection


# ── every way to write ───────────────────────────────────────────────────────────────────────

Write = Callable[[Line, Job], Awaitable[object]]


def claim(line: Line, _job: Job) -> Awaitable[object]:
    return line.repository.claim(Claim("q", new_worker_id(), 2, timedelta(seconds=30)))


def lock_of(job: Job) -> Lock:
    assert job.lock is not None
    return job.lock


WRITES: Final[dict[str, Write]] = {
    "add": lambda line, _: line.repository.add([line.make()]),
    "add a bulk": lambda line, _: line.repository.add([line.make() for _ in range(2_100)]),
    "claim": claim,
    "complete": lambda line, job: line.repository.apply([job.settle(completed())]),
    "extend": lambda line, job: line.repository.extend([lock_of(job)], timedelta(seconds=60)),
    "log": lambda line, job: line.repository.update_progress(
        [ProgressUpdate(job.id, job.token, job.attempt, None, ("said",), 10)]
    ),
    "remove": lambda line, job: line.repository.remove([job]),
    "pause": lambda line, _: line.repository.storage.queues.set_paused("q", paused=True),
    "compact": lambda line, _: line.repository.storage.compact(),
}


@pytest.fixture(params=list(WRITES))
def write(request: pytest.FixtureRequest) -> Write:
    return WRITES[request.param]


# ── a server that only reads for a while ─────────────────────────────────────────────────────


@contextmanager
def reading_only(admin: psycopg.Connection) -> Iterator[None]:
    """New connections of the database only read, and stay so for as long as they live."""
    name = admin.info.dbname
    admin.execute(f'alter database "{name}" set default_transaction_read_only = on'.encode())
    try:
        yield
    finally:
        admin.execute(f'alter database "{name}" reset default_transaction_read_only'.encode())


async def fill_the_pool(line: Line) -> None:
    """Opens as many connections as the pool allows, and leaves them there."""

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.text("select pg_sleep(0.05)"))

    storage = line.repository.storage
    assert isinstance(storage, SqlAlchemyStorage)
    access = storage.access
    await asyncio.gather(*(access.read(work) for _ in range(USERS)), return_exceptions=True)


async def test_connections_that_only_read_are_given_up_all_together(
    line: Line, admin: psycopg.Connection, write: Write
) -> None:
    """The first write after a failover takes place, though every pooled connection is useless."""
    job = await line.add_active()
    await line.add()
    with reading_only(admin):
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        await fill_the_pool(line)
        with pytest.raises(RepositoryUnavailable, match="read-only transaction") as refusal:
            await write(line, job)
        assert not refusal.value.uncertain
        await fill_the_pool(line)
    await write(line, job)
    await asyncio.gather(*(line.add() for _ in range(USERS)))


# ── rolled back by the server ────────────────────────────────────────────────────────────────


@pytest.fixture
async def database(adapter: str, own_database: str) -> AsyncIterator[ServerDatabase]:
    url = engine_url(with_driver(own_database, adapter))
    database = ServerDatabase(url, driver_of(url), pool_size=5)
    yield database
    await database.close()


FAIL: Final = "do $$ begin raise exception 'no' using errcode = '{}'; end $$"

ROLLED_BACK: Final = ["40001", "40P01", "55P03"]


@pytest.mark.parametrize("state", ROLLED_BACK)
async def test_a_transaction_that_was_rolled_back_is_tried_again(
    database: ServerDatabase, state: str
) -> None:
    tries = 0

    def work(connection: sa.Connection) -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            connection.exec_driver_sql(FAIL.format(state))
        return tries

    assert await database.write(work) == 3


@pytest.mark.parametrize("state", ROLLED_BACK)
async def test_tries_are_bounded_and_then_it_is_known_that_nothing_was_written(
    database: ServerDatabase, state: str
) -> None:
    tries = 0

    def work(connection: sa.Connection) -> None:
        nonlocal tries
        tries += 1
        connection.exec_driver_sql(FAIL.format(state))

    with pytest.raises(RepositoryUnavailable) as refusal:
        await database.write(work)
    assert tries == 5
    assert not refusal.value.uncertain


# What the server may answer to a commit; True where it may have taken place.
ANSWERS: Final = {
    "25006": False,
    "40001": False,
    "40P01": False,
    "55P03": False,
    "57014": False,
    "57P01": False,
    "57P03": False,
    "53300": False,
    "53100": False,
    "25P03": False,
    "08006": True,
    "08P01": True,
    "40003": True,
    "57P02": True,
    "58030": True,
}


@pytest.mark.parametrize(("state", "is_uncertain"), ANSWERS.items())
async def test_whether_a_failed_commit_may_have_taken_place(
    database: ServerDatabase, own_database: str, state: str, is_uncertain: bool
) -> None:
    """The commit itself fails: a constraint that is looked at then."""
    with psycopg.connect(own_database, autocommit=True) as admin:
        admin.execute("create table t (a int)")
        admin.execute(
            "create function fails() returns trigger language plpgsql as "
            f"$$ begin raise exception 'no' using errcode = '{state}'; end $$".encode()
        )
        admin.execute(
            "create constraint trigger late after insert on t deferrable initially deferred "
            "for each row execute function fails()"
        )
    with pytest.raises(RepositoryUnavailable) as refusal:
        await database.write(
            lambda connection: connection.exec_driver_sql("insert into t values (1)")
        )
    assert refusal.value.uncertain is is_uncertain


async def test_two_transactions_that_wait_for_each_other_both_succeed(
    database: ServerDatabase, own_database: str
) -> None:
    with psycopg.connect(own_database, autocommit=True) as admin:
        admin.execute("create table t (a int primary key, n int)")
        admin.execute("insert into t values (1, 0), (2, 0)")
    both_have_one = asyncio.Barrier(2)

    def work(first: int, second: int) -> Callable[[sa.Connection], None]:
        tries = 0

        def run(connection: sa.Connection) -> None:
            nonlocal tries
            tries += 1
            connection.execute(sa.text(f"update t set n = n + 1 where a = {first}"))
            if tries == 1:
                sa.util.await_only(both_have_one.wait())
            connection.execute(sa.text(f"update t set n = n + 1 where a = {second}"))

        return run

    async with asyncio.timeout(20):
        await asyncio.gather(database.write(work(1, 2)), database.write(work(2, 1)))
    read: Any = await database.read(
        lambda connection: connection.scalars(sa.text("select n from t")).all()
    )
    assert read == [2, 2]


async def test_a_refused_connection_wrote_nothing(adapter: str) -> None:
    port = random.SystemRandom().randrange(1, 1_000)  # nobody listens on a port of the system's
    repository = SqlAlchemyJobRepository(with_driver(f"postgresql://a@127.0.0.1:{port}/b", adapter))
    with pytest.raises(RepositoryUnavailable) as refusal:
        await repository.add([Line(repository, FrozenClock(), "q").make()])
    assert not refusal.value.uncertain
    await repository.close()


# ── the role's own limits ────────────────────────────────────────────────────────────────────


async def test_a_lock_that_is_waited_for_too_long_is_a_refusal_in_words(
    adapter: str, own_database: str, admin: psycopg.Connection
) -> None:
    name = admin.info.dbname
    admin.execute(f"alter database \"{name}\" set lock_timeout = '20ms'".encode())
    repository = SqlAlchemyJobRepository(with_driver(own_database, adapter))
    line = Line(repository, FrozenClock(), "q")
    await repository.open()
    job = await line.add_active()
    with psycopg.connect(own_database) as holder:
        for table in ("jobs", "job_logs"):
            holder.execute(f"lock table enfila_{table}".encode())
        for write in ("add", "claim", "complete", "extend", "log"):
            with pytest.raises(RepositoryUnavailable, match="lock timeout") as refusal:
                await WRITES[write](line, job)
            assert not refusal.value.uncertain, write
    await WRITES["log"](line, job)
    assert await line.state(job) is JobState.ACTIVE
    await repository.close()
