"""Where ports meet adapters."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from enfila import Container, Enfila, JobOptions, JobState, WorkerOptions
from enfila.core.application.in_process_wake_up import InProcessWakeUp
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyStorage
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.wake_up import PostgresWakeUp
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.wake_up import SqliteWakeUp
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock


def container_of(url: str, **settings: Any) -> Container:
    container = Container()
    container.config.from_dict({"database_url": url, **settings})
    return container


async def test_it_makes_queues_and_workers_on_one_repository(sqlite_url: str) -> None:
    container = container_of(sqlite_url)
    one = container.queue("email", default_job_options=JobOptions(priority=3))
    other = container.queue("other")
    assert isinstance(one, QueueService)
    assert container.queue("email") is not one  # the facade is what keeps them
    job = await one.add("welcome")
    assert job.snapshot.priority == 3
    assert await container.job_repository().storage.queues.names() == ["email"]
    worker = container.worker(other, lambda job: job.payload, WorkerOptions(concurrency=3))
    assert (worker.queue, worker.concurrency) == (other, 3)
    async with worker:
        assert await (await other.add("a", 7)).result(timeout=20) == 7
    await one.close()
    await other.close()
    await container.job_repository().close()


async def test_a_repository_that_is_overridden_is_everybodys() -> None:
    container = container_of("postgresql+asyncpg://me@nowhere.invalid/db")
    repository = InMemoryJobRepository()
    container.job_repository.override(repository)
    assert type(container.wake_up()) is InProcessWakeUp
    async with Enfila(container=container) as app:
        assert app.repository is repository
        queue = app.queue("email")
        async with app.worker(queue, lambda job: job.name):
            assert await (await queue.add("a")).result(timeout=20) == "a"
        assert (await repository.storage.queues.counts("email"))[JobState.COMPLETED] == 1


async def test_a_clock_that_is_overridden_dates_rows_ids_and_events(sqlite_url: str) -> None:
    container = container_of(sqlite_url)
    clock = FrozenClock(datetime(2030, 1, 2, tzinfo=UTC))
    container.clock.override(clock)
    queue = container.queue("email")
    assert (await queue.add("a")).created_at == clock.now()
    await queue.close()
    await container.job_repository().close()


def test_each_container_has_a_repository_of_its_own() -> None:
    one, other = container_of("memory://"), container_of("memory://")
    assert one.job_repository() is one.job_repository()
    assert one.job_repository() is not other.job_repository()


@pytest.mark.parametrize(
    ("url", "settings", "wake_up"),
    [
        ("memory://", {}, InProcessWakeUp),
        ("sqlite:///some.db", {}, SqliteWakeUp),
        ("postgresql+asyncpg://me@host/db", {}, PostgresWakeUp),
        ("postgresql+psycopg://me@host/db", {}, PostgresWakeUp),
        ("postgresql://me@host/db", {"notify": False}, InProcessWakeUp),
    ],
)
def test_the_wake_up_fits_the_database(url: str, settings: dict[str, Any], wake_up: type) -> None:
    assert type(container_of(url, **settings).wake_up()) is wake_up


def test_the_settings_reach_the_repository() -> None:
    storage = container_of(
        "postgresql+psycopg://me@host/db", schema="jobs", table_prefix="mine_"
    ).storage()
    assert isinstance(storage, SqlAlchemyStorage)
    assert storage.url.render_as_string() == "postgresql+psycopg://me@host/db"
    assert storage.installation == "jobs.mine_"


IMPORTED = """
import asyncio, sys
from enfila import Enfila
async def main():
    async with Enfila(sys.argv[1]) as app:
        await app.queue("q").add("a")
asyncio.run(main())
print(*sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[2:])))
"""
OPTIONAL = ["sqlalchemy", "asyncpg", "psycopg", "rich"]


@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
def test_an_adapter_is_imported_only_when_it_is_chosen(scheme: str, sqlite_url: str) -> None:
    url, expected = ("memory://", "") if scheme == "memory" else (sqlite_url, "sqlalchemy")
    ended = subprocess.run(
        [sys.executable, "-c", IMPORTED, url, *OPTIONAL],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.stdout.strip() == expected
