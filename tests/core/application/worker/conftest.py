"""A queue in memory, and workers that are closed when the test ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.infrastructure.queue.queue_service import QueueService
from tests.core.application.worker.unreliable_repository import UnreliableRepository

MakeWorker = Callable[..., WorkerService[Any, Any]]


@pytest.fixture
def repository() -> UnreliableRepository:
    return UnreliableRepository()


@pytest_asyncio.fixture
async def queue(repository: UnreliableRepository) -> AsyncIterator[AnyQueue]:
    async with QueueService[Any, Any]("work", repository) as queue:
        yield queue


@pytest_asyncio.fixture
async def make_worker(queue: AnyQueue) -> AsyncIterator[MakeWorker]:
    """Makes workers on `queue`, without maintenance; keywords are options."""
    async with AsyncExitStack() as stack:

        def make(processor: Any, **options: Any) -> WorkerService[Any, Any]:
            chosen = {"maintenance": None, "poll_interval": 0.1, **options}
            worker = WorkerService[Any, Any](queue, processor, WorkerOptions(**chosen))
            stack.push_async_callback(worker.close, 0)
            return worker

        yield make
