"""Databases for the tests; each process of the run has its own."""

import inspect
import os
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio

from tests.contract.adapters import with_driver
from tests.contract.lasting import Lasting
from tests.postgres_servers import NoServerError, new_database, postgres_server

# A database answers when it answers.
hypothesis.settings.register_profile("enfila", deadline=None)
hypothesis.settings.load_profile("enfila")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for PostgreSQL by name, and what runs on the loop of the session."""
    for item in items:
        asked: Collection[str] = getattr(item, "fixturenames", ())
        if "postgres_url" in asked:
            item.add_marker("postgres")
        if "lasting" in asked and _is_async(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def _is_async(item: pytest.Item) -> bool:
    return inspect.iscoroutinefunction(getattr(item, "function", None))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """`postgresql://user@host:port/name` of an empty database, dropped when the run ends."""
    try:
        with postgres_server() as server, new_database(server) as database:
            yield database.render_as_string(hide_password=False)
    except NoServerError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'enfila.db'}"


# ── repositories that outlive a test ─────────────────────────────────────────────────────────


@pytest.fixture
def lasting(adapter: str, request: pytest.FixtureRequest) -> Lasting | None:
    """What lasts on the database of `adapter`; nothing does in memory."""
    if adapter == "memory":
        return None
    found: Lasting = request.getfixturevalue(f"lasting_{adapter.replace('-', '_')}")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_sqlite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lasting]:
    file = tmp_path_factory.mktemp("lasting") / "enfila.db"
    async with Lasting(f"sqlite:///{file}") as lasting:
        yield lasting


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_postgresql_asyncpg(postgres_url: str) -> AsyncIterator[Lasting]:
    async with Lasting(with_driver(postgres_url, "postgresql-asyncpg")) as lasting:
        yield lasting


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_postgresql_psycopg(postgres_url: str) -> AsyncIterator[Lasting]:
    async with Lasting(with_driver(postgres_url, "postgresql-psycopg")) as lasting:
        yield lasting
