"""The facade: its life, its parts, and what it says on bad days."""

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from enfila import (
    AlreadyClosed,
    Container,
    DriverMissing,
    Enfila,
    InvalidRequest,
    JobOptions,
    JobState,
    RepositoryUnavailable,
    WorkerOptions,
    WorkerService,
)
from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.core.domain.json_document import JsonDocument
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.persistence.sqlalchemy.database.server import server_driver
from enfila.infrastructure.persistence.sqlalchemy.dialects import choosing
from enfila.testing import FrozenClock
from tests.contract.adapters import SQL_ADAPTERS, url_of

DRIVERS = ["asyncpg", "psycopg"]


@pytest.fixture
def url(adapter: str, request: pytest.FixtureRequest) -> str:
    return url_of(adapter, request)


@pytest.fixture
def name() -> str:
    """A queue that no other test uses."""
    return f"q-{uuid4().hex}"


on_every_database = pytest.mark.parametrize("adapter", ["memory", *SQL_ADAPTERS])
on_every_sql_database = pytest.mark.parametrize("adapter", SQL_ADAPTERS)


# ── life ─────────────────────────────────────────────────────────────────────────────────────


@on_every_database
async def test_a_job_is_added_run_and_answered(url: str, name: str) -> None:
    async with Enfila(url) as app:
        queue = app.queue(name)

        async def double(job: Any) -> int:
            return int(job.payload) * 2

        async with app.worker(queue, double):
            job = await queue.add("double", 21)
            assert await job.result(timeout=20) == 42


@on_every_sql_database
async def test_closing_lets_the_worker_finish_and_write_before_the_database_goes(
    url: str, name: str
) -> None:
    app = await Enfila(url).open()
    queue = app.queue(name)
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def work(job: Any) -> str:
        has_begun.set()
        await may_end.wait()
        return "done"

    worker = app.worker(queue, work)
    await worker.start()
    job = await queue.add("work")
    waiting = await queue.add("not started")
    async with asyncio.timeout(20):
        await has_begun.wait()
        is_closing = asyncio.create_task(app.close())
        await asyncio.sleep(0)
        assert not is_closing.done()
        may_end.set()
        await is_closing
    async with Enfila(url) as later:
        ended = await later.queue(name).get_job(job.id)
        left = await later.queue(name).get_job(waiting.id)
    assert ended is not None
    assert left is not None
    assert ended.state is JobState.COMPLETED
    assert ended.snapshot.result_document == JsonDocument.of("done")
    assert left.state is JobState.WAITING


@on_every_database
async def test_closing_twice_and_at_once_is_closing(url: str, name: str) -> None:
    app = await Enfila(url).open()
    await app.queue(name).add("a")
    await asyncio.gather(app.close(), app.close())
    await app.close()


@on_every_sql_database
async def test_after_closing_every_part_says_that_it_is_closed(url: str, name: str) -> None:
    async with Enfila(url) as app:
        queue = app.queue(name)
        job = await queue.add("a")
    for use in (lambda: app.queue(name), lambda: app.worker(queue, print)):
        with pytest.raises(AlreadyClosed, match=r"^this app is closed; make a new one$"):
            use()
    with pytest.raises(AlreadyClosed, match="this app is closed"):
        await app.open()
    with pytest.raises(AlreadyClosed, match=f"^queue '{name}' is closed"):
        await queue.add("a")
    with pytest.raises(AlreadyClosed, match=f"^queue '{name}' is closed"):
        await asyncio.to_thread(queue.add_sync, "a")
    with pytest.raises(AlreadyClosed, match=r"^the repository on (sqlite|postgresql)://.* is clos"):
        await app.repository.get([job.id])
    with pytest.raises(AlreadyClosed, match=r"^the repository on (sqlite|postgresql)://.* is clos"):
        await app.repository.add([job.snapshot])


async def test_a_wrong_grace_closes_nothing() -> None:
    async with Enfila("memory://") as app:
        with pytest.raises(InvalidRequest, match="grace: -1 is not allowed; give seconds"):
            await app.close(grace=-1)
        assert (await app.queue("q").add("a")).state is JobState.WAITING


async def test_what_fails_while_closing_keeps_nothing_else_open(sqlite_url: str) -> None:
    class Stubborn(InProcessWakeUp):
        async def close(self) -> None:
            raise RuntimeError("stubborn")

    container = Container()
    container.config.database_url.from_value(sqlite_url)
    container.wake_up.override(Stubborn())
    app = await Enfila(container=container).open()
    with pytest.raises(RuntimeError, match="stubborn"):
        await app.close()
    with pytest.raises(AlreadyClosed, match="the repository on sqlite"):
        await app.repository.storage.queues.names()


async def test_opening_twice_is_opening(sqlite_url: str) -> None:
    async with Enfila(sqlite_url) as app:
        assert await app.open() is app


@on_every_sql_database
async def test_without_being_opened_it_opens_itself_at_first_use(url: str, name: str) -> None:
    app = Enfila(url)
    assert (await app.queue(name).add("a")).state is JobState.WAITING
    await app.close()


def test_nothing_is_connected_or_made_before_it_is_opened(tmp_path: Path) -> None:
    app = Enfila(f"sqlite:///{tmp_path / 'jobs.db'}")
    app.worker(app.queue("q"), print)
    assert list(tmp_path.iterdir()) == []
    asyncio.run(app.close())


async def test_the_clock_dates_rows_and_events(sqlite_url: str) -> None:
    clock = FrozenClock(datetime(2030, 1, 2, tzinfo=UTC))
    async with Enfila(sqlite_url, clock=clock) as app:
        job = await app.queue("q").add("a")
        assert job.created_at == clock.now()
        ready: list[Any] = []
        worker: WorkerService[Any, Any] = app.worker("q", print)
        worker.on("worker.ready", ready.append)
        async with worker:
            assert [event.at for event in ready] == [clock.now()]


# ── parts ────────────────────────────────────────────────────────────────────────────────────


async def test_one_name_is_always_the_same_queue() -> None:
    async with Enfila("memory://") as app:
        queue = app.queue("email", default_job_options=JobOptions(attempts=3))
        assert app.queue("email") is queue
        assert app.queue("other") is not queue


async def test_options_for_a_queue_that_is_there_are_refused_with_a_sentence() -> None:
    async with Enfila("memory://") as app:
        app.queue("email", default_job_options=JobOptions(attempts=3))
        with pytest.raises(InvalidRequest) as refused:
            app.queue("email", default_job_options=JobOptions(attempts=5))
    assert str(refused.value) == (
        "queue: 'email' is not allowed; "
        "it exists in this app: give its options where it is made first"
    )


async def test_a_worker_is_made_for_a_queues_name() -> None:
    async with Enfila("memory://") as app:
        worker = app.worker("email", lambda job: job.name, WorkerOptions(concurrency=2))
        assert worker.queue is app.queue("email")
        async with worker:
            assert await (await app.queue("email").add("a")).result(timeout=20) == "a"


@pytest.mark.parametrize("wrong", ["", "x" * 256, "nul\0", None, 5])
async def test_a_queues_name_is_checked(wrong: Any) -> None:
    async with Enfila("memory://") as app:
        with pytest.raises(InvalidRequest, match=r"queue: .* give 1 to 255 characters"):
            app.queue(wrong)


# ── without an event loop ────────────────────────────────────────────────────────────────────


@on_every_database
def test_a_program_without_a_loop_adds_to_two_queues(
    url: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Enfila(url)
    one, other = app.queue(f"{name}-1"), app.queue(f"{name}-2")
    for number in range(3):
        assert one.add_sync("a", number).state is JobState.WAITING
        assert other.add_sync("b", number).state is JobState.WAITING

    async def count_and_close() -> list[int]:
        counts = [(await queue.counts()).waiting for queue in (one, other)]
        await app.close()
        return counts

    assert asyncio.run(count_and_close()) == [3, 3]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@on_every_database
def test_one_loop_after_the_other_uses_the_same_app(url: str, name: str) -> None:
    app = Enfila(url)
    queue = app.queue(name)

    async def add() -> int:
        await queue.add("a")
        return (await queue.counts()).waiting

    assert [asyncio.run(add()), asyncio.run(add())] == [1, 2]
    asyncio.run(app.close())


@on_every_database
async def test_a_thread_adds_beside_the_loop(url: str, name: str) -> None:
    async with Enfila(url) as app:
        queue = app.queue(name)
        jobs = await asyncio.gather(
            *(asyncio.to_thread(queue.add_sync, "a", number) for number in range(5))
        )
        assert len({job.id for job in jobs}) == 5
        assert (await queue.counts()).waiting == 5


async def test_on_the_loops_own_thread_add_sync_is_refused_with_what_to_write() -> None:
    async with Enfila("memory://") as app:
        with pytest.raises(InvalidRequest, match=r"it would block the loop: write `await queue\."):
            app.queue("q").add_sync("a")


FORGETFUL = """
import asyncio, sys
from enfila import Enfila

url, name, how = sys.argv[1:]
app = Enfila(url)

async def main():
    await app.open()
    await app.queue(name).add("a")
    print((await app.queue(name).counts()).waiting)

if how == "async":
    asyncio.run(main())
else:
    print(app.queue(name).add_sync("a").state)
"""


@pytest.mark.parametrize("how", ["async", "sync"])
@pytest.mark.parametrize("adapter", SQL_ADAPTERS[:2])
def test_a_process_that_forgot_to_close_ends_by_itself(url: str, name: str, how: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORGETFUL, url, name, how],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip() == {"async": "1", "sync": "waiting"}[how]


# ── wrong arguments ──────────────────────────────────────────────────────────────────────────

KNOWN = r"give sqlite:///file\.db, postgresql://user@host/database \(.*\) or memory://"


@pytest.mark.parametrize(
    "wrong", ["mysql://me@host/db", "postgresql+pg8000://host/db", "redis://host", "sqlserver://x"]
)
def test_an_unknown_scheme_is_refused_with_the_known_ones(wrong: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^url: '{wrong[:5]}.*{KNOWN}"):
        Enfila(wrong)


@pytest.mark.parametrize("wrong", ["jobs.db", "", "postgresql://host:port/db", 5, Path("jobs.db")])
def test_what_is_no_url_is_refused_with_what_is_one(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match=f"^url: .*{KNOWN}"):
        Enfila(wrong)


@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [
        ("table_prefix", "a-b", "give 1 to 30 letters, digits and underscores"),
        ("table_prefix", "", "give 1 to 30 letters"),
        ("table_prefix", "x" * 31, "give 1 to 30 letters"),
        ("table_prefix", 5, "give 1 to 30 letters"),
        ("schema", 'x"; drop', "give 1 to 30 letters"),
        ("pool_size", 0, "give a whole number from 1 to 1,000"),
        ("pool_size", -1, "give a whole number from 1 to 1,000"),
        ("pool_size", "many", "give a whole number from 1 to 1,000"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_is_allowed(
    argument: str, value: Any, allowed: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{argument}: .* is not allowed; {allowed}"):
        Enfila("postgresql://me@host/db", **{argument: value})


def test_a_wrong_durability_is_refused_and_not_taken_for_a_weaker_one(sqlite_url: str) -> None:
    with pytest.raises(
        InvalidRequest, match=r"^synchronous: 'FUL' .*give OFF, NORMAL, FULL, EXTRA"
    ):
        Enfila(sqlite_url, synchronous="FUL")


def test_settings_beside_a_container_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"container: 'database_url, notify' .* not both"):
        Enfila("memory://", notify=False, container=Container())


def test_an_option_that_the_driver_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(
        InvalidRequest, match="url: 'sslmod' is not allowed; with asyncpg these options"
    ):
        Enfila("postgresql+asyncpg://me@host/db?sslmod=require")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("adapter", ["postgresql-asyncpg"])
@pytest.mark.postgres
async def test_the_sslmode_that_providers_write_is_understood(
    url: str, name: str, driver: str
) -> None:
    async with Enfila(f"{url.replace('asyncpg', driver)}?sslmode=prefer") as app:
        assert (await app.queue(name).add("a")).state is JobState.WAITING


@pytest.mark.parametrize(
    ("scheme", "missing", "package", "extra"),
    [
        ("postgresql", {"asyncpg", "psycopg"}, "asyncpg", "postgres"),
        ("postgresql", {"greenlet"}, "asyncpg", "postgres"),
        ("postgresql+asyncpg", {"asyncpg"}, "asyncpg", "postgres"),
        ("postgresql+psycopg", {"psycopg"}, "psycopg[binary]", "psycopg"),
    ],
)
def test_a_missing_driver_is_named_with_the_pip_command(
    scheme: str, missing: set[str], package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        choosing, "find_spec", lambda module: None if module in missing else find_spec(module)
    )
    with pytest.raises(DriverMissing) as refused:
        Enfila(f"{scheme}://me:secret@host/db")
    assert str(refused.value) == (
        f"url: '{scheme}' needs the driver '{package}', which is not installed; "
        f"pip install 'enfila[{extra}]', or '.[{extra}]' in a checkout"
    )


def test_without_asyncpg_psycopg_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        choosing, "find_spec", lambda module: None if module == "asyncpg" else find_spec(module)
    )
    assert choosing.engine_url("postgresql://me@host/db").drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+pg8000://me:s3cret@host/db?password=s3cret&sslmode=require",
        "postgresql://me:a@s3cret@host/db",
        "postgresql://me@server:s3cret@host:port/db",
        "postgresql://me:s3cret@host",
        "mysql://me:s3cret@host/db",
        "postgresql://me:s3cret@host:port/db",
        "postgresql://me:a:s3cret@x@host:port/db",
        "postgresql+asyncpg://me@host/db?nonsense=1&password=s3cret",
        "mysql://me@host/db?password=s3cret",
    ],
)
def test_no_refusal_shows_the_password(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Enfila(url)
    assert "s3cret" not in str(refused.value)


# ── a server that is away ────────────────────────────────────────────────────────────────────


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Where connections are taken and never answered."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


async def fails_to_open_and_to_add(url: str) -> list[str]:
    """What `async with` and `add` say, each within a bounded time."""
    said = []
    async with asyncio.timeout(15):
        with pytest.raises(RepositoryUnavailable) as at_start:
            async with Enfila(url):
                pass
    said.append(str(at_start.value))
    app = Enfila(url)
    async with asyncio.timeout(15):
        with pytest.raises(RepositoryUnavailable) as at_first_use:
            await app.queue("q").add("a")
        assert not at_first_use.value.uncertain
        said.append(str(at_first_use.value))
        await app.close()
    return said


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_server_that_is_not_there_is_named_with_host_and_port(driver: str) -> None:
    said = await fails_to_open_and_to_add(f"postgresql+{driver}://me:s3cret@127.0.0.1:1/db")
    for sentence in said:
        assert sentence.startswith("database postgresql://me:***@127.0.0.1:1/db is not available: ")
        assert "s3cret" not in sentence


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_server_that_never_answers_is_given_up(
    driver: str, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_driver, "CONNECT_SECONDS", 1)
    url = f"postgresql+{driver}://me:s3cret@127.0.0.1:{silent_port}/db?password=s3cret"
    for sentence in await fails_to_open_and_to_add(url):
        assert sentence.startswith(
            f"database postgresql://me:***@127.0.0.1:{silent_port}/db is not"
        )
        assert "s3cret" not in sentence


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_socket_that_is_not_there_is_named(driver: str, tmp_path: Path) -> None:
    said = await fails_to_open_and_to_add(f"postgresql+{driver}:///db?host={tmp_path}")
    for sentence in said:
        assert "is not available" in sentence
        assert "No such file" in sentence


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_unknown_host_is_named(driver: str) -> None:
    for sentence in await fails_to_open_and_to_add(f"postgresql+{driver}://nowhere.invalid/db"):
        assert sentence.startswith("database postgresql://nowhere.invalid/db is not available: ")


@on_every_sql_database
async def test_an_unknown_database_is_named(url: str, adapter: str) -> None:
    if adapter == "sqlite":
        wrong, reason = url.replace("enfila.db", "no/such/folder/enfila.db"), "does not exist"
    else:
        wrong, reason = f"{url}_unknown", 'enfila_test_.*_unknown" does not exist'
    app = Enfila(wrong)
    with pytest.raises(RepositoryUnavailable, match=f"is not available: .*{reason}"):
        await app.queue("q").add("a")
    await app.close()


async def test_an_app_that_could_not_be_opened_is_closed() -> None:
    app = Enfila("postgresql+asyncpg://me@127.0.0.1:1/db")
    with pytest.raises(RepositoryUnavailable):
        async with app:
            pass
    with pytest.raises(AlreadyClosed):
        await app.open()


async def test_memory_is_the_repository_of_its_url() -> None:
    async with Enfila("memory://") as app:
        assert isinstance(app.repository, InMemoryJobRepository)
        assert app.container.job_repository() is app.repository
