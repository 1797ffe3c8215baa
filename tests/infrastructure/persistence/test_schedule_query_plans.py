"""Due schedules and open runs are found by index, however many idle ones lie beside them."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.schedule.schedule import Schedule
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.settings import (
    PLANNER,
)
from enfila.testing import FrozenClock
from tests.contract.scheduling import Board
from tests.infrastructure.persistence.test_query_plans import Sent, caught, nodes

IDLE = 10_000
COLUMNS = (
    "definition, owner, category, job_type, state, version, enabled, created_at, ticks_made, "
    "enqueue_failures, statistics"
)


async def ask_everything(repository: IJobRepository, clock: FrozenClock) -> list[Sent]:
    """What schedulers ask, again and again; the statements that it took."""
    board = Board(repository, clock, "plan")
    schedule = await board.insert()
    clock.advance(60)
    sent: list[Sent] = []

    async def ask(call: Callable[[], Awaitable[Any]]) -> Any:
        with caught("schedule", sent):
            return await call()

    await ask(lambda: repository.storage.schedules.due(100))
    assert await ask(lambda: repository.storage.schedules.tick([board.step(schedule)])) == [True]
    await ask(lambda: repository.storage.schedule_runs.unfinished_jobs([schedule.slug]))
    [run] = await board.runs(schedule.slug)
    await board.complete(run)
    ended = await ask(lambda: repository.storage.schedule_runs.ended(None, 100))
    assert await ask(lambda: repository.storage.schedule_runs.record(ended.runs)) == {run.id}
    await ask(lambda: repository.storage.schedule_runs.find(schedule.slug, limit=10))
    await ask(lambda: repository.storage.schedules.change(schedule.slug, Schedule.recomputed))
    await ask(lambda: repository.storage.schedule_runs.forget(timedelta(days=1), 100))
    await repository.close()
    return sent


def test_on_sqlite_nothing_is_walked_through(tmp_path: Path) -> None:
    file, clock = tmp_path / "enfila.db", FrozenClock()
    repository = SqlAlchemyJobRepository(f"sqlite:///{file}", clock=clock)
    statements = asyncio.run(ask_everything(repository, clock))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            f"insert into enfila_schedules (slug, {COLUMNS}) "
            f"with recursive n(n) as (select 1 union all select n + 1 from n where n < {IDLE}) "
            f"select slug || n, {COLUMNS} from enfila_schedules, n"
        )
        connection.execute("analyze")
        steps = [
            row[3]
            for statement, parameters in statements
            for row in connection.execute(f"explain query plan {statement}", parameters)
        ]
    assert any("enfila_schedules_due" in step for step in steps)
    assert any("enfila_schedule_runs_open" in step for step in steps)
    assert [step for step in steps if step.startswith("SCAN enfila")] == []


@pytest.mark.postgres
def test_on_postgresql_nothing_is_walked_through(postgres_url: str) -> None:
    prefix, clock = f"t{uuid4().hex[:8]}_", FrozenClock()
    url = postgres_url.replace("postgresql", "postgresql+psycopg", 1)
    repository = SqlAlchemyJobRepository(url, table_prefix=prefix, clock=clock)
    statements = asyncio.run(ask_everything(repository, clock))
    planner = PLANNER  # what the adapter's connections are set to
    options = " ".join(f"-c {name}={value}" for name, value in planner.items())
    with psycopg.connect(postgres_url, autocommit=True, options=options) as connection:
        connection.execute(
            sql.SQL(
                f"insert into {prefix}schedules (slug, {COLUMNS}) "
                f"select slug || n, {COLUMNS} from {prefix}schedules, generate_series(1, {IDLE}) n"
            )
        )
        connection.execute(sql.SQL(f"analyze {prefix}schedules"))
        plans = [_explained(connection, *each) for each in statements]
    scans = [node for plan in plans for node in nodes(plan) if "Relation Name" in node]
    used = {node.get("Index Name", "").removeprefix(prefix) for node in scans}
    assert {"schedules_due", "schedule_runs_open"} <= used
    walks = [node for node in scans if node["Node Type"] == "Seq Scan"]
    assert walks == [], json.dumps(walks, indent=1)


def _explained(connection: psycopg.Connection, statement: str, parameters: Any) -> dict[str, Any]:
    explain = "explain (format json) " + statement
    row = connection.execute(sql.SQL(explain), parameters).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan
