"""Interceptors around adding to a queue, whatever the way in."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from enfila.core.application.ports.interceptor import Interceptor
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from tests.infrastructure.queue.bench import Queue

CALLER = contextvars.ContextVar("CALLER", default="nobody")


class Annotating(Interceptor):
    """Notes who called, and in which thread; remembers what it saw."""

    def __init__(self) -> None:
        self.writes: list[int] = []
        self.threads: list[int] = []
        self.errors: list[BaseException] = []

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        self.threads.append(threading.get_ident())
        try:
            yield [
                job.annotated(metadata={"caller": CALLER.get()}, tags=["seen"], tenant=CALLER.get())
                for job in jobs
            ]
        except BaseException as error:
            self.errors.append(error)
            raise
        self.writes.append(len(jobs))


class Refusing(Interceptor):
    """Refuses every add."""

    def adding(self, jobs: Sequence[Job]) -> Any:
        raise PermissionError(f"{len(jobs)} refused")


@pytest.fixture
def interceptor() -> Annotating:
    return Annotating()


@pytest.fixture
def intercepted(queue_name: str, repository: IJobRepository, interceptor: Annotating) -> Queue:
    return QueueService(queue_name, repository, interceptors=[interceptor])


async def _stored(queue: Queue, job_id: Any) -> Job:
    found = await queue._repository.get([job_id])  # noqa: SLF001 - as it is stored
    return found[job_id]


async def test_an_add_is_annotated_before_it_is_written(
    intercepted: Queue, interceptor: Annotating
) -> None:
    CALLER.set("ada")
    added = await intercepted.add("welcome", 1, JobOptions(metadata={"mine": 1}, tags=["t"]))
    job = await _stored(intercepted, added.id)
    assert dict(job.options.metadata) == {"mine": 1, "caller": "ada"}
    assert (job.options.tags, job.tenant, interceptor.writes) == (("t", "seen"), "ada", [1])


async def test_a_bulk_is_one_write(intercepted: Queue, interceptor: Annotating) -> None:
    CALLER.set("ada")
    added = await intercepted.add_bulk([("a", n) for n in range(3)])
    jobs = [await _stored(intercepted, each.id) for each in added]
    assert [(job.payload, job.tenant) for job in jobs] == [(0, "ada"), (1, "ada"), (2, "ada")]
    assert interceptor.writes == [3]
    assert await intercepted.add_bulk([]) == []
    assert interceptor.writes == [3]


async def test_callers_whose_jobs_share_a_statement_keep_their_own_annotations(
    intercepted: Queue, interceptor: Annotating
) -> None:
    async def add(who: str) -> Job:
        CALLER.set(who)
        return await _stored(intercepted, (await intercepted.add("a")).id)

    who = [f"caller {n}" for n in range(10)]
    jobs = await asyncio.gather(*map(add, who))
    assert [job.tenant for job in jobs] == who
    assert [job.options.metadata["caller"] for job in jobs] == who
    assert interceptor.writes == [1] * 10


async def test_adds_with_interceptors_still_share_a_statement() -> None:
    sizes: list[int] = []

    class Counting(InMemoryJobRepository):
        async def add(self, jobs: Any, notice: Any = None) -> Any:
            sizes.append(len(jobs))
            return await super().add(jobs, notice)

    async with QueueService[Any, Any]("q", Counting(), interceptors=[Annotating()]) as queue:
        await asyncio.gather(*(queue.add("a") for _ in range(10)))
    assert len(sizes) < 10
    assert sum(sizes) == 10


async def test_a_sync_add_is_intercepted_in_its_own_thread(
    intercepted: Queue, interceptor: Annotating
) -> None:
    await intercepted.counts()

    def add() -> tuple[str, int]:
        CALLER.set("a thread")
        return intercepted.add_sync("a").id, threading.get_ident()

    job_id, thread = await asyncio.to_thread(add)
    assert (await _stored(intercepted, job_id)).tenant == "a thread"
    assert interceptor.threads == [thread]


async def test_inside_of_a_transaction_it_is_left_before_the_commit(
    sqlite_url: str, interceptor: Annotating
) -> None:
    repository = SqlAlchemyJobRepository(sqlite_url)
    await repository.open()
    engine = create_engine(sqlite_url)
    async with QueueService[Any, Any]("q", repository, interceptors=[interceptor]) as queue:
        CALLER.set("ada")
        with Session(engine) as session, session.begin():
            one = await queue.add("one", session=session)
            two = queue.add_sync("two", session=session)
            [three] = await queue.add_bulk([("three",)], session=session)
            assert await queue.add_bulk([], session=session) == []
            assert interceptor.writes == [1, 1, 1]
            assert await queue.get_job(one.id) is None
        stored = [await _stored(queue, job.id) for job in (one, two, three)]
    assert [job.tenant for job in stored] == ["ada"] * 3
    engine.dispose()
    await repository.close()


async def test_what_an_interceptor_raises_refuses_the_add(
    queue_name: str, repository: IJobRepository, interceptor: Annotating
) -> None:
    interceptors = [interceptor, Refusing()]
    async with QueueService[Any, Any](queue_name, repository, interceptors=interceptors) as queue:
        with pytest.raises(PermissionError, match="1 refused"):
            await queue.add("a")
        with pytest.raises(PermissionError, match="2 refused"):
            await queue.add_bulk([("a",), ("b",)])
        with pytest.raises(PermissionError):
            await asyncio.to_thread(queue.add_sync, "a")
        assert (await queue.counts()).total == 0
    assert [type(error) for error in interceptor.errors] == [PermissionError] * 3


async def test_what_is_wrong_does_not_reach_an_interceptor(
    intercepted: Queue, interceptor: Annotating
) -> None:
    with pytest.raises(InvalidRequest):
        await intercepted.add("a", object())
    assert interceptor.threads == []


async def test_a_duplicate_leaves_the_job_that_is_there_as_it_is(intercepted: Queue) -> None:
    once = JobOptions(deduplication=Deduplication.while_unfinished("k"))
    CALLER.set("first")
    first = await intercepted.add("a", options=once)
    CALLER.set("second")
    second = await intercepted.add("a", options=once)
    assert second.is_duplicate
    assert (await _stored(intercepted, first.id)).tenant == "first"


def test_a_wrong_interceptor_is_refused_when_the_queue_is_made() -> None:
    wrong: Any = ["tracing"]
    with pytest.raises(InvalidRequest, match=r"interceptors: 'tracing' is not allowed"):
        QueueService[Any, Any]("q", InMemoryJobRepository(), interceptors=wrong)
