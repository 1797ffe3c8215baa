"""Fixtures for `QueueService`, on the adapters that can follow a frozen clock.

The contract suite (`tests/contract`) tests that all adapters behave the same.
"""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.contract.adapters import sql_repository
from tests.infrastructure.queue.bench import Bench, Queue


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres),
    ]
)
async def repository(
    request: pytest.FixtureRequest, clock: FrozenClock
) -> AsyncIterator[IJobRepository]:
    if request.param == "memory":
        yield InMemoryJobRepository(clock)
        return
    repository = sql_repository(request.param, request, clock)
    await repository.open()
    yield repository
    await repository.close()


@pytest.fixture
def queue_name() -> str:
    """Of this test alone: a server's tables outlive the test."""
    return f"email-{uuid4().hex}"


@pytest.fixture
async def queue(
    queue_name: str, repository: IJobRepository, clock: FrozenClock
) -> AsyncIterator[Queue]:
    queue: Queue = QueueService(queue_name, repository, clock=clock, random=lambda: 0.0)
    yield queue
    await queue.close()


@pytest.fixture
def bench(queue: Queue) -> Bench:
    return Bench(queue)
