"""Fixtures for `QueueService`, on the adapters that can follow a frozen clock.

The contract suite (`tests/contract`) tests that all adapters behave the same.
"""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.contract.lasting import Lasting
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
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest_asyncio.fixture(loop_scope="session")
async def repository(lasting: Lasting | None, clock: FrozenClock) -> IJobRepository:
    return InMemoryJobRepository(clock) if lasting is None else await lasting.repository(clock)


@pytest.fixture
def queue_name() -> str:
    """Of this test alone: a server's tables outlive the test."""
    return f"email-{uuid4().hex}"


@pytest_asyncio.fixture(loop_scope="session")
async def queue(
    queue_name: str, repository: IJobRepository, clock: FrozenClock
) -> AsyncIterator[Queue]:
    queue: Queue = QueueService(queue_name, repository, clock=clock, random=lambda: 0.0)
    yield queue
    await queue.close()


@pytest.fixture
def bench(queue: Queue) -> Bench:
    return Bench(queue)
