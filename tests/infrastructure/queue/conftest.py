"""The queue on a repository; the numbers in the tests are lines of the project's CONFORMANCE list.

`repository` is the one fixture to parametrize when another adapter is to be used.
"""

from collections.abc import AsyncIterator

import pytest

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from enfila.testing import FrozenClock
from tests.infrastructure.queue.bench import Bench, Queue


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def repository(clock: FrozenClock) -> IJobRepository:
    return InMemoryJobRepository(clock)


@pytest.fixture
async def queue(repository: IJobRepository, clock: FrozenClock) -> AsyncIterator[Queue]:
    queue: Queue = QueueService("email", repository, clock=clock, random=lambda: 0.0)
    yield queue
    await queue.close()


@pytest.fixture
def bench(queue: Queue) -> Bench:
    return Bench(queue)
