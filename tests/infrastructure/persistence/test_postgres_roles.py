"""Roles of PostgreSQL: with the rights that the page lists they work, with fewer they are told."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.orm import Session

from enfila import (
    ActiveJob,
    Deduplication,
    Enfila,
    Interval,
    JobOptions,
    JobState,
    RepositoryUnavailable,
    SchemaMismatch,
    WorkerOptions,
    migrate,
)
from tests.contract.adapters import with_driver
from tests.postgres_servers import new_database
from tests.waiting import eventually

SECOND_DRIVER_IS_THOROUGH = True
pytestmark = pytest.mark.postgres

PAGE: Final = Path(__file__).parents[3] / "docs/database-roles.md"
DRIVERS: Final = ["postgresql-asyncpg", "postgresql-psycopg"]
PERMISSION: Final = r"permission denied .*'Roles on PostgreSQL'"
ROLES: Final = ("migrates", "works", "adds", "looks")


def statements(heading: str) -> list[str]:
    """The SQL under a heading of the page."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    assert blocks, heading
    return [each for block in blocks for each in block.split(";") if each.strip()]


class Site:
    """A database that was set up as the page says, with roles whose names are its own."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._mark = uuid4().hex[:8]

    def role(self, name: str) -> str:
        return f"enfila_{name}_{self._mark}"

    def url(self, role: str, adapter: str = DRIVERS[0]) -> str:
        url = self._url.set(username=self.role(role)).render_as_string(hide_password=False)
        return with_driver(url, adapter)

    def run(self, *texts: str, role: str | None = None) -> None:
        """Runs SQL of the page, as the administrator or as a role."""
        url = self._url if role is None else self._url.set(username=self.role(role))
        names = re.compile(rf"\benfila_({'|'.join(ROLES)})\b")
        address = url.render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            for text in texts:
                connection.execute(names.sub(lambda found: self.role(found[1]), text).encode())

    def remove_roles(self) -> None:
        for name in ROLES:
            self.run(f"drop owned by enfila_{name} cascade", f"drop role enfila_{name}")


@pytest.fixture(scope="module")
def site(database_server: URL) -> Iterator[Site]:
    with new_database(database_server) as url:
        site = Site(url)
        site.run(*statements("Migrating"))
        try:
            asyncio.run(migrate(site.url("migrates"), schema="enfila"))
            for heading in ("Looking", "Adding", "Working"):
                site.run(*statements(heading), role="migrates")
            yield site
        finally:
            site.remove_roles()


@asynccontextmanager
async def app_of(site: Site, role: str, adapter: str) -> AsyncIterator[Enfila]:
    async with Enfila(site.url(role, adapter), schema="enfila", auto_migrate=False) as app:
        yield app


# ── what programs do ─────────────────────────────────────────────────────────────────────────

Deed = Callable[[Enfila, str], Awaitable[object]]
"""Something that a program does with a queue of this name."""


async def add_in_own_transaction(app: Enfila, name: str) -> None:
    url: Any = app.storage
    engine = create_engine(url.url.set(drivername="postgresql+psycopg"))
    try:
        with Session(engine) as session, session.begin():
            await app.queue(name).add("a", session=session)
    finally:
        engine.dispose()


async def add_with_every_key(app: Enfila, name: str) -> None:
    for number in range(2):
        for make in (Deduplication.while_unfinished, lambda key: Deduplication.for_time(key, 60)):
            key = make(f"key {make}")
            await app.queue(name).add("a", number, JobOptions(deduplication=key))


async def replace_by_keys(app: Enfila, name: str) -> None:
    for make in (Deduplication.replace, Deduplication.debounce, Deduplication.keep_last):
        for number in range(2):
            key = make(f"key {make}")
            await app.queue(name).add("a", number, JobOptions(deduplication=key, delay=60))


async def look(app: Enfila, name: str) -> None:
    queue = app.queue(name)
    for job in await queue.get_jobs():
        await job.refresh()
        await job.attempt_history()
        await job.logs()
    await queue.counts()
    await queue.is_paused()
    await app.storage.workers.all()
    await app.storage.queues.names()
    await app.job_types.all()
    await app.schedules.all()


async def declare(app: Enfila, name: str) -> None:
    type_name = f"type-{uuid4().hex[:8]}"

    @app.job(name=type_name, queue=name)
    async def act() -> None: ...

    await app.open()


ADDING: Final[dict[str, Deed]] = {
    "add": lambda app, name: app.queue(name).add("a"),
    "add later": lambda app, name: app.queue(name).add("a", None, JobOptions(delay=60)),
    "add a bulk": lambda app, name: app.queue(name).add_bulk([("a", None)] * 2_100),
    "add many": lambda app, name: asyncio.gather(*(app.queue(name).add("a") for _ in range(5))),
    "add in a transaction": add_in_own_transaction,
    "add with keys": add_with_every_key,
    "replace by keys": replace_by_keys,
    "declare": declare,
}


async def work(app: Enfila, name: str) -> None:
    """Runs one job of each fate, with all that a run may write."""
    queue = app.queue(name)
    error: list[BaseException] = []

    async def handle(job: ActiveJob[Any]) -> None:
        await job.log("said")
        await job.update_progress(50)
        await job.extend_lock(60)
        if job.name == "fails":
            raise ValueError("it fails")

    worker = app.worker(queue, handle, WorkerOptions(poll_interval=0.05, grace=0))
    worker.on("worker.error", lambda event: error.append(event.error))
    jobs = [await queue.add("well"), await queue.add("fails")]
    async with worker:

        async def has_ended() -> bool:
            return bool(error) or all([(await job.refresh()).state.is_final for job in jobs])

        await eventually(has_ended)
    if error:
        raise error[0]


async def change(app: Enfila, name: str) -> None:
    queue = app.queue(name)
    later = JobOptions(delay=60)
    jobs = [await queue.add("a", None, later) for _ in range(4)]
    await queue.set_priority(jobs[0].id, 3)
    await queue.promote(jobs[0].id)
    await queue.cancel(jobs[1].id)
    await queue.retry(jobs[1].id)
    await queue.remove(jobs[2].id)
    await queue.pause()
    await queue.resume()
    await queue.drain(delayed=True)
    await queue.clean(0, state=JobState.COMPLETED)
    await queue.obliterate(force=True)


async def maintain(app: Enfila, name: str) -> None:
    await app.queue(name).add("a", None, JobOptions(expires_in=0.001))
    storage = app.storage
    await storage.compact()
    await storage.workers.forget_silent(timedelta(days=1))
    await storage.schedule_runs.forget(timedelta(days=1), 10)


async def schedule(app: Enfila, name: str) -> None:
    slug = f"s-{uuid4().hex[:8]}"
    queue = app.queue(name)
    errors: list[BaseException] = []
    scheduler = app.scheduler()
    scheduler.on("scheduler.error", lambda event: errors.append(event.error))
    definition = app.schedules.define(slug, "a", Interval(every=1), queue=name)
    await app.schedules.create(definition)
    try:
        await app.schedules.run_now(slug, by="ada")
        async with scheduler:

            async def has_ticked() -> bool:
                return bool(errors) or (await queue.counts()).waiting > 1

            await eventually(has_ticked)
    finally:
        await app.schedules.disable(slug)
        await app.schedules.enable(slug)
        await app.schedules.history(slug)
        await app.schedules.delete(slug)
    if errors:
        raise errors[0]


async def switch(app: Enfila, name: str) -> None:
    await declare(app, name)
    for type_name in [each.name for each in await app.job_types.all()]:
        await app.job_types.disable(type_name)
        await app.job_types.enable(type_name)
        await app.job_types.remove(type_name)


WORKING: Final[dict[str, Deed]] = {
    **ADDING,
    "work": work,
    "change": change,
    "maintain": maintain,
    "schedule": schedule,
    "switch": switch,
    "look": look,
}

ROLE_WORK: Final = [
    *(("looks", name, deed) for name, deed in {"look": look}.items()),
    *(("adds", name, deed) for name, deed in {**ADDING, "look": look}.items()),
    *(("works", name, deed) for name, deed in WORKING.items()),
]


# ── with the rights of the page ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("adapter", DRIVERS)
@pytest.mark.parametrize(
    ("role", "deed"),
    [(role, deed) for role, _, deed in ROLE_WORK],
    ids=[f"{role} {name}" for role, name, _ in ROLE_WORK],
)
async def test_each_role_does_its_work(site: Site, adapter: str, role: str, deed: Deed) -> None:
    async with asyncio.timeout(30), app_of(site, role, adapter) as app:
        await deed(app, f"q-{uuid4().hex}")


@pytest.mark.parametrize("adapter", DRIVERS)
async def test_only_the_one_that_migrates_changes_tables(site: Site, adapter: str) -> None:
    await migrate(site.url("migrates", adapter), schema="enfila")
    for role in ("works", "adds", "looks"):
        with pytest.raises(RepositoryUnavailable, match=PERMISSION):
            await migrate(site.url(role, adapter), schema="enfila", table_prefix="other_")
        app = Enfila(
            site.url(role, adapter), schema="enfila", table_prefix="other_", auto_migrate=False
        )
        with pytest.raises(SchemaMismatch):
            await app.open()
        await app.close()


@pytest.mark.parametrize("adapter", DRIVERS)
async def test_the_others_may_not_do_more(site: Site, adapter: str) -> None:
    for role, deed in (("looks", ADDING["add"]), ("adds", change), ("adds", work)):
        async with app_of(site, role, adapter) as app:
            with pytest.raises(RepositoryUnavailable, match="permission denied") as refusal:
                await deed(app, f"q-{uuid4().hex}")
            assert not refusal.value.uncertain


# ── with one right less ──────────────────────────────────────────────────────────────────────

TABLES: Final = [
    *("attempts", "counter_changes", "deduplications", "job_dependencies", "job_logs"),
    *("job_types", "jobs", "queues", "schedule_runs", "schedules", "workers"),
]
RIGHTS: Final = [
    *(f"SELECT ON enfila.enfila_{table}" for table in TABLES),
    *(f"INSERT, UPDATE, DELETE ON enfila.enfila_{table}" for table in TABLES),
    "SELECT ON enfila.enfila_schema_version",
    "USAGE ON SEQUENCE enfila.enfila_job_positions",
    "USAGE ON SCHEMA enfila",
]
NOT_MET: Final = {
    "SELECT ON enfila.enfila_attempts",
    "SELECT ON enfila.enfila_job_dependencies",
    "INSERT, UPDATE, DELETE ON enfila.enfila_job_dependencies",
}
"""What the deeds above do without, though others need it."""


@contextmanager
def without(site: Site, right: str) -> Iterator[None]:
    owner = None if "SCHEMA" in right else "migrates"
    site.run(f"REVOKE {right} FROM enfila_works", role=owner)
    try:
        yield
    finally:
        site.run(f"GRANT {right} TO enfila_works", role=owner)


@pytest.mark.parametrize("adapter", DRIVERS)
@pytest.mark.parametrize("right", RIGHTS)
async def test_a_missing_right_is_told_in_words_wherever_it_is_met(
    site: Site, adapter: str, right: str
) -> None:
    is_of_schedules = "schedule" in right
    deeds = [deed for deed in WORKING.values() if (deed is schedule) is is_of_schedules]
    refusals = 0
    with without(site, right):
        try:
            async with asyncio.timeout(30), app_of(site, "works", adapter) as app:
                answers: list[Any] = await asyncio.gather(
                    *(deed(app, f"q-{uuid4().hex}") for deed in deeds), return_exceptions=True
                )
        except RepositoryUnavailable as refusal:
            answers = [refusal]
    for answer in answers:
        if isinstance(answer, RepositoryUnavailable):
            assert "permission denied" in str(answer)
            assert "'Roles on PostgreSQL'" in str(answer)
            refusals += 1
        elif isinstance(answer, BaseException):
            raise answer
    assert refusals or right in NOT_MET, "the page grants what nobody needs"
