"""A database that several processes share, and a look into it that does not go through enfila."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from enfila import Enfila
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables, build_tables
from tests.processes.checker import FINAL, Stored, StoredJob, StoredRun

ORDERS = "orders"
"""The caller's own table, into which a row is written beside the jobs of one transaction."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the jobs of a test are: a SQLite file, or a schema of its own on a server."""

    url: str
    schema: str | None = None
    pool_size: int = 5

    @property
    def is_file(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def kind(self) -> str:
        return "sqlite" if self.is_file else "postgresql"

    def app(self, **options: Any) -> Enfila:
        return Enfila(self.url, schema=self.schema, pool_size=self.pool_size, **options)

    @contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """A connection of our own, committed at the end; plain SQL, no enfila."""
        engine = own_engine(self)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


def own_engine(place: Place) -> sa.Engine:
    """The engine of a caller who writes into the same database."""
    if not place.is_file:
        engine = sa.create_engine(
            sa.make_url(place.url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool
        )
        return engine.execution_options(schema_translate_map={None: place.schema})
    engine = sa.create_engine(place.url, poolclass=sa.NullPool, connect_args={"timeout": 30})

    # As SQLAlchemy's documentation says: transactions that write begin as such.
    @sa.event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def orders_table() -> sa.Table:
    return sa.Table(ORDERS, sa.MetaData(), sa.Column("name", sa.String(100), primary_key=True))


def tables_of(place: Place) -> Tables:
    return build_tables(place.schema)


def unfinished(place: Place, queue: str) -> int:
    """How many jobs are not in a final state, counted one by one."""
    jobs = tables_of(place).jobs
    with place.connection() as connection:
        found = connection.scalar(
            sa.select(sa.func.count()).where(jobs.c.queue == queue, jobs.c.state.not_in(FINAL))
        )
    return found or 0


def can_be_written(place: Place) -> bool:
    """Whether nobody holds a SQLite file for longer than a write takes; a server always can be."""
    if not place.is_file:
        return True
    path = sa.make_url(place.url).database or ""
    with closing(sqlite3.connect(path, timeout=0.1, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


def states(place: Place) -> Counter[str]:
    """How many jobs are in each state, counted one by one."""
    with place.connection() as connection:
        return Counter(connection.scalars(sa.select(tables_of(place).jobs.c.state)))


def read_stored(place: Place, queue: str, counters: dict[str, int]) -> Stored:
    """Everything that the checker looks at.

    Args:
        counters: what the queue says.
    """
    tables = tables_of(place)
    jobs, logs = tables.jobs, tables.logs
    attempts = Effects(tables).attempts.table
    runs: dict[str, list[StoredRun]] = defaultdict(list)
    log_tokens: dict[str, list[int]] = defaultdict(list)
    with place.connection() as connection:
        for run in connection.execute(sa.select(attempts).order_by(attempts.c.token)):
            runs[run.job_id].append(
                StoredRun(
                    token=run.token,
                    number=run.number,
                    outcome=run.outcome,
                    started_at=run.started_at.timestamp(),
                )
            )
        for line in connection.execute(sa.select(logs).order_by(logs.c.id)):
            log_tokens[line.job_id].append(int(line.line))
        stored = [
            _stored_job(row, runs[row.id], log_tokens[row.id])
            for row in connection.execute(sa.select(jobs).where(jobs.c.queue == queue))
        ]
        orders: frozenset[str] = frozenset()
        if sa.inspect(connection).has_table(ORDERS, schema=place.schema):
            orders = frozenset(connection.scalars(sa.select(orders_table().c.name)))
    return Stored(jobs=stored, counters=counters, orders=orders)


def _stored_job(row: Any, runs: list[StoredRun], log_tokens: list[int]) -> StoredJob:
    payload = json.loads(row.payload)
    result = None if row.result is None else json.loads(row.result)
    return StoredJob(
        id=row.id,
        group=payload.get("group", ""),
        expected=payload.get("expected", "completed"),
        state=row.state,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        token=row.lock_token,
        result_token=None if result is None else result["token"],
        finished_at=None if row.finished_at is None else row.finished_at.timestamp(),
        runs=runs,
        log_tokens=log_tokens,
    )
