"""Behind PgBouncer everything works without a setting, in transaction mode and in session mode."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from enfila import (
    ActiveJob,
    Enfila,
    Interval,
    InvalidRequest,
    JobOptions,
    JobState,
    NewJob,
    SchedulerOptions,
    WorkerOptions,
    migrate,
)
from tests.contract.adapters import with_driver
from tests.pgbouncer import PgBouncer, pgbouncer
from tests.postgres_servers import new_database
from tests.waiting import eventually

SECOND_DRIVER_IS_THOROUGH = True
pytestmark = pytest.mark.postgres

# Each transaction gets another connection to the server than the one before.
_TRANSACTION: Final = {
    "pool_mode": "transaction",
    "default_pool_size": "4",
    "min_pool_size": "4",
    "server_round_robin": "1",
}
_IGNORED: Final = (
    "jit,enable_seqscan,enable_bitmapscan,enable_hashjoin,enable_mergejoin,intervalstyle,"
    "statement_timeout,default_transaction_isolation,options"
)
POOLERS: Final = {
    "transaction": _TRANSACTION,
    "transaction, settings ignored": {**_TRANSACTION, "ignore_startup_parameters": _IGNORED},
    "session": {"pool_mode": "session", "default_pool_size": "40"},
}
DRIVERS: Final = ["postgresql-asyncpg", "postgresql-psycopg"]


@pytest.fixture
def own_database(database_server: URL) -> Iterator[URL]:
    with new_database(database_server) as url:
        yield url


@pytest.fixture(params=POOLERS)
def pooler(
    request: pytest.FixtureRequest, own_database: URL, tmp_path: Path
) -> Iterator[PgBouncer]:
    with pgbouncer(own_database, tmp_path, **POOLERS[request.param]) as pooler:
        yield pooler


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def through(pooler: PgBouncer, driver: str) -> str:
    """The URL that leads through the pooler."""
    return with_driver(pooler.url.render_as_string(hide_password=False), driver)


@pytest.fixture
def direct(own_database: URL, driver: str) -> str:
    """The URL of the server itself."""
    return with_driver(own_database.render_as_string(hide_password=False), driver)


@pytest.fixture
async def app(through: str) -> AsyncIterator[Enfila]:
    async with Enfila(through) as app:
        yield app


async def echo(job: ActiveJob[Any]) -> Any:
    return job.payload


# ── everything works ─────────────────────────────────────────────────────────────────────────


async def test_tables_are_made_by_several_at_once(through: str) -> None:
    await asyncio.gather(*(migrate(through) for _ in range(4)))
    async with Enfila(through, auto_migrate=False) as app:
        assert await app.storage.queues.names() == []


async def test_jobs_are_added_and_worked_off_by_many_at_once(app: Enfila, through: str) -> None:
    queue = app.queue("q")
    added = await asyncio.gather(*(queue.add("echo", number) for number in range(100)))
    bulk = await queue.add_bulk([NewJob("echo", number) for number in range(400)])
    options = WorkerOptions(concurrency=20)
    async with (
        Enfila(through) as other,
        app.worker("q", echo, options),
        other.worker("q", echo, options),
        asyncio.timeout(60),
    ):
        results = await asyncio.gather(*(job.result() for job in [*added, *bulk]))
    assert results == [*range(100), *range(400)]
    assert (await queue.counts())[JobState.COMPLETED] == 500


async def test_a_large_bulk_is_added_as_one(app: Enfila) -> None:
    jobs = await app.queue("q").add_bulk([NewJob("echo", number) for number in range(5_000)])
    assert [job.payload for job in jobs[::999]] == [0, 999, 1998, 2997, 3996, 4995]
    assert (await app.queue("q").counts())[JobState.WAITING] == 5_000


async def test_failed_jobs_are_retried_and_waiting_ones_cancelled(app: Enfila) -> None:
    queue = app.queue("q")
    fails = True

    async def shaky(job: ActiveJob[Any]) -> Any:
        if fails:
            raise ValueError("no")
        return job.payload

    cancelled = await queue.add("a", 1, JobOptions(delay=3600))
    await cancelled.cancel()
    failing = await queue.add("a", 2)
    async with app.worker("q", shaky):
        await eventually(lambda: is_in(app, failing, JobState.FAILED))
        fails = False
        await failing.retry()
        assert await failing.result() == 2
    assert await is_in(app, cancelled, JobState.CANCELLED)


async def is_in(app: Enfila, job: Any, state: JobState) -> bool:
    return (await app.repository.get([job.id]))[job.id].state is state


async def test_schedules_tick(app: Enfila) -> None:
    @app.job("tick", queue="ticks")
    async def tick() -> str:
        return "ticked"

    await app.schedules.create(app.schedules.define("often", tick, Interval(1)))

    async def has_ticked_twice() -> bool:
        return (await app.queue("ticks").counts())[JobState.COMPLETED] >= 2

    async with app.scheduler(SchedulerOptions(poll_interval=0.05)), app.worker():
        await eventually(has_ticked_twice)


async def test_a_result_is_read_by_another_program(app: Enfila, through: str) -> None:
    job = await app.queue("q").add("echo", "there")
    async with Enfila(through) as other, other.worker("q", echo):
        async with asyncio.timeout(30):
            assert await job.result() == "there"


async def test_a_program_continues_after_the_pooler_was_restarted(
    app: Enfila, pooler: PgBouncer
) -> None:
    queue = app.queue("q")
    async with app.worker("q", echo):
        for number in range(3):
            job = await queue.add("echo", number)
            async with asyncio.timeout(30):
                assert await job.result() == number
            pooler.stop()
            pooler.start()


@pytest.mark.parametrize("is_kept", [True, False])
async def test_jobs_are_added_in_transactions_of_the_caller(
    app: Enfila, through: str, *, is_kept: bool
) -> None:
    names: dict[str, Any] = (
        {"statement_cache_size": 0, "prepared_statement_name_func": str}
        if "asyncpg" in through
        else {"prepare_threshold": None}
    )
    engine = create_async_engine(
        through, poolclass=NullPool, connect_args=names, query_cache_size=0
    )
    async with engine.connect() as connection:
        job = await app.queue("q").add("echo", 1, session=connection)
        await (connection.commit() if is_kept else connection.rollback())
    await engine.dispose()
    assert (job.id in await app.repository.get([job.id])) is is_kept


# ── what is different there ──────────────────────────────────────────────────────────────────


async def test_settings_hold_in_every_transaction_and_not_beyond(
    app: Enfila, pooler: PgBouncer
) -> None:
    wanted = {"jit": "off", "enable_seqscan": "off", "statement_timeout": "1min"}

    def settings(connection: sa.Connection) -> dict[str, Any]:
        return {name: connection.exec_driver_sql(f"show {name}").scalar() for name in wanted}

    access = access_of(app)
    for _ in range(6):
        assert await access.read(settings) == await access.write(settings) == wanted
    url = pooler.url.render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
        for _ in range(6):
            assert other.execute("show enable_seqscan").fetchall() == [("on",)]


async def test_a_failed_transaction_leaves_nothing_behind(app: Enfila) -> None:
    access = access_of(app)

    def fail(connection: sa.Connection) -> None:
        connection.exec_driver_sql("create table half (a int)")
        connection.exec_driver_sql("select 1 / 0")

    for _ in range(12):  # more often than there are connections
        with pytest.raises(sa.exc.DBAPIError, match="division by zero"):
            await access.write(fail)
    assert await access.read(lambda c: sa.inspect(c).has_table("half")) is False


def access_of(app: Enfila) -> Any:
    return app.storage.access  # type: ignore[attr-defined]  # of this storage


async def test_settings_in_the_url_hold_there_too(through: str) -> None:
    url = f"{through}?application_name=mine&options=-csearch_path%3Dx,public%20-cmy.own%3D%27a"
    async with Enfila(url) as app:
        shown = [
            await access_of(app).read(
                lambda c, name=name: c.exec_driver_sql(f"show {name}").scalar()
            )
            for name in ("search_path", "application_name", "my.own")
        ]
    assert shown == ["x,public", "mine", "'a"]


QUICK: Final = WorkerOptions(poll_interval=60)


async def test_listening_needs_the_address_of_the_server(
    through: str, direct: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Enfila(through, listen_url=direct) as app,
        Enfila(through) as other,
        app.worker("q", echo, QUICK),
    ):
        await gets_woken(other)
    assert [said.levelno for said in warnings(caplog)] == [logging.WARNING]  # of the other one
    assert "listen_url" in warnings(caplog)[0].message


async def gets_woken(adding: Enfila) -> None:
    """Jobs are worked off long before a worker would look for them."""
    async with asyncio.timeout(30):
        for number in range(3):
            job = await adding.queue("q").add("echo", number)
            assert await job.result() == number


async def test_hints_are_sent_through_a_pooler(through: str, direct: str) -> None:
    async with Enfila(through) as app, Enfila(direct) as other, other.worker("q", echo, QUICK):
        await gets_woken(app)


async def test_it_is_said_once_that_nothing_is_listened_for(
    through: str, pooler: PgBouncer, caplog: pytest.LogCaptureFixture
) -> None:
    async with Enfila(through) as app:
        await eventually(lambda: warnings(caplog))
        pooler.stop()
        pooler.start()
        _ = await eventually(lambda: is_counted(app))
    async with Enfila(through, notify=False) as app:
        assert await is_counted(app)
    assert len(warnings(caplog)) == 1


async def is_counted(app: Enfila) -> bool:
    return await app.queue("q").counts() is not None


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [said for said in caplog.records if "pooler" in said.message]


# ── how it is noticed ────────────────────────────────────────────────────────────────────────


async def is_pooled(url: str) -> bool:
    async with Enfila(url, notify=False) as app:
        await app.queue("q").add("a")
        found: bool = app.storage._database._driver.is_pooled  # type: ignore[attr-defined]  # noqa: SLF001 - it shows nowhere else
    return found


async def test_a_pooler_is_noticed(through: str) -> None:
    assert await is_pooled(through)


@pytest.mark.parametrize(
    "role",
    ["datestyle = 'German'", "datestyle = 'ISO, DMY'", "timezone = 'Asia/Kolkata'"],
)
async def test_a_server_is_not_taken_for_a_pooler(
    own_database: URL, direct: str, role: str
) -> None:
    with psycopg.connect(own_database.render_as_string(False), autocommit=True) as connection:
        connection.execute(f'alter database "{own_database.database}" set {role}'.encode())
    assert not await is_pooled(direct)
    assert not await is_pooled(f"{direct}?application_name=%C3%BCber")


async def test_the_url_may_say_what_there_is(direct: str) -> None:
    assert await is_pooled(f"{direct}?pooler=true")
    assert not await is_pooled(f"{direct}?pooler=false")
    with pytest.raises(InvalidRequest, match="pooler"):
        Enfila(f"{direct}?pooler=perhaps")


async def test_a_lost_prepared_statement_tells_of_a_pooler_that_was_not_noticed(
    direct: str,
) -> None:
    """One that repeats settings as a server does, and mixes connections all the same."""
    async with Enfila(direct, notify=False) as app:
        queue, access = app.queue("q"), access_of(app)
        left = 1

        def lose(connection: sa.Connection) -> None:
            nonlocal left
            if left:
                left -= 1
                connection.exec_driver_sql("deallocate no_such_statement")

        await access.read(lose)
        assert app.storage._database._driver.is_pooled  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        assert (await queue.add("a")).name == "a"


@pytest.mark.parametrize("wrong", ["sqlite:///x.db", "no url", "mysql://host/db"])
def test_only_postgresql_can_be_listened_to(direct: str, wrong: str) -> None:
    with pytest.raises(InvalidRequest, match="listen_url"):
        Enfila(direct, listen_url=wrong)
