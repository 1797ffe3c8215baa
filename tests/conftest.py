"""Databases for the tests; each process of the run has its own."""

import inspect
import os
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
from sqlalchemy import URL

from tests.contract.adapters import with_driver
from tests.contract.lasting import Lasting
from tests.postgres_servers import NoServerError, new_database, postgres_server

# A database answers when it answers.
hypothesis.settings.register_profile("enfila", deadline=None)
hypothesis.settings.load_profile("enfila")

LAST_START = 0.8
"""The part of the modules among which those that start processes stand."""


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for PostgreSQL by name, and what runs on the loop of the session.

    Modules that are long may leave the second driver to the thorough run.
    """
    for item in items:
        asked: Collection[str] = getattr(item, "fixturenames", ())
        if "postgres_url" in asked:
            item.add_marker("postgres")
        module = getattr(item, "module", None)
        if getattr(module, "SECOND_DRIVER_IS_THOROUGH", False) and "psycopg" in item.name:
            item.add_marker("thorough")
        if "lasting" in asked and _is_async(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
    items[:] = _mixed(items)


def _mixed(items: list[pytest.Item]) -> list[pytest.Item]:
    """Modules that start processes stand evenly among those that compute, none at the end.

    So the processes of several such tests seldom compete, and no long module runs alone at last.
    """
    modules: dict[Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)
    groups: dict[bool, list[list[pytest.Item]]] = {True: [], False: []}
    for module in modules.values():
        groups[any(map(_starts_processes, module))].append(module)
    placed = [
        (number / len(group) * (LAST_START if is_long else 1), module)
        for is_long, group in groups.items()
        for number, module in enumerate(group)
    ]
    placed.sort(key=lambda each: each[0])
    return [item for _, module in placed for item in module]


def _starts_processes(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("processes", "slow"))


def _is_async(item: pytest.Item) -> bool:
    return inspect.iscoroutinefunction(getattr(item, "function", None))


@pytest.fixture(scope="session")
def database_server() -> Iterator[URL]:
    """A PostgreSQL server that lets us create databases."""
    try:
        with postgres_server() as server:
            yield server
    except NoServerError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres_url(database_server: URL) -> Iterator[str]:
    """`postgresql://user@host:port/name` of an empty database, dropped when the run ends."""
    with new_database(database_server) as database:
        yield database.render_as_string(hide_password=False)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'enfila.db'}"


# ── repositories that outlive a test ─────────────────────────────────────────────────────────


@pytest.fixture
def lasting(
    adapter: str, used_by_the_module: set[Lasting], request: pytest.FixtureRequest
) -> Lasting | None:
    """What lasts on the database of `adapter`; nothing does in memory."""
    if adapter == "memory":
        return None
    found: Lasting = request.getfixturevalue(f"lasting_{adapter.replace('-', '_')}")
    used_by_the_module.add(found)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def used_by_the_module() -> AsyncIterator[set[Lasting]]:
    """Between two modules they keep no connections: a server has a hundred for all its users."""
    used: set[Lasting] = set()
    yield used
    for lasting in used:
        await lasting.disconnect()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_sqlite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lasting]:
    file = tmp_path_factory.mktemp("lasting") / "enfila.db"
    async with Lasting(f"sqlite:///{file}") as lasting:
        yield lasting


@pytest.fixture(scope="session")
def lasting_database(database_server: URL) -> Iterator[str]:
    """The URL of a database where only repositories that last keep connections."""
    with new_database(database_server) as database:
        yield database.render_as_string(hide_password=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_postgresql_asyncpg(lasting_database: str) -> AsyncIterator[Lasting]:
    async with Lasting(with_driver(lasting_database, "postgresql-asyncpg")) as lasting:
        yield lasting


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting_postgresql_psycopg(lasting_database: str) -> AsyncIterator[Lasting]:
    async with Lasting(with_driver(lasting_database, "postgresql-psycopg")) as lasting:
        yield lasting
