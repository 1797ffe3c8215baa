import asyncio
import gc
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, closing
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.system_clock import SystemClock
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql import (
    wake_up as postgresql_wake_up,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.wake_up import PostgresWakeUp
from tests.contract.adapters import server_url
from tests.contract.building import make_job

Open = Callable[..., Awaitable[PostgresWakeUp]]
pytestmark = pytest.mark.parametrize(
    "adapter",
    [
        pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres),
        pytest.param("postgresql-psycopg", marks=pytest.mark.postgres),
    ],
)


@pytest.fixture
def url(adapter: str, request: pytest.FixtureRequest) -> sa.URL:
    return sa.make_url(server_url(adapter, request))


@pytest.fixture
def installation() -> str:
    return f".{uuid4().hex}_"


@pytest.fixture
async def connected(url: sa.URL, installation: str) -> AsyncIterator[Open]:
    """Makes a wake-up as a process would, and waits until it listens."""
    async with AsyncExitStack() as opened:

        async def connected(of: str = installation) -> PostgresWakeUp:
            wake_up = PostgresWakeUp(url, of)
            # Whoever listens is woken when the connection stands.
            event = wake_up.listen("connected?", Hint.JOBS)
            await wake_up.open()
            opened.push_async_callback(wake_up.close)
            assert await is_set(event)
            return wake_up

        yield connected


@pytest.fixture
def server(url: sa.URL) -> Iterator[psycopg.Connection]:
    """Somebody else on the same database."""
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


async def is_set(event: asyncio.Event) -> bool:
    async with asyncio.timeout(10):
        return await event.wait()


def channel_of(wake_up: PostgresWakeUp) -> str:
    return wake_up._channel  # noqa: SLF001 - nobody but a test needs to know it


def cut(server: psycopg.Connection, application: str) -> int:
    """Ends the connections of that name, as an administrator or a restart would."""
    ended = server.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where application_name = %s and datname = current_database()",
        (application,),
    )
    return len(ended.fetchall())


# ── crossing ─────────────────────────────────────────────────────────────────────────────────


async def test_a_hint_reaches_those_who_listen_for_it_in_another_process(connected: Open) -> None:
    one, other = await connected(), await connected()
    jobs, control = other.listen("q", Hint.JOBS), other.listen("q", Hint.CONTROL)
    elsewhere = other.listen("r", Hint.JOBS)
    one.hint("q", Hint.JOBS)
    assert await is_set(jobs)
    assert not control.is_set()
    assert not elsewhere.is_set()
    one.hint("q", Hint.CONTROL)
    assert await is_set(control)
    assert not elsewhere.is_set()


async def test_a_hint_reaches_the_own_process_at_once_and_once(connected: Open) -> None:
    one, other = await connected(), await connected()
    event, last = one.listen("q", Hint.JOBS), one.listen("last", Hint.JOBS)
    one.hint("q", Hint.JOBS)
    assert event.is_set()
    event.clear()
    heard = other.listen("q", Hint.JOBS)
    assert await is_set(heard)
    other.hint("last", Hint.JOBS)
    assert await is_set(last)
    assert not event.is_set()


async def test_what_is_settled_is_told_in_the_own_process_only(connected: Open) -> None:
    """It would be a notification with every settlement."""
    one, other = await connected(), await connected()
    near, far = one.listen("q", Hint.SETTLED), other.listen("q", Hint.SETTLED)
    last = other.listen("last", Hint.JOBS)
    one.hint("q", Hint.SETTLED)
    one.hint("last", Hint.JOBS)
    assert near.is_set()
    assert await is_set(last)
    assert not far.is_set()


async def test_a_hint_may_come_from_any_thread(connected: Open) -> None:
    one, other = await connected(), await connected()
    event = other.listen("q", Hint.JOBS)
    await asyncio.to_thread(one.hint, "q", Hint.JOBS)
    assert await is_set(event)


async def test_two_installations_in_one_database_do_not_hear_each_other(
    connected: Open, installation: str
) -> None:
    one, neighbour = await connected(), await connected()
    stranger = await connected("another one")
    far, near = stranger.listen("q", Hint.JOBS), neighbour.listen("q", Hint.JOBS)
    one.hint("q", Hint.JOBS)
    assert await is_set(near)
    assert not far.is_set()


async def test_names_of_any_length_and_script_arrive(connected: Open) -> None:
    """PostgreSQL refuses notifications of 8,000 bytes."""
    one, other = await connected(), await connected()
    names = [f"{number:02}{letter * 253}" for number in range(20) for letter in ("x", "ж", "🦜")]
    events = [other.listen(name, Hint.JOBS) for name in names]
    for name in names:
        one.hint(name, Hint.JOBS)
    for event in events:
        assert await is_set(event)


# ── how many ─────────────────────────────────────────────────────────────────────────────────


def notified(server: psycopg.Connection, *, until: str) -> int:
    """How many notifications came, up to the one that tells of the queue `until`."""
    count = 0
    for notification in server.notifies(timeout=10):
        count += 1
        if until in [queue for queue, _ in json.loads(notification.payload)[1]]:
            return count
    raise AssertionError(f"{count} notifications, and none of {until}")


async def test_a_thousand_hints_at_once_are_a_few_notifications(
    connected: Open, server: psycopg.Connection
) -> None:
    one = await connected()
    server.execute(f"listen {channel_of(one)}")
    for number in range(1_000):
        one.hint(f"q{number % 20}", Hint.JOBS)
    one.hint("last", Hint.JOBS)
    assert await asyncio.to_thread(notified, server, until="last") <= 2


async def test_a_thousand_hints_in_a_row_are_no_more_than_one_in_5_ms(
    connected: Open, server: psycopg.Connection
) -> None:
    one = await connected()
    server.execute(f"listen {channel_of(one)}")
    began = time.monotonic()
    for _ in range(1_000):
        one.hint("q", Hint.JOBS)
        await asyncio.sleep(0)
    took = time.monotonic() - began
    one.hint("last", Hint.JOBS)
    assert await asyncio.to_thread(notified, server, until="last") <= took / 0.005 + 2


# ── with a commit ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def repository(url: sa.URL) -> AsyncIterator[SqlAlchemyJobRepository]:
    repository = SqlAlchemyJobRepository(url.render_as_string(hide_password=False))
    yield repository
    await repository.close()


async def test_an_addition_carries_the_hint_and_it_is_not_sent_again(
    connected: Open, server: psycopg.Connection, repository: SqlAlchemyJobRepository
) -> None:
    one, other = await connected(), await connected()
    server.execute(f"listen {channel_of(one)}")
    event = other.listen("q", Hint.JOBS)
    notice = one.notice("q", Hint.JOBS)
    assert notice is not None
    await repository.add(
        [make_job(f"q-{uuid4().hex}", clock=SystemClock()) for _ in range(3)], notice
    )
    assert notice.is_sent
    assert await is_set(event)
    own = one.listen("q", Hint.JOBS)
    one.hint("q", Hint.JOBS, notice)
    assert own.is_set()
    one.hint("last", Hint.JOBS)
    assert await asyncio.to_thread(notified, server, until="last") == 2


async def test_an_addition_without_a_notice_sends_nothing(
    connected: Open, server: psycopg.Connection, repository: SqlAlchemyJobRepository
) -> None:
    one = await connected()
    server.execute(f"listen {channel_of(one)}")
    await repository.add([make_job(f"q-{uuid4().hex}", clock=SystemClock())])
    one.hint("last", Hint.JOBS)
    assert await asyncio.to_thread(notified, server, until="last") == 1


async def test_a_notice_that_was_not_sent_is_made_good_by_the_hint(connected: Open) -> None:
    one, other = await connected(), await connected()
    event = other.listen("q", Hint.JOBS)
    one.hint("q", Hint.JOBS, one.notice("q", Hint.JOBS))
    assert await is_set(event)


async def test_what_is_hinted_after_the_notice_was_made_is_told_for_itself(
    connected: Open, server: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been committed after the notice, whose hint is only heard of later."""
    monkeypatch.setattr(postgresql_wake_up, "_SECONDS_BETWEEN_NOTIFICATIONS", 0)
    one = await connected()
    server.execute(f"listen {channel_of(one)}")
    notice = one.notice("q", Hint.JOBS)
    assert notice is not None
    notice.is_sent = True
    one.hint("q", Hint.JOBS)
    one.hint("q", Hint.JOBS, notice)
    assert await asyncio.to_thread(notified, server, until="q") == 1


async def test_there_is_no_notice_without_a_connection_or_right_after_another(
    connected: Open, url: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_wake_up, "_SECONDS_BETWEEN_NOTIFICATIONS", 10)
    assert PostgresWakeUp(url, ".unopened_").notice("q", Hint.JOBS) is None
    one = await connected()
    notice = one.notice("q", Hint.JOBS)
    assert notice is not None
    notice.is_sent = True
    one.hint("q", Hint.JOBS, notice)
    assert one.notice("q", Hint.JOBS) is None


# ── bad days ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cut_off", ["enfila listen", "enfila notify"])
async def test_when_the_connection_is_cut_it_is_made_anew_and_everybody_is_woken(
    connected: Open,
    server: psycopg.Connection,
    adapter: str,
    cut_off: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Something may have been missed meanwhile."""
    one, other = await connected(), await connected()
    woken = [other.listen("q", hint) for hint in Hint]
    if cut(server, cut_off) == 0:
        assert (adapter, cut_off) == ("postgresql-asyncpg", "enfila notify")  # it has one for both
        return
    other.hint("somebody must try to send", Hint.JOBS)
    one.hint("somebody must try to send", Hint.JOBS)
    for event in woken:
        assert await is_set(event)
    # `one` may still be on its way back.
    again = woken[0]
    again.clear()
    async with asyncio.timeout(10):
        while not again.is_set():
            one.hint("q", Hint.JOBS)
            await asyncio.sleep(0.01)
    gc.collect()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_what_is_no_hint_of_ours_is_ignored(
    connected: Open, server: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = await connected(), await connected()
    event, last = other.listen("q", Hint.JOBS), other.listen("last", Hint.JOBS)
    for garbage in (
        "",
        "garbage",
        "5",
        "null",
        "[]",
        '["x"]',
        '["x", 5]',
        '["x", [5]]',
        '["x", [["q", "nonsense"]]]',
        '["x", [["q", "jobs", "more"]]]',
        '{"a": 1, "b": 2}',
        '[{"a": 1}, [[{}, []]]]',
        "[" * 7_900,
    ):
        server.execute("select pg_notify(%s, %s)", (channel_of(other), garbage))
    one.hint("last", Hint.JOBS)
    assert await is_set(last)
    assert not event.is_set()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_without_a_server_it_opens_at_once_and_hints_stay_in_the_process(
    url: sa.URL,
) -> None:
    wake_up = PostgresWakeUp(url.set(port=1), "away")
    async with asyncio.timeout(5):
        await wake_up.open()
        event = wake_up.listen("q", Hint.JOBS)
        wake_up.hint("q", Hint.JOBS)
        assert event.is_set()
        await wake_up.close()


async def test_a_server_that_never_answers_holds_up_nobody(url: sa.URL) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        wake_up = PostgresWakeUp(url.set(port=silent.getsockname()[1]), "silent")
        async with asyncio.timeout(8):
            await wake_up.open()
            wake_up.hint("q", Hint.JOBS)
            await wake_up.close()


# ── opening and closing ──────────────────────────────────────────────────────────────────────


async def test_a_program_that_ends_at_once_is_heard_all_the_same(
    connected: Open, url: sa.URL, installation: str
) -> None:
    other = await connected()
    events = [other.listen(queue, Hint.JOBS) for queue in ("first", "second")]
    short = PostgresWakeUp(url, installation)
    await short.open()
    short.hint("first", Hint.JOBS)
    await asyncio.sleep(0)
    short.hint("second", Hint.JOBS)
    await short.close()
    for event in events:
        assert await is_set(event)


async def test_it_is_opened_and_closed_twice_and_leaves_nothing(
    url: sa.URL, installation: str, server: psycopg.Connection
) -> None:
    wake_up = PostgresWakeUp(url, installation)
    event = wake_up.listen("q", Hint.JOBS)
    await wake_up.open()
    await wake_up.open()
    assert await is_set(event)
    await wake_up.close()
    await wake_up.close()
    assert [task.get_name() for task in asyncio.all_tasks() if "enfila" in task.get_name()] == []
    wake_up.hint("q", Hint.JOBS)


def test_a_hint_after_its_loop_has_ended_fails_nobody(url: sa.URL) -> None:
    wake_up = PostgresWakeUp(url, "ended")

    async def open_and_close() -> None:
        await wake_up.open()
        await wake_up.close()

    asyncio.run(open_and_close())
    wake_up.hint("q", Hint.JOBS)


async def test_options_in_the_url_are_for_the_listening_connection_too(
    url: sa.URL, installation: str, adapter: str
) -> None:
    words: dict[str, Any] = {"postgresql-asyncpg": {"ssl": "prefer"}}
    options = words.get(adapter, {"sslmode": "prefer"})
    wake_up = PostgresWakeUp(url.update_query_dict(options), installation)
    event = wake_up.listen("q", Hint.JOBS)
    await wake_up.open()
    assert await is_set(event)
    await wake_up.close()
