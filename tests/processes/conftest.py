"""Places for the processes to meet, and the processes of a test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from enfila import Enfila
from tests.processes.place import Place
from tests.processes.programs import Programs
from tests.processes.scene import Scene

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=DATABASES)
def place(request: pytest.FixtureRequest) -> Place:
    """An empty database: a file, or a schema of its own, that does not exist yet."""
    if request.param == "sqlite":
        return Place(request.getfixturevalue("sqlite_url"))
    return Place(request.getfixturevalue("postgres_url"), f"processes_{uuid4().hex[:8]}")


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """The processes that a test starts; none is left after it."""
    with Programs(tmp_path / "history") as programs:
        yield programs


@pytest.fixture
async def app(place: Place) -> AsyncIterator[Enfila]:
    """The test's own process at the same database."""
    async with place.app() as app:
        yield app


@pytest.fixture
def scene(place: Place, programs: Programs, app: Enfila) -> Scene:
    return Scene(place, programs, app)
