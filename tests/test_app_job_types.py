"""The facade with job types."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from enfila import (
    ActiveJob,
    Container,
    Enfila,
    InMemoryJobRepository,
    InvalidRequest,
    JobState,
    JobTypeNotFound,
    JobTypeRegistry,
    WorkerOptions,
)
from tests.contract.adapters import SQL_ADAPTERS, url_of

QUICK = WorkerOptions(poll_interval=0.05, maintenance=None, concurrency=4)


@pytest.fixture(params=["memory", *SQL_ADAPTERS])
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request.param, request)


@pytest.fixture
def named() -> Callable[[str], str]:
    """Names of this test alone: a server's tables outlive the test."""
    token = uuid4().hex[:8]
    return lambda name: f"{name}-{token}"


async def test_one_worker_runs_what_the_app_declares(url: str, named: Callable[[str], str]) -> None:
    async with Enfila(url) as app:

        @app.job(named("welcome"), queue=named("email"), attempts=3)
        async def welcome(job: ActiveJob[Any], to: str) -> str:
            return f"welcome {to}, attempt {job.attempt} of {job.max_attempts}"

        @app.job(named("report"), queue=named("slow"))
        def report(pages: int) -> list[int]:
            return list(range(pages))

        async with app.worker(options=QUICK) as worker:
            one, two = await welcome.enqueue("ada"), await report.enqueue(pages=3)
            assert await one.result(timeout=20) == "welcome ada, attempt 1 of 3"
            assert await two.result(timeout=20) == [0, 1, 2]
            [seen] = [
                each
                for each in await app.repository.storage.workers.all()
                if each.worker_id == worker.id
            ]
            assert seen.queue == f"{named('email')}, {named('slow')}"
        info = await app.job_types.get(named("welcome"))
        assert (info.statistics.runs, info.statistics.successes) == (1, 1)


async def test_modules_declare_before_there_is_an_app(
    url: str, named: Callable[[str], str]
) -> None:
    types = JobTypeRegistry()

    @types.job(named("send"), queue=named("email"))
    async def send(to: str) -> str:
        return to

    async with Enfila(url, job_types=types) as app:
        assert (await app.job_types.get(named("send"))).definition == send.definition
        async with app.worker(types, options=QUICK):
            assert await (await send.enqueue(to="ada")).result(timeout=20) == "ada"
        with pytest.raises(InvalidRequest, match=r"^name: .* did you mean"):
            await app.queue(named("email")).add(named("sendd"))
    with pytest.raises(InvalidRequest, match="a registry without an app"):
        await send.enqueue(to="ada")
    async with Enfila("memory://", job_types=types):
        assert (await send.enqueue(to="bob")).payload == {"to": "bob"}


async def test_a_registry_belongs_to_one_app_at_a_time() -> None:
    types = JobTypeRegistry()
    async with Enfila("memory://", job_types=types):
        with pytest.raises(InvalidRequest, match=r"^job_types: .* close that app first"):
            Enfila("memory://", job_types=types)


async def test_a_job_in_a_session_comes_and_goes_with_it(sqlite_url: str) -> None:
    engine = create_engine(sqlite_url)
    async with Enfila(sqlite_url) as app:

        @app.job("send")
        async def send(to: str) -> None: ...

        with Session(engine) as session, session.begin():
            kept = await send.with_options(session=session).enqueue("ada")
        with Session(engine) as session:
            gone = await send.with_options(session=session, priority=1).enqueue("bob")
            session.rollback()
        queue = app.queue("default")
        assert await queue.get_job(kept.id) is not None
        assert await queue.get_job(gone.id) is None
        job = await asyncio.to_thread(send.enqueue_sync, "eve")
        assert await queue.get_job(job.id) is not None
    engine.dispose()


async def test_a_worker_serves_the_queues_that_it_is_told_to() -> None:
    async with Enfila("memory://") as app:
        one = app.job("one", queue="one")(lambda: 1)
        two = app.job("two", queue="two")(lambda: 2)
        jobs = [await one.enqueue(), await two.enqueue()]
        async with app.worker(queues=["two"], options=QUICK):
            assert await jobs[1].result(timeout=20) == 2
        async with app.worker("one", app.container.job_type_registry(), QUICK):
            assert await jobs[0].result(timeout=20) == 1
        assert (await app.job_types.get("one")).statistics.runs == 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, r"^queues: .* declare a job type first"),
        ({"queues": "email"}, r"^queues: .* give a list of names"),
        ({"queue": "email"}, r"^processor: .* give a function"),
    ],
)
async def test_a_worker_without_work_is_refused(given: dict[str, Any], reason: str) -> None:
    async with Enfila("memory://") as app:
        with pytest.raises(InvalidRequest, match=reason):
            app.worker(**given)


# ── on and off ───────────────────────────────────────────────────────────────────────────────


async def test_a_disabled_type_waits_until_it_is_enabled(
    url: str, named: Callable[[str], str]
) -> None:
    async with Enfila(url) as app:
        on = app.job(named("on"), queue=named("q"))(lambda: "on")
        off = app.job(named("off"), queue=named("q"))(lambda: "off")
        async with app.worker(options=QUICK):
            assert await (await off.enqueue()).result(timeout=20) == "off"
            disabled = await app.job_types.disable(named("off"))
            assert disabled.is_enabled is False
            kept = await off.enqueue()
            assert await (await on.enqueue()).result(timeout=20) == "on"
            assert (await kept.refresh()).state is JobState.WAITING
            enabled = await app.job_types.enable(named("off"))
            assert enabled.is_enabled is True
            assert await kept.result(timeout=20) == "off"


async def test_an_idle_worker_hears_of_an_enabled_type_before_its_next_look() -> None:
    async with Enfila("memory://") as app:
        send = app.job("send")(lambda: "sent")
        async with app.worker(options=WorkerOptions(poll_interval=3600)):
            await (await send.enqueue()).wait(timeout=20)
            await app.job_types.disable("send")
            job = await send.enqueue()
            await app.job_types.enable("send")
            assert await job.result(timeout=20) == "sent"


async def test_a_type_that_nobody_declared_is_reported_with_the_nearest() -> None:
    async with Enfila("memory://") as app:
        app.job("biz:pipeline")(lambda: None)
        await app.job_types.declare(app.container.job_type_registry())
        for act in (app.job_types.get, app.job_types.disable, app.job_types.remove):
            with pytest.raises(JobTypeNotFound) as missing:
                await act("biz:pipelin")
            assert str(missing.value) == (
                "no job type is named 'biz:pipelin'; perhaps 'biz:pipeline' is meant"
            )
        await app.job_types.remove("biz:pipeline")
        assert await app.job_types.all() == []


async def test_another_app_lists_the_types_of_the_first() -> None:
    container = Container()
    container.job_repository.override(InMemoryJobRepository())
    types = JobTypeRegistry()
    types.job("send", description="Sends letters")(lambda: None)
    async with Enfila(container=container, job_types=types):
        other = Container()
        other.job_repository.override(container.job_repository())
        dashboard = Enfila(container=other)
        assert [each.definition for each in await dashboard.job_types.all()] == list(types)
