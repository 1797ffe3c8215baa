"""The contract suite: each test of this folder runs on every adapter.

`docs/conformance.md` says which promised behaviour each test holds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
import pytest_asyncio

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.testing import FrozenClock
from tests.contract.adapters import ADAPTERS
from tests.contract.building import Line
from tests.contract.lasting import Lasting

Connect = Callable[[], Awaitable[IJobRepository]]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def queue() -> str:
    return f"queue-{uuid4().hex}"


@pytest_asyncio.fixture(loop_scope="session")
async def connect(lasting: Lasting | None, clock: FrozenClock) -> AsyncIterator[Connect]:
    """Opens a repository; each further one is as another process has it, closed at the end."""
    in_memory = InMemoryJobRepository(clock)
    is_first = True
    async with AsyncExitStack() as opened:

        async def connect() -> IJobRepository:
            nonlocal is_first
            if lasting is None:
                return in_memory
            if is_first:
                is_first = False
                return await lasting.repository(clock)
            repository = await lasting.another(clock)
            opened.push_async_callback(repository.close)
            return repository

        yield connect


@pytest_asyncio.fixture(loop_scope="session")
async def repository(connect: Connect) -> IJobRepository:
    return await connect()


@pytest.fixture
def line(repository: IJobRepository, clock: FrozenClock, queue: str) -> Line:
    return Line(repository, clock, queue)
