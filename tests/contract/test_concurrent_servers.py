"""What only a server does: statements of several transactions wait for each other in the middle.

The order is forced: a transaction of the caller's own stands open while another one waits for it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.running.outcome import Released
from enfila.core.domain.job.state import JobState
from tests.contract.building import Line, completed, ids
from tests.contract.lasting import Lasting
from tests.waiting import eventually

KEEP_LAST = Deduplication.keep_last("key")
SERVERS = [
    pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres),
    pytest.param("postgresql-psycopg", marks=pytest.mark.postgres),
]
pytestmark = pytest.mark.parametrize("adapter", SERVERS, indirect=True)


@pytest_asyncio.fixture(loop_scope="session")
async def engine(lasting: Lasting) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(lasting.url)
    yield engine
    await engine.dispose()


async def _somebody_waits(engine: AsyncEngine) -> bool:
    """Whether a transaction of this database waits for another one."""
    question = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with engine.connect() as connection:
        return bool(await connection.scalar(question))


async def _while_open(line: Line, engine: AsyncEngine, job: Any, then: Any) -> Any:
    """Adds `job` in a transaction that commits only when `then` is waiting for it."""
    async with engine.connect() as connection:
        [added] = await line.repository.storage.transactional_jobs.add([job], connection)
        running = asyncio.ensure_future(then)

        async def waits_or_is_done() -> bool:
            return running.done() or await _somebody_waits(engine)

        await eventually(waits_or_is_done, message="the other transaction waits or is done")
        await connection.commit()
    return added, await running


async def test_a_job_that_follows_while_its_holder_ends_is_not_left_behind(
    line: Line, engine: AsyncEngine
) -> None:
    holder = await line.add_active(deduplication=KEEP_LAST)
    added, _ = await _while_open(
        line, engine, line.make(deduplication=KEEP_LAST), line.settle(holder, completed())
    )
    assert added.job.depends_on == (holder.id,)
    assert await line.state(added.job) is JobState.WAITING
    assert await line.count(JobState.BLOCKED) == 0
    assert ids(await line.claim()) == [added.job.id]


async def test_a_job_that_follows_while_its_holder_is_removed_is_not_left_behind(
    line: Line, engine: AsyncEngine
) -> None:
    """The holder was given back by its worker, then removed by hand: both while one follows."""
    holder = await line.add_active(deduplication=KEEP_LAST)

    async def give_back_and_remove() -> None:
        released = await line.settle(holder, Released())
        assert await line.repository.remove([released]) == [True]

    added, _ = await _while_open(
        line, engine, line.make(deduplication=KEEP_LAST), give_back_and_remove()
    )
    assert await line.state(added.job) is JobState.WAITING
    assert ids(await line.claim()) == [added.job.id]


async def test_two_who_take_one_key_wait_for_each_other(line: Line, engine: AsyncEngine) -> None:
    key = Deduplication.while_unfinished("key")
    first, second = await _while_open(
        line, engine, line.make(deduplication=key), line.put(line.make(deduplication=key))
    )
    assert (second.is_duplicate, second.job) == (True, first.job)


async def test_a_claim_does_not_wait_for_a_transaction_of_a_caller(
    line: Line, engine: AsyncEngine
) -> None:
    """An uncommitted job is invisible, and blocks no claim."""
    waiting = await line.add()
    async with engine.connect() as connection:
        [added] = await line.repository.storage.transactional_jobs.add([line.make()], connection)
        assert ids(await line.claim()) == [waiting.id]
        await connection.rollback()
    assert not await line.exists(added.job)
    assert await line.count(JobState.WAITING) == 0
