"""The tables of an installation: brought up, down, and refused."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import enfila
from enfila.core.domain.errors import SchemaMismatch
from enfila.core.domain.job.identity import LockToken
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_database import (
    ServerDatabase,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.choosing import dialect_of, engine_url
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.drivers import (
    driver_of,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.file_database import FileDatabase
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.migrations import upgrading
from enfila.infrastructure.persistence.sqlalchemy.migrations.upgrading import Upgrading
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import build_tables
from enfila.testing import FrozenClock
from tests.contract.adapters import SQL_ADAPTERS
from tests.contract.building import BOOM, FAILED, Line, completed, make_job

TABLES = {
    "attempts",
    "counter_changes",
    "deduplications",
    "job_dependencies",
    "job_logs",
    "job_types",
    "jobs",
    "position_counter",
    "queues",
    "schedule_runs",
    "schedules",
    "workers",
}
POSTGRES = pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres)
SERVER = pytest.mark.parametrize("adapter", [POSTGRES], indirect=True)


def upgrading_of(url: str, prefix: str, schema: str | None) -> Upgrading:
    """What brings the tables of an installation up and down."""
    lock = dialect_of(engine_url(url)).lock_for_migration
    return Upgrading(schema, prefix, lock, auto_migrate=True)


class Installation:
    """The tables of one prefix, brought up as a repository would, and down."""

    def __init__(self, database: Database, url: str, prefix: str, schema: str | None) -> None:
        self.database = database
        self.upgrading = upgrading_of(url, prefix, schema)

    async def up(self) -> None:
        await self.database.write(self.upgrading.upgrade)

    async def down(self, revision: str = "base") -> None:
        await self.database.write(lambda connection: self.upgrading.downgrade(connection, revision))


@pytest.fixture(params=["sqlite", POSTGRES])
def adapter(request: pytest.FixtureRequest) -> str:
    """One driver is enough for what only the server answers."""
    name: str = request.param
    return name


@pytest.fixture
def schema(adapter: str, engine: sa.Engine) -> Iterator[str | None]:
    """A schema that does not exist yet; SQLite has none."""
    if adapter == "sqlite":
        yield None
        return
    name = f"s{uuid4().hex[:8]}"
    yield name
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(name, cascade=True, if_exists=True))


@pytest.fixture
async def installation(
    adapter: str, url: str, prefix: str, schema: str | None
) -> AsyncIterator[Installation]:
    database: Database = (
        FileDatabase(engine_url(url), synchronous="OFF")
        if adapter == "sqlite"
        else ServerDatabase(engine_url(url), driver_of(engine_url(url)), pool_size=1)
    )
    yield Installation(database, url, prefix, schema)
    await database.close()


def declared_tables(schema: str | None, prefix: str) -> sa.MetaData:
    """All tables as the code declares them, those that effects bring along too."""
    tables = build_tables(schema, prefix)
    _ = Effects(tables)
    return tables.metadata


def tables_of(engine: sa.Engine, prefix: str, schema: str | None = None) -> set[str]:
    """The tables and sequences whose names begin with `prefix`, without it."""
    inspector = sa.inspect(engine)
    names = inspector.get_table_names(schema=schema)
    if engine.dialect.name == "postgresql":
        names += inspector.get_sequence_names(schema=schema)
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def described(engine: sa.Engine, prefix: str, schema: str | None) -> dict[str, Any]:
    """All that the database knows of an installation's tables, with prefix and schema left out."""
    inspector = sa.inspect(engine)

    def plain(found: Any) -> Any:
        match found:
            case dict():
                return {key: plain(value) for key, value in found.items() if key != "comment"}
            case [dict(), *_]:
                return sorted((plain(each) for each in found), key=repr)
            case list():
                return [plain(each) for each in found]
            case sa.types.TypeEngine():
                return repr(found)
            case sa.TextClause():
                return plain(found.text)
            case str():
                return found.replace(f"{schema}.", "").replace(prefix, "")
            case _:
                return None if found == schema else found

    return {
        name: plain(
            {
                "columns": inspector.get_columns(prefix + name, schema),
                "primary key": inspector.get_pk_constraint(prefix + name, schema),
                "foreign keys": inspector.get_foreign_keys(prefix + name, schema),
                "unique": inspector.get_unique_constraints(prefix + name, schema),
                "checks": inspector.get_check_constraints(prefix + name, schema),
                "indexes": inspector.get_indexes(prefix + name, schema),
            }
        )
        for name in TABLES
    }


# ── what the migrations make ─────────────────────────────────────────────────────────────────


async def test_from_nothing_all_tables_are_made(
    installation: Installation, engine: sa.Engine, prefix: str, schema: str | None, adapter: str
) -> None:
    await installation.up()
    on_servers = set() if adapter == "sqlite" else {"job_positions"}
    identities = {name for name in tables_of(engine, prefix, schema) if name.endswith("_id_seq")}
    assert tables_of(engine, prefix, schema) - identities == (
        TABLES | {"schema_version"} | on_servers
    )


async def test_autogenerate_finds_nothing_that_the_migrations_left_out(
    installation: Installation, engine: sa.Engine, prefix: str, schema: str | None
) -> None:
    await installation.up()

    def is_ours(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "schema":
            return name == schema
        return kind != "table" or bool(name and name.startswith(prefix))

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                # SQLite has no IDENTITY: there its own row number serves.
                "compare_server_default": engine.dialect.name != "sqlite",
                "include_schemas": True,
                "include_name": is_ours,
                "version_table": f"{prefix}schema_version",
                "version_table_schema": schema,
            },
        )
        assert compare_metadata(context, declared_tables(schema, prefix)) == []


async def test_the_database_knows_the_same_of_migrated_tables_as_of_the_declared_ones(
    installation: Installation, engine: sa.Engine, prefix: str, schema: str | None
) -> None:
    """Conditions of indexes and CHECKs too, which autogenerate does not compare."""
    await installation.up()
    migrated = described(engine, prefix, schema)
    declared_prefix = f"{prefix}d_"
    declared_tables(schema, declared_prefix).create_all(engine)
    declared = described(engine, declared_prefix, schema)
    declared_tables(schema, declared_prefix).drop_all(engine)
    for name in TABLES:
        assert migrated[name] == declared[name], name
    assert len(migrated["jobs"]["checks"]) == 5
    assert len(migrated["jobs"]["indexes"]) == 7


async def test_down_to_base_leaves_nothing(
    installation: Installation, engine: sa.Engine, prefix: str, schema: str | None
) -> None:
    before = tables_of(engine, "", schema)
    await installation.up()
    await installation.down()
    assert tables_of(engine, prefix, schema) == set()
    assert tables_of(engine, "", schema) == before


@pytest.mark.parametrize("adapter", SQL_ADAPTERS, indirect=True)
async def test_up_down_and_up_again_with_jobs_in_the_tables(
    installation: Installation, url: str, prefix: str, schema: str | None
) -> None:
    clock = FrozenClock()

    async def add_and_count() -> int:
        repository = SqlAlchemyJobRepository(url, schema=schema, table_prefix=prefix)
        await repository.add([make_job("q", clock=clock) for _ in range(3)])
        counts = await repository.storage.queues.counts("q")
        await repository.close()
        return counts[JobState.WAITING]

    assert await add_and_count() == 3
    assert await add_and_count() == 6
    await installation.down()
    assert await add_and_count() == 3


async def test_the_first_tables_are_brought_up_to_date_with_their_jobs(
    installation: Installation, engine: sa.Engine, url: str, prefix: str, schema: str | None
) -> None:
    await installation.up()
    newest = described(engine, prefix, schema)
    repository = SqlAlchemyJobRepository(url, schema=schema, table_prefix=prefix)
    await repository.add([make_job("q", clock=FrozenClock())])
    await installation.down(upgrading.REVISIONS[0])
    await repository.open()
    assert described(engine, prefix, schema) == newest
    assert (await repository.storage.queues.counts("q")).waiting == 1
    await repository.close()


async def test_what_a_blocked_job_waits_for_survives_the_table_of_dependencies(
    installation: Installation, url: str, prefix: str, schema: str | None
) -> None:
    clock = FrozenClock()
    repository = SqlAlchemyJobRepository(url, schema=schema, table_prefix=prefix, clock=clock)
    line = Line(repository, clock, "q")
    parent = await line.add()
    [added] = await repository.add([line.make("next").behind(parent.id)])
    failed = await line.add(name="other", attempts=2)
    [_, other] = await line.claim(names=frozenset({"noop", "other"}))
    await line.settle(other, FAILED)
    [update] = [ProgressUpdate(parent.id, LockToken(1), 1, lines=("hello",))]
    assert await repository.update_progress([update]) == [True]
    await installation.down("0003")
    await installation.up()
    blocked = await line.read(added.job)
    assert (blocked.state, blocked.depends_on) == (JobState.BLOCKED, (parent.id,))
    assert [attempt.error for attempt in await repository.attempts(failed.id)] == [BOOM]
    assert [line.line for line in await repository.logs(parent.id)] == ["hello"]
    await line.settle(await line.read(parent), completed())
    assert await line.state(blocked) is JobState.WAITING
    await repository.close()


async def test_a_migration_that_fails_leaves_nothing_behind(
    installation: Installation, engine: sa.Engine, prefix: str
) -> None:
    """The last table that would be made is in the way."""
    installation.upgrading = upgrading_of(str(engine.url), prefix, None)
    with engine.begin() as connection:
        connection.execute(sa.text(f"create table {prefix}job_types (id int)"))
    with pytest.raises(sa.exc.DBAPIError, match="already exists"):
        await installation.up()
    assert tables_of(engine, prefix) == {"job_types"}
    with engine.begin() as connection:
        connection.execute(sa.text(f"drop table {prefix}job_types"))


async def test_many_that_start_at_once_make_the_tables_once(
    url: str, prefix: str, schema: str | None
) -> None:
    repositories = [
        SqlAlchemyJobRepository(url, schema=schema, table_prefix=prefix) for _ in range(5)
    ]
    await asyncio.gather(*(repository.open() for repository in repositories))
    clock = FrozenClock()
    await asyncio.gather(*(each.add([make_job("q", clock=clock)]) for each in repositories))
    assert (await repositories[0].storage.queues.counts("q")).waiting == 5
    await asyncio.gather(*(repository.close() for repository in repositories))


async def test_two_installations_in_one_database_do_not_see_each_other(
    url: str, prefix: str, schema: str | None
) -> None:
    clock = FrozenClock()
    one = SqlAlchemyJobRepository(url, table_prefix=prefix)
    other = SqlAlchemyJobRepository(url, schema=schema, table_prefix=f"{prefix}b_")
    [added] = await one.add([make_job("q", clock=clock)])
    await other.add([make_job("q", clock=clock), make_job("r", clock=clock)])
    assert (
        (await one.storage.queues.counts("q")).total,
        (await other.storage.queues.counts("q")).total,
    ) == (1, 1)
    assert (await one.storage.queues.names(), await other.storage.queues.names()) == (
        ["q"],
        ["q", "r"],
    )
    assert await other.get([added.job.id]) == {}
    assert one.storage.installation != other.storage.installation
    await one.close()
    await other.close()


@SERVER
async def test_the_same_prefix_in_two_schemas_is_two_installations(
    url: str, prefix: str, schema: str, engine: sa.Engine
) -> None:
    clock = FrozenClock()
    one = SqlAlchemyJobRepository(url, table_prefix=prefix)
    other = SqlAlchemyJobRepository(url, schema=schema, table_prefix=prefix)
    await one.add([make_job("q", clock=clock)])
    assert (await other.storage.queues.counts("q")).total == 0
    assert "jobs" in tables_of(engine, prefix)
    assert "jobs" in tables_of(engine, prefix, schema)
    await one.close()
    await other.close()


@SERVER
async def test_a_schema_that_was_made_for_us_is_used_without_the_right_to_make_schemas(
    prefix: str, schema: str, engine: sa.Engine, url: str
) -> None:
    role = f"r{uuid4().hex[:8]}"
    with engine.begin() as connection:
        mine = "select rolsuper from pg_roles where rolname = current_user"
        if not connection.scalar(sa.text(mine)):
            pytest.skip("only a superuser of the server can try it out")
        connection.execute(sa.schema.CreateSchema(schema))
        connection.execute(sa.text(f"create role {role}"))
        connection.execute(sa.text(f"grant all on schema {schema} to {role}"))
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(f"set local role {role}"))
            upgrading_of(url, prefix, schema).upgrade(connection)
        assert "jobs" in tables_of(engine, prefix, schema)
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text(f"drop owned by {role}"))
            connection.execute(sa.text(f"drop role {role}"))


# ── what is refused ──────────────────────────────────────────────────────────────────────────


async def test_without_auto_migrate_an_empty_database_is_refused_with_what_to_do(
    url: str, prefix: str, schema: str | None, engine: sa.Engine
) -> None:
    repository = SqlAlchemyJobRepository(
        url, schema=schema, table_prefix=prefix, auto_migrate=False
    )
    with pytest.raises(SchemaMismatch) as refused:
        await repository.open()
    assert str(refused.value) == (
        f"the database has schema none, this enfila needs {upgrading.HEAD}; "
        "bring it up to date with `await enfila.migrate(url)` first"
    )
    with pytest.raises(SchemaMismatch):
        await repository.add([make_job("q", clock=FrozenClock())])
    assert tables_of(engine, prefix, schema) == set()
    await repository.close()


async def test_without_auto_migrate_an_old_schema_is_refused(
    url: str,
    prefix: str,
    schema: str | None,
    installation: Installation,
) -> None:
    await installation.up()
    await installation.down("0001")
    repository = SqlAlchemyJobRepository(
        url, schema=schema, table_prefix=prefix, auto_migrate=False
    )
    expected = f"has schema 0001, this enfila needs {upgrading.HEAD}; bring it"
    with pytest.raises(SchemaMismatch, match=expected):
        await repository.open()
    await repository.close()


@pytest.mark.parametrize("auto_migrate", [True, False])
async def test_a_newer_schema_is_refused_and_left_as_it_is(
    url: str,
    prefix: str,
    schema: str | None,
    installation: Installation,
    auto_migrate: bool,
) -> None:
    await installation.up()
    versions = sa.table(f"{prefix}schema_version", sa.column("version_num"), schema=schema)
    await installation.database.write(
        lambda connection: connection.execute(sa.update(versions).values(version_num="9999"))
    )
    repository = SqlAlchemyJobRepository(
        url, schema=schema, table_prefix=prefix, auto_migrate=auto_migrate
    )
    with pytest.raises(SchemaMismatch) as refused:
        await repository.open()
    assert (refused.value.found, refused.value.expected) == ("9999", upgrading.HEAD)
    assert "it is newer: update enfila in this process" in str(refused.value)
    await repository.close()
    assert await installation.database.read(installation.upgrading.version) == "9999"


async def _is_marked(
    installation: Installation, prefix: str, schema: str | None, mark: str
) -> None:
    """As a newer program would leave the tables."""
    versions = sa.table(
        f"{prefix}schema_version",
        sa.column("version_num"),
        sa.column("compatible_from"),
        schema=schema,
    )
    newer = {"version_num": "9999", "compatible_from": mark}
    await installation.database.write(
        lambda connection: connection.execute(sa.update(versions).values(newer))
    )


@pytest.mark.parametrize("auto_migrate", [True, False])
async def test_a_newer_schema_that_says_it_is_compatible_is_used_as_it_is(
    url: str, prefix: str, schema: str | None, installation: Installation, auto_migrate: bool
) -> None:
    """As after a deploy that was rolled back, or while its processes start one by one."""
    await installation.up()
    await _is_marked(installation, prefix, schema, f"9999:{upgrading.HEAD}")
    repository = SqlAlchemyJobRepository(
        url, schema=schema, table_prefix=prefix, auto_migrate=auto_migrate
    )
    [added] = await repository.add([make_job("q", clock=FrozenClock())])
    assert list(await repository.get([added.job.id])) == [added.job.id]
    await repository.close()
    assert await installation.database.read(installation.upgrading.version) == "9999"


@pytest.mark.parametrize("mark", ["9999:9998", "9999:", "", "9998:0004", "0004"])
async def test_a_newer_schema_with_another_mark_is_refused(
    url: str, prefix: str, schema: str | None, installation: Installation, mark: str
) -> None:
    await installation.up()
    await _is_marked(installation, prefix, schema, mark)
    repository = SqlAlchemyJobRepository(url, schema=schema, table_prefix=prefix)
    with pytest.raises(SchemaMismatch, match="it is newer"):
        await repository.open()
    await repository.close()


async def test_the_program_before_accepts_what_this_one_has_migrated(
    url: str,
    prefix: str,
    schema: str | None,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If this revision says that it may; and what that one made, this one migrates."""
    before = upgrading.REVISIONS[-2]
    await installation.up()
    with monkeypatch.context() as older:
        older.setattr(upgrading, "REVISIONS", upgrading.REVISIONS[:-1])
        older.setattr(upgrading, "HEAD", before)
        repository = SqlAlchemyJobRepository(url, schema=schema, table_prefix=prefix)
        if upgrading.COMPATIBLE_FROM in upgrading.REVISIONS:
            await repository.open()
        else:
            with pytest.raises(SchemaMismatch):
                await repository.open()
        await repository.close()
    await installation.down(before)
    repository = SqlAlchemyJobRepository(url, schema=schema, table_prefix=prefix)
    await repository.open()
    await repository.close()
    assert await installation.database.read(installation.upgrading.version) == upgrading.HEAD


def test_what_is_compatible_is_a_revision_that_is_known() -> None:
    assert upgrading.COMPATIBLE_FROM in upgrading.REVISIONS


# ── migrating by hand ────────────────────────────────────────────────────────────────────────


async def test_migrate_brings_a_database_up_to_date_for_programs_that_do_not(
    url: str, prefix: str, schema: str | None
) -> None:
    await enfila.migrate(url, schema=schema, table_prefix=prefix)
    await enfila.migrate(url, schema=schema, table_prefix=prefix)
    app = enfila.Enfila(url, schema=schema, table_prefix=prefix, auto_migrate=False)
    async with app:
        assert (await app.queue("q").counts()).total == 0


UP_TO_DATE_START = """
import asyncio, sys
from enfila import Enfila

async def main():
    async with Enfila(sys.argv[1], table_prefix=sys.argv[2]) as app:
        await app.queue("q").add("a")

asyncio.run(main())
print(sorted(name for name in sys.modules if name.split(".")[0] in ("alembic", "mako")))
"""


async def test_an_up_to_date_start_does_not_import_alembic(
    url: str, prefix: str, tmp_path: Path
) -> None:
    await enfila.migrate(url, table_prefix=prefix)
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", UP_TO_DATE_START, url, prefix],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.strip() == "[]"


async def test_the_revisions_that_are_known_without_alembic_are_those_in_the_folder() -> None:
    folder = Path(upgrading.__file__).parent / "versions"
    assert sorted(file.name[:4] for file in folder.glob("0*.py")) == list(upgrading.REVISIONS)
