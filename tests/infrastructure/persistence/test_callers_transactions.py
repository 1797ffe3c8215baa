"""Jobs added inside a transaction of the caller: committed and rolled back with it."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from enfila.app import Enfila
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.domain.errors import InvalidRequest, RepositoryUnavailable, SchemaMismatch
from enfila.core.domain.events import JobAdded
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.queue.queue_service import QueueService
from tests.infrastructure.persistence.callers import Caller, caller as calling
from tests.waiting import eventually, wait_for_event

Queue = QueueService[Any, Any]


def on(adapter: str, kind: str) -> Any:
    marks = () if adapter == "sqlite" else (pytest.mark.postgres,)
    return pytest.param(adapter, kind, marks=marks, id=f"{adapter}-{kind}")


ALL = [
    on("sqlite", "Session"),
    on("sqlite", "Connection"),
    on("postgresql-asyncpg", "AsyncSession"),
    on("postgresql-asyncpg", "AsyncConnection"),
    # The caller's driver need not be ours: these are sync ones of psycopg's.
    on("postgresql-asyncpg", "Session"),
    on("postgresql-asyncpg", "Connection"),
    on("postgresql-psycopg", "AsyncSession"),
    on("postgresql-psycopg", "AsyncConnection"),
]
SYNC = [each for each in ALL if not str(each.values[1]).startswith("Async")]
every_kind = pytest.mark.parametrize(("adapter", "kind"), ALL, indirect=["adapter"])
every_sync_kind = pytest.mark.parametrize(("adapter", "kind"), SYNC, indirect=["adapter"])
some_kinds = pytest.mark.parametrize(
    ("adapter", "kind"), [ALL[0], ALL[2], ALL[7]], indirect=["adapter"]
)


@pytest.fixture
async def repository(url: str) -> AsyncIterator[SqlAlchemyJobRepository]:
    repository = SqlAlchemyJobRepository(url)
    await repository.open()
    yield repository
    await repository.close()


@pytest.fixture
async def queue(repository: SqlAlchemyJobRepository) -> AsyncIterator[Queue]:
    async with QueueService[Any, Any](f"email-{uuid4().hex}", repository) as queue:
        yield queue


@pytest.fixture
async def caller(url: str, kind: str, repository: SqlAlchemyJobRepository) -> AsyncIterator[Caller]:
    async with calling(url, kind, "orders_of_callers") as caller:
        yield caller


@pytest.fixture
def told(queue: Queue) -> list[str]:
    """The names of the jobs of which `job.added` was told, in that order."""
    told: list[str] = []
    queue.on("job.added", lambda event: told.append(event.job_name))
    return told


async def all_is_told(queue: Queue, caller: Caller, *, by: str) -> None:
    """Adds one more job in the next transaction and waits until it is told."""
    last = wait_for_event(queue, JobAdded.name, where=lambda event: event.job_name == by)
    await queue.add(by, session=caller.session)
    await caller.commit()
    await last


# ── coming and going ─────────────────────────────────────────────────────────────────────────


@every_kind
async def test_a_job_is_invisible_until_the_commit_and_told_after_it(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    await caller.order(1)
    job = await queue.add("welcome", {"to": "ada"}, session=caller.session)
    assert (job.state, job.payload) == (JobState.WAITING, {"to": "ada"})
    assert await queue.get_job(job.id) is None
    assert (await queue.counts()).total == 0
    assert told == []
    is_told = wait_for_event(queue, JobAdded.name)
    await caller.commit()
    assert (await is_told).job_id == job.id
    stored = await queue.get_job(job.id)
    assert stored is not None
    assert stored.snapshot == job.snapshot
    assert (await queue.counts()).waiting == 1
    assert told == ["welcome"]


@every_kind
async def test_a_job_is_gone_after_a_rollback_and_never_told(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    await caller.order(1)
    job = await queue.add("gone", session=caller.session)
    await caller.rollback()
    assert await queue.get_job(job.id) is None
    await all_is_told(queue, caller, by="last")
    assert told == ["last"]
    assert (await queue.counts()).total == 1


@every_kind
async def test_what_a_savepoint_takes_back_is_gone_and_the_rest_stays(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    await caller.order(1)
    before = await queue.add("before", session=caller.session)
    outer = await caller.savepoint()
    within = await queue.add("within", session=caller.session)
    inner = await caller.savepoint()
    deep = await queue.add("deep", session=caller.session)
    await commit(inner)
    await rollback(outer)
    after = await queue.add("after", session=caller.session)
    await caller.commit()
    await all_is_told(queue, caller, by="last")
    assert told == ["before", "after", "last"]
    found = [await queue.get_job(job.id) is not None for job in (before, within, deep, after)]
    assert found == [True, False, False, True]
    assert (await queue.counts()).waiting == 3


@every_kind
async def test_a_released_savepoint_is_not_a_commit(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    await caller.order(1)
    savepoint = await caller.savepoint()
    await queue.add("gone", session=caller.session)
    await commit(savepoint)
    await caller.rollback()
    await caller.order(1)
    savepoint = await caller.savepoint()
    await queue.add("kept", session=caller.session)
    await commit(savepoint)
    assert (await queue.counts()).total == 0
    await caller.commit()
    await all_is_told(queue, caller, by="last")
    assert told == ["kept", "last"]


@every_kind
async def test_closing_without_a_commit_is_a_rollback(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    """A session can be used again after it was closed, and then commits something else."""
    await caller.order(1)
    await queue.add("gone", session=caller.session)
    await caller.close()
    if not hasattr(caller.session, "begin_nested") or getattr(caller.session, "closed", False):
        await caller.open()
    await all_is_told(queue, caller, by="last")
    assert told == ["last"]


@every_kind
async def test_a_commit_that_fails_tells_nothing(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    """A deferred constraint is broken."""
    await caller.order(1, parent=99)
    job = await queue.add("gone", session=caller.session)
    with pytest.raises(sa.exc.IntegrityError):
        await caller.commit()
    assert await queue.get_job(job.id) is None
    await caller.reopen()
    await all_is_told(queue, caller, by="last")
    assert told == ["last"]


@every_kind
async def test_many_transactions_on_one_session_tell_each_job_once(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    for number in range(5):
        await queue.add(f"a{number}", session=caller.session)
        await queue.add(f"b{number}", session=caller.session)
        await caller.commit()
    await all_is_told(queue, caller, by="last")
    # A connection's commits are told of from threads, which may come in any order.
    await eventually(lambda: len(told) > 10)
    assert sorted(told) == sorted([f"{x}{n}" for n in range(5) for x in "ab"] + ["last"])


@some_kinds
async def test_a_bulk_keeps_its_order_and_is_all_or_nothing(queue: Queue, caller: Caller) -> None:
    await caller.order(1)
    with pytest.raises(InvalidRequest, match="payload"):
        await queue.add_bulk([("a",), ("b", object())], session=caller.session)
    jobs = await queue.add_bulk([("a", 1), ("b", 2), ("c", 3)], session=caller.session)
    assert (await queue.counts()).total == 0
    await caller.commit()
    found = await queue.get_jobs()
    assert [job.id for job in found] == [job.id for job in jobs]
    assert [(job.name, job.payload) for job in found] == [("a", 1), ("b", 2), ("c", 3)]


@some_kinds
async def test_what_is_refused_leaves_the_callers_transaction_as_it_was(
    queue: Queue, caller: Caller
) -> None:
    await caller.order(1)
    with pytest.raises(InvalidRequest, match="payload"):
        await queue.add("welcome", float("nan"), session=caller.session)
    with pytest.raises(InvalidRequest, match="name"):
        await queue.add("", session=caller.session)
    await caller.order(2)
    await caller.commit()
    assert await caller.orders() == [1, 2]
    assert (await queue.counts()).total == 0


async def commit(savepoint: Any) -> None:
    await _end(savepoint.commit())


async def rollback(savepoint: Any) -> None:
    await _end(savepoint.rollback())


async def _end(answer: Any) -> None:
    if answer is not None:
        await answer


# ── deduplication ────────────────────────────────────────────────────────────────────────────

KEY = JobOptions(deduplication=Deduplication.while_unfinished("ada"))


@some_kinds
async def test_a_key_that_is_taken_in_a_transaction_is_taken_for_itself_too(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    await caller.order(1)
    first = await queue.add("first", options=KEY, session=caller.session)
    second = await queue.add("second", options=KEY, session=caller.session)
    assert (second.id, second.is_duplicate) == (first.id, True)
    await caller.commit()
    third = await queue.add("third", options=KEY)
    assert (third.id, third.is_duplicate) == (first.id, True)
    await all_is_told(queue, caller, by="last")
    assert told == ["first", "last"]


@some_kinds
async def test_a_key_that_was_taken_in_a_transaction_is_free_after_its_rollback(
    queue: Queue, caller: Caller
) -> None:
    await caller.order(1)
    await queue.add("gone", options=KEY, session=caller.session)
    await caller.rollback()
    job = await queue.add("kept", options=KEY)
    assert not job.is_duplicate


# ── without an event loop ────────────────────────────────────────────────────────────────────


@every_sync_kind
async def test_add_sync_in_a_thread_comes_and_goes_with_the_transaction(
    queue: Queue, caller: Caller, told: list[str]
) -> None:
    await caller.order(1)
    await asyncio.to_thread(queue.add_sync, "gone", session=caller.session)
    await caller.rollback()
    await caller.order(1)
    await asyncio.to_thread(queue.add_sync, "kept", {"to": "ada"}, session=caller.session)
    assert (await queue.counts()).total == 0
    await caller.commit()
    await all_is_told(queue, caller, by="last")
    assert told == ["kept", "last"]


@pytest.mark.parametrize(
    "adapter", ["sqlite", pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres)],
    indirect=True,
)  # fmt: skip
def test_add_sync_with_a_session_needs_no_loop_at_all(url: str, engine: sa.Engine) -> None:
    repository = SqlAlchemyJobRepository(url)
    asyncio.run(repository.open())
    queue: Queue = QueueService(f"email-{uuid4().hex}", repository)
    told: list[str] = []
    queue.on("job.added", lambda event: told.append(event.job_name))
    with Session(engine) as session, session.begin():
        queue.add_sync("welcome", {"to": "ada"}, session=session)
        assert told == []
    assert told == ["welcome"]
    with Session(engine) as session:
        queue.add_sync("gone", session=session)
    assert told == ["welcome"]
    assert asyncio.run(repository.storage.queues.counts(queue.name)).total == 1
    asyncio.run(queue.close())
    asyncio.run(repository.close())


@pytest.mark.parametrize(
    ("adapter", "kind"), [on("postgresql-asyncpg", "AsyncSession")], indirect=["adapter"]
)
async def test_add_sync_refuses_an_async_session_with_a_sentence(
    queue: Queue, caller: Caller
) -> None:
    with pytest.raises(InvalidRequest, match="give a SQLAlchemy Session or Connection"):
        await asyncio.to_thread(queue.add_sync, "a", session=caller.session)


# ── workers ──────────────────────────────────────────────────────────────────────────────────


@every_kind
async def test_an_idle_worker_takes_the_job_soon_after_the_commit(url: str, kind: str) -> None:
    """Sooner than it would look by itself."""
    async with Enfila(url) as app, calling(url, kind, "orders_of_callers") as caller:
        queue = app.queue(f"email-{uuid4().hex}")
        worker = app.worker(queue, lambda job: job.payload, WorkerOptions(poll_interval=60))
        async with worker:
            assert await (await queue.add("first", 1)).result(timeout=20) == 1
            await caller.order(1)
            job = await queue.add("second", 2, session=caller.session)
            await caller.commit()
            assert await job.result(timeout=20) == 2


@pytest.mark.parametrize(("adapter", "kind"), ALL[2:], indirect=["adapter"])
async def test_a_claim_neither_sees_nor_waits_for_what_is_not_committed(
    queue: Queue, caller: Caller
) -> None:
    """Not so on SQLite, where one writes at a time: there a claim waits for the caller."""
    await queue.add("hidden", session=caller.session)
    await queue.add("open")
    worker_id: Any = "0198a8f4-0000-7000-8000-000000000000"
    assert [job.name for job in await queue.fetch_jobs_and_lock(worker_id, 10, 30)] == ["open"]
    await caller.commit()
    assert [job.name for job in await queue.fetch_jobs_and_lock(worker_id, 10, 30)] == ["hidden"]


# ── what is refused ──────────────────────────────────────────────────────────────────────────


@some_kinds
async def test_what_is_no_session_is_refused_with_a_sentence(
    queue: Queue, engine: sa.Engine, kind: str
) -> None:
    sentence = "give a SQLAlchemy Session, AsyncSession, Connection or AsyncConnection"
    for wrong in (object(), "session", engine, sessionmaker(engine), Session, True):
        with pytest.raises(InvalidRequest, match=sentence):
            await queue.add("a", session=wrong)
    assert (await queue.counts()).total == 0


@some_kinds
async def test_a_session_on_another_kind_of_database_is_refused(
    queue: Queue, adapter: str, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url" if adapter == "sqlite" else "sqlite_url")
    other = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    ours = "postgresql" if adapter.startswith("postgresql") else "sqlite"
    with (
        Session(other) as session,
        pytest.raises(InvalidRequest, match=f"session: .*give one on {ours}, where this queue"),
    ):
        await queue.add("a", session=session)
    other.dispose()


@pytest.mark.parametrize("adapter", ["sqlite"], indirect=True)
@pytest.mark.parametrize("file", ["other.db", ":memory:"])
async def test_a_session_on_another_file_is_refused(queue: Queue, tmp_path: Any, file: str) -> None:
    other = sa.create_engine(f"sqlite:///{file if file == ':memory:' else tmp_path / file}")
    refused = pytest.raises(InvalidRequest, match=r"give one on .*enfila\.db and not on")
    with Session(other) as session, refused:
        await queue.add("a", session=session)
    other.dispose()


@pytest.mark.parametrize(
    ("adapter", "kind"), [on("postgresql-asyncpg", "AsyncSession")], indirect=["adapter"]
)
async def test_a_session_on_another_database_of_the_server_is_refused(
    queue: Queue, url: str, kind: str
) -> None:
    other = create_async_engine(sa.make_url(url).set(database="postgres"))
    async with other.connect() as connection:
        with pytest.raises(
            InvalidRequest, match=r"give one on database 'enfila_test_.*not on 'post"
        ):
            await queue.add("a", session=connection)
    await other.dispose()


@every_sync_kind
async def test_without_tables_add_sync_says_what_to_do_and_the_transaction_goes_on(
    url: str, prefix: str, kind: str
) -> None:
    """Without a loop nothing can be opened on the way."""
    repository = SqlAlchemyJobRepository(url, table_prefix=f"{prefix}none_")
    queue: Queue = QueueService("email", repository)
    async with calling(url, kind, "orders_of_callers") as caller:
        await caller.order(1)
        with pytest.raises(SchemaMismatch, match=r"schema none, .* open the app, or call `await"):
            await asyncio.to_thread(queue.add_sync, "a", session=caller.session)
        await caller.commit()
        assert await caller.orders() == [1]
    await queue.close()
    await repository.close()


@pytest.mark.parametrize(
    ("adapter", "kind"), [on("postgresql-asyncpg", "AsyncSession")], indirect=["adapter"]
)
async def test_a_callers_connection_that_dies_is_reported_as_an_outage(
    queue: Queue, caller: Caller, engine: sa.Engine
) -> None:
    await queue.add("first", session=caller.session)
    pid = (await caller.session.execute(sa.text("select pg_backend_pid()"))).scalar()
    with engine.connect() as connection:
        connection.execute(sa.text(f"select pg_terminate_backend({pid}, 5000)"))
    with pytest.raises(RepositoryUnavailable):
        await queue.add("second", session=caller.session)
    await caller.rollback()
    assert (await queue.counts()).total == 0


# ── nothing is left behind ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("adapter", "kind"), [on("sqlite", "Connection"), on("sqlite", "Session")], indirect=["adapter"]
)
async def test_a_session_that_is_done_is_not_held(
    queue: Queue, engine: sa.Engine, kind: str
) -> None:
    async def add() -> weakref.ref[Any]:
        session: Any = Session(engine) if kind == "Session" else engine.connect()
        with session:
            is_told = wait_for_event(queue, JobAdded.name)
            await queue.add("a", session=session)
            session.commit()
            await is_told
        return weakref.ref(session)

    session = await add()

    def is_gone() -> bool:
        gc.collect()
        return session() is None

    await eventually(is_gone)
