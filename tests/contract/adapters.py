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


def sql_repository(
    adapter: str, request: pytest.FixtureRequest, clock: Clock | None
) -> IJobRepository:
    """A new repository, not open yet, on the database that the fixtures of the test give."""
    if adapter == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
    else:
        url = server_url(adapter, request)
    return SqlAlchemyJobRepository(url, clock=clock)


def server_url(adapter: str, request: pytest.FixtureRequest) -> str:
    """The URL of the tests' server for this adapter, with its driver."""
    return with_driver(request.getfixturevalue("postgres_url"), adapter)


def with_driver(url: str, adapter: str) -> str:
    """The URL of a server, with the driver of this adapter."""
    return url.replace("postgresql", adapter.replace("-", "+"), 1)
