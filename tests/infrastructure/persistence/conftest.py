"""Databases for what only the SQLAlchemy adapter does; each test has tables of its own."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests.contract.adapters import SQL_ADAPTERS, url_of


@pytest.fixture(params=SQL_ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(adapter: str, request: pytest.FixtureRequest) -> str:
    """The URL of the adapter's database, with its driver."""
    return url_of(adapter, request)


@pytest.fixture
def prefix() -> str:
    """What the names of this test's tables begin with: the server's database is shared."""
    return f"t{uuid4().hex[:8]}_"


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    """A look at the database from outside."""
    engine = sa.create_engine(url.replace("+asyncpg", "+psycopg"))
    yield engine
    engine.dispose()
