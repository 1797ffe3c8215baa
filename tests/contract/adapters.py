"""The adapters of `IJobRepository` by the names under which the tests ask for them."""

import pytest

from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository

SQL_ADAPTERS = [
    "sqlite",
    pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres),
    pytest.param("postgresql-psycopg", marks=pytest.mark.postgres),
]
ADAPTERS = ["memory", *SQL_ADAPTERS]


def url_of(adapter: str, request: pytest.FixtureRequest) -> str:
    """What `Enfila` takes for the tests' database of this adapter."""
    match adapter:
        case "memory":
            return "memory://"
        case "sqlite":
            file: str = request.getfixturevalue("sqlite_url")
            return file
        case _:
            return server_url(adapter, request)


def sql_repository(
    adapter: str, request: pytest.FixtureRequest, clock: Clock | None
) -> IJobRepository:
    """A new repository, not open yet, on the database that the fixtures of the test give."""
    return SqlAlchemyJobRepository(url_of(adapter, request), clock=clock)


def server_url(adapter: str, request: pytest.FixtureRequest) -> str:
    """The URL of the tests' server for this adapter, with its driver."""
    return with_driver(request.getfixturevalue("postgres_url"), adapter)


def with_driver(url: str, adapter: str) -> str:
    """The URL of a server, with the driver of this adapter."""
    return url.replace("postgresql", adapter.replace("-", "+"), 1)
