"""The ceiling on SQLite: one transaction completes a hundred jobs and claims the next."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from uuid import uuid4

from benchmarks.drivers.driver import URL, Driver, handled

TABLE = """
create table jobs (
    id text primary key, queue text not null, name text not null,
    state text not null default 'waiting', position integer not null, payload text not null,
    attempt integer not null default 0, locked_by text, locked_until real, result text,
    created_at real not null, started_at real, finished_at real
);
create index jobs_waiting on jobs (queue, position) where state = 'waiting';
create index jobs_active on jobs (locked_until) where state = 'active';
"""
ADD = """
insert into jobs (id, queue, name, position, payload, created_at)
values (?, 'default', 'noop', ?, ?, ?)
"""
CLAIM = """
update jobs
set state = 'active', attempt = attempt + 1, locked_by = ?, locked_until = ?, started_at = ?
where id in (
    select id from jobs where state = 'waiting' and queue = 'default' order by position limit ?
)
returning id, payload
"""
COMPLETE = """
update jobs
set state = 'completed', finished_at = ?, locked_by = null, locked_until = null, result = 'null'
where id = ? and state = 'active' and locked_by = ?
"""
WORKER = "worker"


class SqliteByHand(Driver):
    """The `sqlite3` of the standard library, WAL and synchronous=FULL."""

    async def setup(self) -> None:
        await self.open(1)
        self._connection.executescript(TABLE)
        self._connection.close()

    async def open(self, callers: int) -> None:
        del callers  # one
        self._connection = sqlite3.connect(URL.removeprefix("sqlite:///"), isolation_level=None)
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = full")

    async def add(self, number: int) -> None:
        await self.add_all(range(number, number + 1))

    async def add_all(self, numbers: range) -> None:
        now = time.time()
        rows = [(uuid4().hex, number, json.dumps({"n": number}), now) for number in numbers]
        self._connection.execute("begin immediate")
        self._connection.executemany(ADD, rows)
        self._connection.execute("commit")

    async def work(self, concurrency: int) -> None:
        await self.open(1)
        jobs = self._turn([], concurrency)
        while jobs:
            for _, payload in jobs:
                handled(json.loads(payload)["n"])
            jobs = self._turn([job_id for job_id, _ in jobs], concurrency)
        await asyncio.Event().wait()

    def _turn(self, done: list[str], limit: int) -> list[tuple[str, str]]:
        now = time.time()
        self._connection.execute("begin immediate")
        self._connection.executemany(COMPLETE, [(now, job_id, WORKER) for job_id in done])
        claimed = self._connection.execute(CLAIM, (WORKER, now + 30, now, limit)).fetchall()
        self._connection.execute("commit")
        return claimed


DRIVER = SqliteByHand()
