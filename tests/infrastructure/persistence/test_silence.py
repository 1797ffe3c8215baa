"""A server that gives no answer: what is broken off, and what is waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from enfila.core.domain.errors import RepositoryUnavailable
from enfila.infrastructure.persistence.sqlalchemy.database.server import server_database, silence
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_database import (
    ServerDatabase,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.choosing import engine_url
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.drivers import (
    driver_of,
)
from tests.contract.adapters import with_driver
from tests.silent_proxy import SilentProxy

SECOND_DRIVER_IS_THOROUGH = True
pytestmark = pytest.mark.postgres

LONG = 60


@pytest.fixture(params=["postgresql-asyncpg", "postgresql-psycopg"])
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def proxy(postgres_url: str) -> AsyncIterator[SilentProxy]:
    proxy = SilentProxy(sa.make_url(postgres_url))
    async with proxy.serving():
        yield proxy


@pytest.fixture
async def database(
    adapter: str, proxy: SilentProxy, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ServerDatabase]:
    """With a short patience."""
    monkeypatch.setattr(silence, "_SECONDS_BETWEEN_LOOKS", 0.05)
    monkeypatch.setattr(silence, "_SUSPICIOUS_SECONDS", 0.3)
    monkeypatch.setattr(silence, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(silence, "_PATIENCE_AT_THE_END", 0.5)
    url = engine_url(with_driver(proxy.url.render_as_string(hide_password=False), adapter))
    database = ServerDatabase(url, driver_of(url), pool_size=3)
    yield database
    async with asyncio.timeout(20):
        await database.close()


def one(connection: sa.Connection) -> Any:
    return connection.scalar(sa.text("select 1"))


def naps(number: int, seconds: float) -> Callable[[sa.Connection], int]:
    """Work of so many statements, which take so long each."""

    def work(connection: sa.Connection) -> int:
        for _ in range(number):
            connection.execute(sa.text(f"select pg_sleep({seconds})"))
        return number

    return work


async def refusal_of(work: asyncio.Future[int]) -> RepositoryUnavailable:
    with pytest.raises(RepositoryUnavailable, match="there was no answer for") as refusal:
        async with asyncio.timeout(20):
            await work
    return refusal.value


async def test_what_a_silent_server_holds_is_broken_off_and_told(
    database: ServerDatabase, proxy: SilentProxy
) -> None:
    await asyncio.gather(*(database.write(one) for _ in range(3)))
    proxy.fall_silent()
    writing = [asyncio.ensure_future(database.write(naps(1, 0))) for _ in range(2)]
    reading = asyncio.ensure_future(database.read(naps(1, 0)))
    for work in (*writing, reading):
        assert not (await refusal_of(work)).uncertain  # nothing was committed yet
    proxy.speak_again()
    assert await database.write(one) == 1


async def test_a_commit_without_an_answer_is_uncertain(
    database: ServerDatabase, proxy: SilentProxy
) -> None:
    def work(connection: sa.Connection) -> int:
        connection.execute(sa.text("select 1"))
        proxy.fall_silent()
        return 0

    assert (await refusal_of(asyncio.ensure_future(database.write(work)))).uncertain
    proxy.speak_again()


async def test_a_statement_that_the_server_works_on_is_waited_for(database: ServerDatabase) -> None:
    assert await database.write(naps(1, 1.0)) == 1
    assert await database.read(naps(1, 1.0)) == 1


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_on_a_path_that_is_dead_alone_the_time_of_a_statement_is_bounded(
    database: ServerDatabase, proxy: SilentProxy, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(server_database, "SHORT_WORK", 0.5)
    monkeypatch.setattr(server_database, "LONG_WORK", 0.5)
    await asyncio.gather(database.read(one), database.write(one))
    proxy.forget_connections()
    perform = database.read if kind == "read" else database.write
    await refusal_of(asyncio.ensure_future(perform(naps(1, 0))))
    assert await database.read(one) == 1


async def test_whoever_loses_patience_leaves_a_new_connection_to_the_next(
    database: ServerDatabase, proxy: SilentProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_SUSPICIOUS_SECONDS", LONG)
    await asyncio.gather(*(database.read(one) for _ in range(3)))
    proxy.forget_connections()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.2):
            await database.read(one)
    async with asyncio.timeout(10):
        assert await database.read(one) == 1


async def test_closing_waits_for_what_is_answered_now_and_then(database: ServerDatabase) -> None:
    working = asyncio.ensure_future(database.write(naps(8, 0.2)))
    await asyncio.sleep(0)
    await database.close()
    assert await working == 8


@pytest.mark.parametrize("is_silent", [True, False])
async def test_closing_breaks_off_what_is_not(
    database: ServerDatabase, proxy: SilentProxy, is_silent: bool
) -> None:
    await database.read(one)
    if is_silent:
        proxy.fall_silent()
    working = [
        asyncio.ensure_future(database.write(naps(1, LONG))),
        asyncio.ensure_future(database.read(naps(1, LONG))),
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await database.close()
    for work in working:
        assert "no answer" in str(await refusal_of(work))


async def test_closing_without_work_is_not_held_by_silence(
    database: ServerDatabase, proxy: SilentProxy
) -> None:
    await asyncio.gather(*(database.write(one) for _ in range(4)))
    proxy.fall_silent()
    async with asyncio.timeout(20):
        await database.close()


async def test_a_connection_that_is_being_set_up_is_broken_off_too(
    database: ServerDatabase, proxy: SilentProxy
) -> None:
    """And not cancelled, which would leave it open until somebody finds it."""

    def fall_silent(_connection: object, _record: object) -> None:
        proxy.fall_silent()

    sa.event.listen(sa.Pool, "connect", fall_silent)
    try:
        reading = asyncio.ensure_future(database.read(one))
        refusal = await refusal_of(reading)
    finally:
        sa.event.remove(sa.Pool, "connect", fall_silent)
    assert not isinstance(refusal.__cause__, TimeoutError)
