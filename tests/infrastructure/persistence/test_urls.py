"""What stands in a URL is used, or refused in words: no setting is dropped."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa

from enfila import Enfila, InvalidRequest, RepositoryUnavailable
from enfila.infrastructure.persistence.sqlalchemy.storage import SqlAlchemyStorage
from tests.contract.adapters import with_driver
from tests.postgres_servers import new_database
from tests.waiting import eventually

DRIVERS: Final = ["postgresql-asyncpg", "postgresql-psycopg"]
NOWHERE: Final = "127.0.0.1:1"
"""A host and port where nobody listens."""


# ── refused ──────────────────────────────────────────────────────────────────────────────────

REFUSED: Final = [
    # (URL, what the refusal says)
    ("sqlite://jobs.db", "give three slashes before a relative path: sqlite:///jobs.db"),
    ("sqlite://data/jobs.db", "sqlite:///data/jobs.db"),
    ("sqlite://user:secret@host/jobs.db", "give three slashes"),
    ("sqlite:///jobs.db?foo=1", "'foo' is not allowed; with SQLite these options may be given"),
    ("sqlite:///jobs.db?isolation_level=x", "cached_statements, timeout, uri"),
    ("sqlite:///jobs.db?mode=ro", "uri=true also cache"),
    ("sqlite:///jobs.db?timeout=soon", "give a number of seconds"),
    ("sqlite:///jobs.db?cached_statements=-1", "give a whole number"),
    ("sqlite:///file:jobs.db?uri=maybe", "give true"),
    ("postgresql+asyncpg://h/d?foo=1", "with asyncpg these options may be given: application_name"),
    ("postgresql+psycopg://h/d?foo=1", "with psycopg these options may be given: application_name"),
    ("postgresql+asyncpg://h/d?prepare_threshold=None", "statement_cache_size"),
    ("postgresql+psycopg://h/d?statement_cache_size=0", "prepare_threshold"),
    ("postgresql+asyncpg://h/d?loop=1", "with asyncpg these options"),
    ("postgresql+asyncpg://h/d?server_settings=1", "with asyncpg these options"),
    ("postgresql+psycopg://h/d?autocommit=1", "with psycopg these options"),
    ("postgresql+psycopg://h/d?client_encoding=latin1", "with psycopg these options"),
    ("postgresql+psycopg://h/d?replication=1", "with psycopg these options"),
    ("postgresql+asyncpg://h/d?statement_cache_size=-1", "give a whole number of 0 or more"),
    ("postgresql+asyncpg://h/d?statement_cache_size=many", "give a whole number of 0 or more"),
    ("postgresql+asyncpg://h/d?command_timeout=0", "give a number of seconds above 0"),
    ("postgresql+asyncpg://h/d?timeout=nan", "give a number of seconds above 0"),
    ("postgresql+asyncpg://h/d?direct_tls=perhaps", "give true or false"),
    ("postgresql+psycopg://h/d?prepare_threshold=never", "give a whole number, or None"),
    ("postgresql+psycopg://h/d?connect_timeout=x", "give a whole number"),
    ("postgresql+psycopg://h/d?keepalives_idle=x", "give a whole number"),
    ("postgresql+pg8000://h/d", "'postgresql+pg8000://h/d' is not allowed; enfila does not use"),
    ("postgresql+pg8000://h/d", "the driver 'pg8000': begin with postgresql://"),
    ("sqlite+pysqlcipher:///d", "'sqlite+pysqlcipher:///d' is not allowed; enfila does not use"),
    ("postgresql://u:secret@more@h/d", "'postgresql://u:***@h/d' is not allowed; in a URL the"),
    ("postgresql://u:secret@a:b/c@h/d", "of a name or password are percent-encoded"),
    ("postgresql://h", "url: 'postgresql://h' names no database; give the name of a database"),
    ("postgresql+psycopg://u:secret@h/", "such as postgresql://u:***@h/database"),
    ("postgresql:///?host=/run/postgresql", "names no database"),
    *(
        (f"postgresql+{driver}://h/d?{option}", said)
        for driver in ("asyncpg", "psycopg")
        for option, said in (
            ("sslmode=maybe", "give disable, allow, prefer"),
            ("target_session_attrs=any-but-this", "give any, primary"),
            ("application_name=a&application_name=b", "give each option once"),
            ("options=nonsense", "give -c name=value"),
            ("options=-c", "give -c name=value"),
            ("options=-d%205", "give -c name=value"),
            ("options=-cDateStyle=German", "enfila relies on its own"),
            ("options=--client-encoding=latin1", "enfila relies on its own"),
            ("host=a&host=b&port=1,2,3", "give one, or one for each host"),
            ("port=0", "give a number from 1 to 65535"),
            ("host=a:65536", "give a number from 1 to 65535"),
            ("host=:1", "give a name or an address"),
        )
    ),
]


@pytest.mark.parametrize(("url", "said"), REFUSED)
def test_what_would_be_dropped_is_refused_in_words(url: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Enfila(url)
    assert said in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("sqlite+aiosqlite:///jobs.db", "sqlite+pysqlite:///jobs.db"),
        ("postgresql+psycopg2://me@h/d", "postgresql+asyncpg://me@h/d"),
        ("postgresql+psycopg2cffi://me@h/d", "postgresql+asyncpg://me@h/d"),
        ("postgresql+psycopg_async://me@h/d", "postgresql+psycopg://me@h/d"),
        ("postgres://me@h/d", "postgresql+asyncpg://me@h/d"),
        ("postgresql://me%40server:a%40b@h/d", "postgresql+asyncpg://me%40server:***@h/d"),
    ],
)
def test_the_url_of_another_driver_of_the_same_database_is_taken(url: str, used: str) -> None:
    storage = Enfila(url).storage
    assert isinstance(storage, SqlAlchemyStorage)
    assert str(storage.url) == used


@pytest.mark.parametrize("option", ["?service=jobs", "?database=jobs"])
def test_a_database_may_be_named_by_an_option(option: str) -> None:
    assert Enfila(f"postgresql+asyncpg://h{option}").storage is not None


def test_a_database_may_be_named_as_libpq_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATABASE", "jobs")
    assert Enfila("postgresql://h").storage is not None


@pytest.mark.parametrize("schema", ["pg_x", "PG_catalog", "pg_temp"])
def test_a_reserved_schema_is_refused(schema: str) -> None:
    for driver in ("asyncpg", "psycopg"):
        with pytest.raises(InvalidRequest, match="names that begin with pg_"):
            Enfila(f"postgresql+{driver}://h/d", schema=schema)


# ── SQLite ───────────────────────────────────────────────────────────────────────────────────


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    app = Enfila(f"sqlite:///{tmp_path}")
    with pytest.raises(RepositoryUnavailable, match="is a folder; give the path of a file"):
        await app.open()
    await app.close()


async def test_options_of_a_file_are_used(tmp_path: Path) -> None:
    file = tmp_path / "jobs.db"
    async with Enfila(f"sqlite:///{file}?timeout=0.01&cached_statements=5") as app:
        await app.queue("q").add("a")
        with sa.create_engine(f"sqlite:///{file}", poolclass=sa.NullPool).connect() as other:
            other.exec_driver_sql("begin immediate")
            with pytest.raises(RepositoryUnavailable, match="locked; find the process"):
                async with asyncio.timeout(5):
                    await app.queue("q").add("b")
    app = Enfila(f"sqlite:///file:{file}?mode=ro&uri=true")
    with pytest.raises(RepositoryUnavailable, match="readonly database; give this user the right"):
        await app.queue("q").add("c")
    await app.close()


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=DRIVERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def base(adapter: str, database_server: sa.URL) -> AsyncIterator[str]:
    """The URL of a database that no other test has, with its driver."""
    with new_database(database_server) as url:
        yield with_driver(url.render_as_string(hide_password=False), adapter)


async def asked(app: Enfila, question: str) -> Any:
    """What the server says on a connection of the app's."""
    storage = app.storage
    assert isinstance(storage, SqlAlchemyStorage)
    return await storage.access.read(lambda connection: connection.scalar(sa.text(question)))


async def adds_and_reads(url: str) -> None:
    async with Enfila(url) as app:
        job = await app.queue("q").add("a")
        await app.queue("q").add_bulk([("b", None)] * 3)
        assert (await job.refresh()).id == job.id


def admin(base: str) -> psycopg.Connection:
    plain = base.replace("+asyncpg", "").replace("+psycopg", "")
    return psycopg.connect(plain, autocommit=True)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("option", "question", "answer"),
    [
        ("application_name=mine", "show application_name", "mine"),
        ("", "show application_name", "enfila"),
        ("options=-csearch_path=theirs", "show search_path", "theirs"),
        ("options=-c%20work_mem=3MB%20-cstatement_timeout=7s", "show work_mem", "3MB"),
        ("options=-c%20work_mem=3MB%20-cstatement_timeout=7s", "show statement_timeout", "7s"),
        ("options=--statement-timeout=8s", "show statement_timeout", "8s"),
        ("options=-cenable_seqscan=on", "show enable_seqscan", "on"),
        ("options=-cwork_mem=3MB", "show enable_seqscan", "off"),
        ("options=-capplication_name=a\\%20b", "show application_name", "a b"),
        ("options=-ctimezone=Asia/Tokyo", "show timezone", "Asia/Tokyo"),
        ("", "show statement_timeout", "1min"),
    ],
)
async def test_settings_of_the_url_win(base: str, option: str, question: str, answer: str) -> None:
    with admin(base) as connection:
        connection.execute("create schema theirs")
    async with Enfila(f"{base}?{option}") as app:
        await app.queue("q").add("a")
        assert await asked(app, question) == answer


@pytest.mark.postgres
async def test_tables_land_where_the_url_says(base: str) -> None:
    with admin(base) as connection:
        connection.execute("create schema theirs")
        await adds_and_reads(f"{base}?options=-csearch_path=theirs&application_name=mine")
        found = connection.execute(
            "select distinct schemaname from pg_tables where tablename like 'enfila%'"
        ).fetchall()
    assert found == [("theirs",)]


@pytest.mark.postgres
async def test_the_connection_for_notifications_has_the_settings_too(base: str) -> None:
    async with Enfila(f"{base}?application_name=mine") as app:
        await app.queue("q").add("a")
        with admin(base) as connection:
            question = (
                "select application_name from pg_stat_activity where query ilike 'listen%' "
                "and datname = current_database()"
            )
            await eventually(lambda: connection.execute(question).fetchall() == [("mine",)])


ACCEPTED: Final = {
    "postgresql-asyncpg": [
        "statement_cache_size=0",
        "statement_cache_size=10&prepared_statement_cache_size=10",
        "max_cached_statement_lifetime=0",
        "timeout=5",
        "connect_timeout=5",
        "command_timeout=20",
        "sslmode=disable",
        "ssl=prefer",
    ],
    "postgresql-psycopg": [
        "prepare_threshold=None",
        "prepare_threshold=0",
        "connect_timeout=5",
        "keepalives=1&keepalives_idle=5&tcp_user_timeout=9000",
        "sslmode=disable",
    ],
}


@pytest.mark.postgres
async def test_options_of_the_driver_are_used(base: str, adapter: str) -> None:
    for option in [*ACCEPTED[adapter], "target_session_attrs=read-write"]:
        await adds_and_reads(f"{base}?{option}")


@pytest.mark.postgres
async def test_no_statement_has_a_name_when_none_may_be_kept(base: str, adapter: str) -> None:
    """So they work behind a pooler that lends one connection to many."""
    option = {
        "postgresql-asyncpg": "statement_cache_size=0",
        "postgresql-psycopg": "prepare_threshold=None",
    }[adapter]
    async with Enfila(f"{base}?{option}") as app:
        for _ in range(8):
            await app.queue("q").add("a")
            await app.queue("q").counts()
        count = "select count(*) from pg_prepared_statements where statement not like '%pg_prep%'"
        assert await asked(app, count) == 0


# ── several hosts ────────────────────────────────────────────────────────────────────────────


@pytest.mark.postgres
@pytest.mark.parametrize(
    "hosts",
    [
        "{there}",
        "{there},{there}",
        "{nowhere},{there}",
        "{there},{nowhere}",
        "{nowhere},{nowhere},{there}",
    ],
)
async def test_the_first_host_that_can_be_used_is(base: str, hosts: str) -> None:
    url = sa.make_url(base)
    given = hosts.format(there=f"{url.host}:{url.port}", nowhere=NOWHERE)
    start, _, rest = base.partition("://")
    user = f"{url.username}@" if url.username else ""
    assert rest
    await adds_and_reads(f"{start}://{user}{given}/{url.database}")
    options = "&".join(f"host={host}" for host in given.split(","))
    await adds_and_reads(f"{start}://{user}/{url.database}?{options}")


@pytest.mark.postgres
async def test_of_several_hosts_one_that_writes_is_used(base: str) -> None:
    url = sa.make_url(base)
    start, _, _ = base.partition("://")
    hosts = f"{url.host}:{url.port},{url.host}:{url.port}"
    with admin(base) as connection:
        connection.execute(
            f'alter database "{url.database}" set default_transaction_read_only = on'.encode()
        )
    app = Enfila(f"{start}://{url.username}@{hosts}/{url.database}")
    with pytest.raises(RepositoryUnavailable):
        await app.open()
    await app.close()


async def test_a_silent_first_host_leaves_time_for_the_second(
    adapter: str, postgres_url: str
) -> None:
    url = sa.make_url(with_driver(postgres_url, adapter))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and says nothing
        port = silent.getsockname()[1]
        address = f"{url.username}@127.0.0.1:{port},{url.host}:{url.port}/{url.database}"
        async with asyncio.timeout(30):
            await adds_and_reads(f"{url.drivername}://{address}?connect_timeout=2")


# ── settings of the role ─────────────────────────────────────────────────────────────────────

OF_THE_ROLE: Final = [
    "datestyle = 'SQL, DMY'",
    "datestyle = 'German'",
    "intervalstyle = 'iso_8601'",
    "intervalstyle = 'sql_standard'",
    "client_encoding = 'latin1'",
    "statement_timeout = '1ms'",
    "timezone = 'Asia/Kolkata'",
    "default_transaction_isolation = 'serializable'",
    "extra_float_digits = 0",
    "bytea_output = 'escape'",
]


@pytest.mark.postgres
@pytest.mark.parametrize("setting", OF_THE_ROLE)
async def test_settings_of_the_database_do_no_harm(base: str, setting: str) -> None:
    name = sa.make_url(base).database
    with admin(base) as connection:
        connection.execute(f'alter database "{name}" set {setting}'.encode())
    await adds_and_reads(base)


@pytest.mark.postgres
async def test_without_a_search_path_it_is_said_what_to_give(base: str) -> None:
    name = sa.make_url(base).database
    with admin(base) as connection:
        connection.execute(f"alter database \"{name}\" set search_path = ''".encode())
    app = Enfila(base)
    with pytest.raises(RepositoryUnavailable, match=r"no schema has been selected.*give `schema`"):
        await app.open()
    await app.close()
    async with Enfila(base, schema="fresh") as app:
        await app.queue("q").add("a")
