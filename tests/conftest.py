"""Databases for the tests; each process of the run has its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.postgres_servers import NoServerError, new_database, postgres_server

# A database answers when it answers.
hypothesis.settings.register_profile("enfila", deadline=None)
hypothesis.settings.load_profile("enfila")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for PostgreSQL by name."""
    for item in items:
        if "postgres_url" in getattr(item, "fixturenames", ()):
            item.add_marker("postgres")


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
