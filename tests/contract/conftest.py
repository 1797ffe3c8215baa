"""The contract suite: each test of this folder runs on every adapter.

`docs/conformance.md` says which promised behaviour each test holds.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.testing import FrozenClock
from tests.contract.adapters import ADAPTERS, sql_repository
from tests.contract.building import Line

Connect = Callable[[], Awaitable[IJobRepository]]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def queue() -> str:
    return f"queue-{uuid4().hex}"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no rows."""
    path = tmp_path_factory.mktemp("migrated") / "enfila.db"

    async def make_tables() -> None:
        repository = SqlAlchemyJobRepository(f"sqlite:///{path}")
        await repository.open()
        await repository.close()

    asyncio.run(make_tables())
    return path


@pytest.fixture
def database(adapter: str, request: pytest.FixtureRequest) -> None:
    """Copies the tables of SQLite: to migrate a file takes longer than most of the tests."""
    if adapter == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        shutil.copy(request.getfixturevalue("migrated_file"), url.removeprefix("sqlite:///"))


@pytest.fixture
async def connect(
    adapter: str, database: None, clock: FrozenClock, request: pytest.FixtureRequest
) -> AsyncIterator[Connect]:
    """Opens one more repository on the same data, as another process would; closed at the end."""
    in_memory = InMemoryJobRepository(clock)
    async with AsyncExitStack() as opened:

        async def connect() -> IJobRepository:
            if adapter == "memory":
                return in_memory
            repository = sql_repository(adapter, request, clock)
            await repository.open()
            opened.push_async_callback(repository.close)
            return repository

        yield connect


@pytest.fixture
async def repository(connect: Connect) -> IJobRepository:
    return await connect()


@pytest.fixture
def line(repository: IJobRepository, clock: FrozenClock, queue: str) -> Line:
    return Line(repository, clock, queue)
