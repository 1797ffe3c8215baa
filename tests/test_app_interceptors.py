"""Interceptors of an app: around everything that it adds and runs."""

import contextvars
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from enfila import (
    ActiveJob,
    Container,
    Enfila,
    Interceptor,
    InvalidRequest,
    Job,
    Proceed,
    RunningJob,
    SyncActiveJob,
    WorkerOptions,
)
from enfila.core.application.interceptors import Interceptors
from enfila.core.domain.schedule.triggers.interval import Interval
from tests.contract.adapters import SQL_ADAPTERS, url_of

TENANT: contextvars.ContextVar[str | None] = contextvars.ContextVar("TENANT", default=None)
ONE_AT_A_TIME = WorkerOptions(concurrency=1)


class Tenants(Interceptor):
    """The tenant of the caller goes with the job, and is there when it runs."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.ran: list[str] = []

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        yield [job.annotated(tenant=TENANT.get()) for job in jobs]
        self.added += [job.name for job in jobs]

    async def running(self, job: RunningJob, proceed: Proceed) -> object:
        self.ran.append(job.name)
        TENANT.set(job.tenant)
        return await proceed()


@pytest.fixture
def url(adapter: str, request: pytest.FixtureRequest) -> str:
    return url_of(adapter, request)


async def _tell(job: ActiveJob[Any]) -> str | None:
    return TENANT.get()


def _tell_in_a_thread(job: SyncActiveJob[Any]) -> str | None:
    return TENANT.get()


@pytest.mark.parametrize("adapter", ["memory", *SQL_ADAPTERS])
async def test_a_tenant_travels_from_the_caller_to_the_handler(url: str) -> None:
    tenants = Tenants()
    async with Enfila(url, interceptors=[tenants]) as app:
        queue = app.queue(f"q-{uuid4().hex}")
        TENANT.set("acme")
        acme = await queue.add_bulk([("loop",), ("thread",)])
        TENANT.set(None)
        nobody = await queue.add_bulk([("loop",), ("thread",)])
        processor: dict[str, Any] = {"loop": _tell, "thread": _tell_in_a_thread}
        async with app.worker(queue, processor, ONE_AT_A_TIME):
            answers = [await job.result(timeout=20) for job in (*acme, *nobody)]
    assert answers == ["acme", "acme", None, None]
    assert tenants.added == tenants.ran == ["loop", "thread"] * 2


async def test_one_that_comes_last_applies_to_what_was_made_before() -> None:
    tenants = Tenants()
    async with Enfila("memory://") as app:
        queue = app.queue("q")
        async with app.worker(queue, _tell):
            await (await queue.add("before")).result(timeout=5)
            app.intercept(tenants)
            await (await queue.add("after")).result(timeout=5)
    assert tenants.added == tenants.ran == ["after"]


async def test_job_types_and_schedules_pass_it_too() -> None:
    tenants = Tenants()
    async with Enfila("memory://", interceptors=[tenants]) as app:

        @app.job("biz:tell", queue="biz")
        async def tell() -> str | None:
            return TENANT.get()

        TENANT.set("acme")
        async with app.worker():
            assert await (await tell.enqueue()).result(timeout=5) == "acme"
            definition = app.schedules.define("often", tell, Interval(3600))
            await app.schedules.create(definition)
            run = await app.schedules.run_now("often", by="ada")
            assert run.job is not None
            job = await app.queue("biz").get_job(run.job.id)
            assert job is not None
            assert await job.result(timeout=5) == "acme"
    assert tenants.added == ["biz:tell"] * 2


async def test_a_type_that_is_called_directly_passes_none() -> None:
    tenants = Tenants()
    app = Enfila("memory://", interceptors=[tenants])

    @app.job("biz:tell")
    async def tell() -> str | None:
        return TENANT.get()

    assert await tell.call_now() is None
    assert (tenants.added, tenants.ran) == ([], [])
    await app.close()


async def test_a_container_may_bring_its_own() -> None:
    tenants = Tenants()
    container = Container()
    container.config.database_url.from_value("memory://")
    container.interceptors.override(Interceptors([tenants]))
    async with Enfila(container=container) as app:
        await app.queue("q").add("a")
    assert tenants.added == ["a"]


@pytest.mark.parametrize("wrong", [["tracing"], [Tenants], Tenants(), 7])
def test_a_wrong_one_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^interceptors: .* is not allowed; give "):
        Enfila("memory://", interceptors=wrong)
