"""How transactions are run: on a file, and on a server."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from enfila import Enfila
from enfila.core.domain.errors import AlreadyClosed
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database
from enfila.infrastructure.persistence.sqlalchemy.database.server import server_database
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_database import (
    ServerDatabase,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.choosing import engine_url
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.drivers import (
    driver_of,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.file_database import FileDatabase
from enfila.testing import FrozenClock
from tests.contract.building import Line, ids, make_job
from tests.waiting import eventually

POSTGRES = pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres)
KEY = Deduplication.while_unfinished("key")


@pytest.fixture
async def database(adapter: str, url: str) -> AsyncIterator[Database]:
    database: Database = (
        FileDatabase(engine_url(url), synchronous="OFF")
        if adapter == "sqlite"
        else ServerDatabase(engine_url(url), driver_of(engine_url(url)), pool_size=2)
    )
    yield database
    await database.close()


def failing(connection: sa.Connection) -> None:
    connection.execute(sa.text("there_is_no_such_statement"))


# ── errors ───────────────────────────────────────────────────────────────────────────────────


async def test_an_error_that_is_no_outage_comes_out_as_it_is(database: Database) -> None:
    for attempt in (database.read(failing), database.write(failing)):
        with pytest.raises(sa.exc.DBAPIError, match="there_is_no_such_statement") as raised:
            await attempt
        assert raised.value.__cause__ is not None
        assert raised.value.__cause__ is not raised.value


async def test_after_an_error_the_next_one_is_served(database: Database) -> None:
    def one(connection: sa.Connection) -> Any:
        return connection.scalar(sa.text("select 1"))

    for _ in range(15):
        with pytest.raises(sa.exc.DBAPIError):
            await database.write(failing)
        assert (await database.write(one), await database.read(one)) == (1, 1)


async def test_a_cancelled_caller_does_not_cut_the_write(
    database: Database, engine: sa.Engine, adapter: str
) -> None:
    table = f"t{uuid4().hex[:8]}"
    loop, has_ended = asyncio.get_running_loop(), threading.Event()

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.text(f"create table {table} (a int)"))
        loop.call_soon_threadsafe(caller.cancel)
        if adapter == "sqlite":  # which has a thread of its own, and needs no turn of the loop
            assert has_ended.wait(10)
        connection.execute(sa.text(f"insert into {table} values (1)"))

    caller = asyncio.create_task(database.write(work))
    caller.add_done_callback(lambda _: has_ended.set())
    with pytest.raises(asyncio.CancelledError):
        await caller
    await database.close()
    with engine.connect() as connection:
        assert connection.scalar(sa.text(f"select a from {table}")) == 1


async def test_after_closing_it_says_so(database: Database) -> None:
    await database.write(lambda _: None)
    await database.close()
    await database.close()
    for use in (database.read, database.write):
        with pytest.raises(AlreadyClosed, match=r"^the repository on "):
            await use(lambda _: None)


# ── a file ───────────────────────────────────────────────────────────────────────────────────


async def test_whatever_is_handed_in_while_it_closes_is_answered(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or refused, and never left waiting behind the end."""
    check = FileDatabase._check_open  # noqa: SLF001 - made slow, so that closing may come between

    def check_slowly(self: FileDatabase) -> None:
        check(self)
        time.sleep(0.001)

    monkeypatch.setattr(FileDatabase, "_check_open", check_slowly)
    for _ in range(5):
        database = FileDatabase(engine_url(sqlite_url), synchronous="OFF")
        answers: list[Future[None]] = []
        may_close = threading.Event()
        threads = [
            asyncio.create_task(asyncio.to_thread(hand_in, database, answers, may_close))
            for _ in range(3)
        ]
        assert await asyncio.to_thread(may_close.wait, 10)
        await database.close()
        await asyncio.gather(*threads)
        assert all(answer.result(timeout=5) is None for answer in answers)


def hand_in(
    database: FileDatabase, answers: list[Future[None]], has_begun: threading.Event
) -> None:
    """Hands in as much as it can before it is refused."""
    for _ in range(200):
        try:
            answers.append(database.submit(lambda _: None))
        except AlreadyClosed:
            return
        has_begun.set()


async def test_a_database_in_memory_outlives_a_failed_write() -> None:
    repository = SqlAlchemyJobRepository("sqlite://")
    job = make_job("q", clock=FrozenClock())
    await repository.add([job])
    wrong: Any = "not a job"
    with pytest.raises(AttributeError):
        await repository.remove([wrong])
    assert list(await repository.get([job.id])) == [job.id]
    await repository.close()


# ── a server ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("adapter", [POSTGRES], indirect=True)
def test_connections_that_nobody_closed_end_with_their_loop(url: str, postgres_url: str) -> None:
    name = f"q-{uuid4().hex}"

    async def add() -> None:
        await Enfila(url).queue(name).add("a")

    asyncio.run(add())
    question = (
        "select count(*) from pg_stat_activity "
        "where application_name = 'enfila' and datname = current_database()"
    )

    with psycopg.connect(postgres_url, autocommit=True) as server:
        asyncio.run(eventually(lambda: server.execute(question).fetchone() == (0,)))


# ── housekeeping ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def line(url: str, prefix: str) -> AsyncIterator[Line]:
    clock = FrozenClock()
    repository = SqlAlchemyJobRepository(url, clock=clock, table_prefix=prefix)
    await repository.open()
    yield Line(repository, clock, "q")
    await repository.close()


async def test_keys_that_hold_nothing_any_more_are_dropped_and_the_others_kept(
    line: Line, engine: sa.Engine, prefix: str
) -> None:
    gone = await line.add(deduplication=Deduplication.while_unfinished("of a removed job"))
    await line.add(deduplication=Deduplication.while_unfinished("live"))
    await line.add(deduplication=Deduplication.for_time("over", 60))
    line.clock.advance(30)
    await line.add(deduplication=Deduplication.for_time("not over", 60))
    assert await line.repository.remove([gone]) == [True]
    line.clock.advance(31)
    await line.repository.storage.compact()
    with engine.connect() as connection:
        keys = connection.scalars(sa.text(f"select key from {prefix}deduplications"))
        assert sorted(keys) == ["live", "not over"]


@pytest.mark.parametrize("adapter", [POSTGRES], indirect=True)
async def test_a_key_that_is_taken_while_housekeeping_looks_at_it_is_not_dropped(
    line: Line, url: str
) -> None:
    """Its row is locked, and what it holds is not committed yet."""
    gone = await line.add(deduplication=KEY)
    assert await line.repository.remove([gone]) == [True]
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        [taken] = await line.repository.storage.transactional_jobs.add(
            [line.make(deduplication=KEY)], connection
        )
        compacting = asyncio.create_task(line.repository.storage.compact())
        waits = sa.text("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")

        async def waits_or_is_done() -> bool:
            async with engine.connect() as looking:
                return compacting.done() or bool(await looking.scalar(waits))

        await eventually(waits_or_is_done)
        await connection.commit()
        await compacting
    await engine.dispose()
    again = await line.put(line.make(deduplication=KEY))
    assert (again.job.id, again.is_duplicate) == (taken.job.id, True)


async def test_folding_counters_changes_no_count(line: Line) -> None:
    for _ in range(70):
        await line.repository.add([line.make(), line.make(delay=60), line.make(priority=1)])
    await line.claim(100)
    before = await line.repository.storage.queues.counts("q")
    await asyncio.gather(*(line.repository.storage.compact() for _ in range(3)))
    assert await line.repository.storage.queues.counts("q") == before
    assert (before.waiting, before.delayed, before.active) == (40, 70, 100)


# ── a bulk ───────────────────────────────────────────────────────────────────────────────────


REFUSALS = {
    "sqlite": [
        (
            "create trigger {jobs}_refusal before insert on {jobs} when new.name = '4200' "
            "begin select raise(abort, 'the database fails'); end"
        ),
    ],
    "postgresql": [
        (
            "create function {jobs}_fails() returns trigger language plpgsql as "
            "'begin raise ''the database fails''; end'"
        ),
        (
            "create trigger {jobs}_refusal before insert on {jobs} for each row "
            "when (new.name = '4200') execute function {jobs}_fails()"
        ),
    ],
}


async def test_a_bulk_that_is_cut_off_in_the_middle_leaves_nothing(
    url: str, prefix: str, engine: sa.Engine
) -> None:
    """The database fails after many of the jobs were inserted."""
    repository = SqlAlchemyJobRepository(url, table_prefix=prefix, clock=FrozenClock())
    line = Line(repository, FrozenClock(), "bulk")
    await line.add("was there before")
    with engine.begin() as connection:
        for statement in REFUSALS[engine.dialect.name]:
            connection.execute(sa.text(statement.format(jobs=f"{prefix}jobs")))
    with pytest.raises(sa.exc.DBAPIError, match="the database fails"):
        await repository.add([line.make(str(number)) for number in range(4_500)])
    assert await line.count(JobState.WAITING) == 1
    assert [job.name for job in await line.claim(10)] == ["was there before"]
    await repository.close()


async def test_a_large_bulk_keeps_its_order_and_is_counted(url: str, prefix: str) -> None:
    """More jobs than fit into one statement; some of them are stored already."""
    repository = SqlAlchemyJobRepository(url, table_prefix=prefix, clock=FrozenClock())
    line = Line(repository, FrozenClock(), "bulk")
    jobs = [line.make(str(number)) for number in range(4_500)]
    first = await repository.add(jobs[:10])
    added = await repository.add(jobs)
    assert [answer.job for answer in added[:10]] == [answer.job for answer in first]
    assert [answer.job.id for answer in added] == ids(jobs)
    assert await line.count(JobState.WAITING) == 4_500
    assert ids(await line.claim(5_000)) == ids(jobs)
    await repository.close()


# ── a cut of all connections ─────────────────────────────────────────────────────────────────


@pytest.mark.postgres
async def test_when_all_connections_are_cut_at_once_no_statement_fails(postgres_url: str) -> None:
    """More of them lie in the pool than there are tries."""
    url = postgres_url.replace("postgresql", "postgresql+asyncpg", 1)
    repository = SqlAlchemyJobRepository(url)
    request = Claim(f"q-{uuid4().hex}", new_worker_id(), 2, timedelta(seconds=30))
    try:
        for _ in range(2):
            await asyncio.gather(*(repository.claim(request) for _ in range(12)))
        with psycopg.connect(postgres_url, autocommit=True) as server:
            cut = server.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where application_name = 'enfila' and datname = current_database()"
            ).fetchall()
        assert len(cut) > server_database._MOST_TRIES  # noqa: SLF001 - what the test is about
        assert await repository.claim(request) == []
    finally:
        await repository.close()
