"""Rows are found by index, however many others lie beside them and whatever the statistics say.

The statements are those that the adapter sends: caught on their way to the driver.
"""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from enfila.core.application.ports.job_reader import Overdue
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.system_clock import SystemClock
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.retention import RetentionPolicy
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import JsonDocument
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import (
    PreparedStatement,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.settings import (
    PLANNER,
)
from tests.contract.building import FAILED, completed, lock_of, make_job

QUEUE = "q"
LOCK = timedelta(seconds=30)
FINISHED, DELAYED, ACTIVE = 20_000, 5_000, 1_000
MOST_ROWS_LOOKED_AT = 40

# Per question of the adapter: the indexes by which it may find jobs.
INDEXES = {
    "add": {"pkey"},
    "add of many kinds": {"pkey"},
    "claim": {"waiting", "delayed", "pkey"},
    "claim by name": {"waiting", "delayed", "pkey"},
    "complete": {"pkey"},
    "retry": {"pkey"},
    "extend": {"pkey"},
    "progress": {"pkey"},
    "end with dependents": {"pkey"},
    "request cancellation": {"pkey"},
    "get": {"pkey"},
    "stalled": {"active"},
    "expired": {"expiring"},
    "due": {"delayed"},
    "until next due": {"delayed"},
    "counts": set[str](),
    "remove": {"pkey"},
    "clean": {"done", "pkey"},
    "drain": {"waiting", "pkey"},
    "retention": {"done", "removable", "rationed", "pkey"},
    "has active": {"active"},
}

WITHOUT_A_SEARCH = {"add", "add of many kinds", "counts"}

Sent = tuple[str, Any]


@contextmanager
def caught(prefix: str, into: list[Sent]) -> Iterator[None]:
    """Notes the statements about tables with this prefix, as they go to the driver."""

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if prefix in statement:
            into.append((statement, parameters[0] if many else parameters))

    def note_hot(hot: PreparedStatement, parameters: dict[str, Any], dialect: Any) -> Any:
        statement, values = on_driver(hot, parameters, dialect)
        note(None, None, statement, values, None, many=False)
        return statement, values

    on_driver = PreparedStatement.on_driver  # it goes past SQLAlchemy's events
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PreparedStatement, "on_driver", note_hot)
        yield
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def ask_everything(repository: IJobRepository, prefix: str) -> dict[str, list[Sent]]:
    """Asks each question once; the statements that it took."""
    clock = SystemClock()
    sent: dict[str, list[Sent]] = {question: [] for question in INDEXES}

    async def ask(question: str, call: Callable[[], Awaitable[Any]]) -> Any:
        with caught(prefix, sent[question]):
            return await call()

    def made(count: int, **options: Any) -> list[Job]:
        return [make_job(QUEUE, options=JobOptions(**options), clock=clock) for _ in range(count)]

    def claim(limit: int, names: frozenset[str] | None = None) -> Claim:
        return Claim(QUEUE, new_worker_id(), limit, LOCK, names)

    await repository.add(made(1))  # registers the queue, which is done once
    await ask("add", lambda: repository.add(made(8)))
    various = [*made(2, delay=3600), *made(2, expires_in=3600)]
    await ask("add of many kinds", lambda: repository.add(various))
    one, two, three = await ask("claim", lambda: repository.claim(claim(3)))
    await ask("claim by name", lambda: repository.claim(claim(1, frozenset({"noop"}))))
    locks = [lock_of(job) for job in (one, two, three)]
    await ask("extend", lambda: repository.extend(locks, LOCK))
    said = ProgressUpdate(one.id, one.token, one.attempt, JsonDocument.of(50))
    await ask("progress", lambda: repository.update_progress([said]))
    await ask("request cancellation", lambda: repository.request_cancellation(two.id, "no"))
    await ask("get", lambda: repository.get([one.id, two.id]))
    await ask("complete", lambda: repository.apply([one.settle(completed())]))
    await repository.add([make_job(QUEUE, "later", clock=clock).behind(three.id) for _ in range(2)])
    await ask("end with dependents", lambda: repository.apply([three.settle(completed())]))
    await ask("retry", lambda: repository.apply([two.settle(FAILED)]))
    await ask("stalled", lambda: repository.overdue(QUEUE, Overdue.STALLED, 10))
    await ask("expired", lambda: repository.overdue(QUEUE, Overdue.EXPIRED, 10))
    await ask("due", lambda: repository.overdue(QUEUE, Overdue.DUE, 10))
    await ask("until next due", lambda: repository.storage.queues.until_next_due(QUEUE))
    await ask("counts", lambda: repository.storage.queues.counts(QUEUE))
    done = (await repository.get([one.id]))[one.id]
    await ask("remove", lambda: repository.remove([done]))
    day = timedelta(days=1)
    completed_ones, waiting_ones = [JobState.COMPLETED], [JobState.WAITING]
    await ask(
        "clean",
        lambda: repository.remove_all(QUEUE, completed_ones, finished_before=day, limit=10),
    )
    await ask("retention", lambda: repository.apply_retention(QUEUE, RetentionPolicy(), 10))
    await ask("has active", lambda: repository.obliterate(QUEUE, force=False))
    await ask("drain", lambda: repository.remove_all(QUEUE, waiting_ones, limit=10))
    await repository.close()
    assert all(sent.values())
    return sent


GROW = """
insert into {jobs} (
    id, queue, name, state, priority, position, payload, options, attempt, max_attempts,
    stalled_count, lock_token, created_at, run_at, cancel_requested,
    has_dependents, pending_dependencies, own_retention, worker_id, locked_until, started_at,
    finished_at
)
select {id}, 'q', 'noop', {state}, 0, 1000000 + n, 'null', '{{}}', 1, 3, 0, 1, {now}, {run_at},
    false, false, 0, false, 'w', {locked_until}, {now}, {finished_at}
from {numbers}
"""


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────


Plans = dict[tuple[str, str], list[Any]]
Executions = list[tuple[str, sql.Composed]]
MODES = [
    "planned when there were a few jobs",
    "planned when there were some jobs",
    "planned with the statistics from then",
    "planned with right statistics",
]


@pytest.fixture(scope="module")
def plans(postgres_url: str) -> Plans:
    """Per mode and question what the server did, run with the settings of the adapter."""
    planner = PLANNER  # what the adapter's connections are set to
    options = " ".join(f"-c {name}={value}" for name, value in planner.items())
    few, some, then, right = MODES
    plans: Plans = {}
    for more, kept in ((0, few), (40, some)):
        prefix = f"t{uuid4().hex[:8]}_"
        url = postgres_url.replace("postgresql", "postgresql+asyncpg", 1)
        repository = SqlAlchemyJobRepository(url, table_prefix=prefix)
        asked = asyncio.run(ask_everything(repository, prefix))
        with psycopg.connect(postgres_url, autocommit=True, options=options) as connection:
            _grow(connection, prefix, {"completed": more})
            executions = _planned(connection, prefix, asked)
            _grow(connection, prefix, {"completed": FINISHED, "delayed": DELAYED, "active": ACTIVE})
            plans |= _explained(connection, executions, kept)
            connection.execute("set plan_cache_mode = force_custom_plan")
            plans |= _explained(connection, executions, then)
            connection.execute(_sql(f"analyze {prefix}jobs"))
            plans |= _explained(connection, executions, right)
    return plans


def _planned(
    connection: psycopg.Connection, prefix: str, asked: dict[str, list[Sent]]
) -> Executions:
    """The statements, prepared and planned for the table as it is, which plans are kept."""
    connection.execute(_sql(f"alter table {prefix}jobs set (autovacuum_enabled = off)"))
    connection.execute(_sql(f"vacuum (analyze) {prefix}jobs"))
    connection.execute("set plan_cache_mode = force_generic_plan")
    executions = _prepared(connection, asked)
    for _, execution in executions:
        connection.execute(sql.SQL("explain ") + execution)
    return executions


def _sql(text: str) -> sql.SQL:
    return sql.SQL(text)


def _prepared(connection: psycopg.Connection, asked: dict[str, list[Sent]]) -> Executions:
    executions = []
    for question, statements in asked.items():
        for number, (statement, parameters) in enumerate(statements):
            name = sql.Identifier(f"{question} {number} {uuid4().hex[:8]}")
            connection.execute(sql.SQL("prepare {} as ").format(name) + _sql(statement))
            values = sql.SQL(", ").join(map(sql.Literal, parameters))
            call = sql.SQL("({})").format(values) if parameters else sql.SQL("")
            executions.append((question, sql.SQL("execute {}").format(name) + call))
    return executions


def _explained(connection: psycopg.Connection, executions: Executions, mode: str) -> Plans:
    """What the server does for each question; nothing of it stays."""
    found: Plans = {}
    for question, execution in executions:
        with connection.transaction(force_rollback=True):
            explain = sql.SQL("explain (analyze, format json) ") + execution
            row = connection.execute(explain).fetchone()
            assert row is not None
            found.setdefault((mode, question), []).append(row[0][0]["Plan"])
    return found


def _grow(connection: psycopg.Connection, prefix: str, counts: dict[str, int]) -> None:
    later = "now() + interval '1 day'"
    values = {
        "completed": {"run_at": "now()", "finished_at": "now()"},
        "delayed": {"run_at": later},
        "active": {"run_at": "now()", "locked_until": later},
    }
    for state, count in counts.items():
        given = {"locked_until": "null::timestamptz", "finished_at": "null::timestamptz"}
        connection.execute(
            _sql(
                GROW.format(
                    jobs=f"{prefix}jobs",
                    id="gen_random_uuid()",
                    state=f"'{state}'",
                    now="now()",
                    numbers=f"generate_series(1, {count}) n",
                    **(given | values[state]),
                )
            )
        )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def looked_at(node: dict[str, Any]) -> int:
    """How many rows a scan visited."""
    each = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return int(each * node["Actual Loops"])


@pytest.mark.postgres
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", INDEXES)
def test_on_postgresql_jobs_are_found_by_index(plans: Plans, mode: str, question: str) -> None:
    scans = [
        node
        for plan in plans[mode, question]
        for node in nodes(plan)
        if node.get("Relation Name", "").endswith("_jobs") and "Scan" in node["Node Type"]
    ]
    for scan in scans:
        told = json.dumps(scan, indent=1)
        assert scan["Node Type"] in {"Index Scan", "Index Only Scan"}, told
        assert scan["Index Name"].partition("_jobs_")[2] in INDEXES[question], told
        assert "Index Cond" in scan, told
        assert looked_at(scan) <= MOST_ROWS_LOOKED_AT, told
    assert bool(scans) == (question not in WITHOUT_A_SEARCH)


@pytest.mark.postgres
@pytest.mark.parametrize("mode", MODES)
def test_on_postgresql_counting_reads_counters_of_the_queue(plans: Plans, mode: str) -> None:
    [plan] = plans[mode, "counts"]
    tables = {node["Relation Name"] for node in nodes(plan) if "Relation Name" in node}
    assert {table.partition("_")[2] for table in tables} == {"counter_changes"}
    [scan] = [node for node in nodes(plan) if "Relation Name" in node]
    assert scan["Node Type"] == "Index Scan"
    assert "queue" in scan["Index Cond"]


# ── SQLite ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Per question the lines of SQLite's plans."""
    file = tmp_path_factory.mktemp("plans") / "enfila.db"
    repository = SqlAlchemyJobRepository(f"sqlite:///{file}", synchronous="OFF")
    statements = asyncio.run(ask_everything(repository, "enfila_"))
    with closing(sqlite3.connect(file)) as connection:
        _grow_file(connection)
        return {
            question: [
                row[3]
                for statement, parameters in sent
                for row in connection.execute(f"explain query plan {statement}", parameters)
            ]
            for question, sent in statements.items()
        }


def _grow_file(connection: sqlite3.Connection) -> None:
    now, later = 1_700_000_000_000_000, 2_700_000_000_000_000
    for number, (count, state, values) in enumerate(
        [
            (FINISHED, "completed", {"run_at": now, "finished_at": now}),
            (DELAYED, "delayed", {"run_at": later}),
            (ACTIVE, "active", {"run_at": now, "locked_until": later}),
        ]
    ):
        numbers = (
            f"(with recursive c(n) as (select 1 union all select n + 1 from c where n < {count}) "
            "select n from c)"
        )
        given: dict[str, Any] = {"locked_until": "null", "finished_at": "null"} | values
        connection.execute(
            GROW.format(
                jobs="enfila_jobs",
                id=f"'{number}-' || n",
                state=f"'{state}'",
                now=now,
                numbers=numbers,
                **given,
            )
        )
    connection.commit()


@pytest.mark.parametrize("question", INDEXES)
def test_on_sqlite_jobs_are_found_by_index(searches: dict[str, list[str]], question: str) -> None:
    about_jobs = [line for line in searches[question] if "enfila_jobs" in line]
    allowed = {
        "sqlite_autoindex_enfila_jobs_1" if index == "pkey" else index
        for index in INDEXES[question]
    }
    for line in about_jobs:
        assert line.startswith("SEARCH enfila_jobs USING "), searches[question]
        name = line.partition("INDEX ")[2].partition(" ")[0].removeprefix("enfila_jobs_")
        assert name in allowed, searches[question]
    # An addition looks nothing up: the insertion itself finds what is there already.
    assert bool(about_jobs) == (question not in WITHOUT_A_SEARCH)


def test_on_sqlite_counting_reads_counters_of_the_queue(
    searches: dict[str, list[str]],
) -> None:
    assert [line for line in searches["counts"] if "counter_changes" in line] == [
        "SEARCH enfila_counter_changes USING INDEX enfila_counter_changes_queue (queue=?)"
    ]
