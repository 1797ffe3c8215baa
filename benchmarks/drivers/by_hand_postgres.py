"""The ceiling on PostgreSQL: two statements for a hundred jobs, one connection, and no rules."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import asyncpg

from benchmarks.drivers.driver import URL, Driver, handled

TABLE = """
create table jobs (
    id uuid primary key, queue text not null, name text not null,
    state text not null default 'waiting', position bigint generated always as identity,
    payload text not null, attempt int not null default 0,
    locked_by text, locked_until timestamptz, result text,
    created_at timestamptz not null default now(), started_at timestamptz, finished_at timestamptz
);
create index jobs_waiting on jobs (queue, position) where state = 'waiting';
create index jobs_active on jobs (locked_until) where state = 'active';
"""
ADD = """
insert into jobs (id, queue, name, payload)
select id, 'default', 'noop', payload from unnest($1::uuid[], $2::text[]) as given (id, payload)
"""
CLAIM = """
update jobs
set state = 'active', attempt = attempt + 1, locked_by = $1,
    locked_until = now() + interval '30 seconds', started_at = now()
from (
    select id from jobs where state = 'waiting' and queue = 'default'
    order by position limit $2 for update skip locked
) as found
where jobs.id = found.id
returning jobs.id, jobs.payload
"""
COMPLETE = """
update jobs
set state = 'completed', finished_at = now(), locked_by = null, locked_until = null,
    result = 'null'
from unnest($1::uuid[]) as done (id)
where jobs.id = done.id and state = 'active' and locked_by = $2
"""
WORKER = "worker"


class PostgresByHand(Driver):
    """Raw asyncpg."""

    async def setup(self) -> None:
        await self.open(1)
        await self._connection.execute(TABLE)
        await self.close()

    async def open(self, callers: int) -> None:
        del callers  # one
        self._connection = await asyncpg.connect(URL)

    async def close(self) -> None:
        await self._connection.close()

    async def add(self, number: int) -> None:
        await self.add_all(range(number, number + 1))

    async def add_all(self, numbers: range) -> None:
        ids = [uuid4() for _ in numbers]
        payloads = [json.dumps({"n": number}) for number in numbers]
        await self._connection.execute(ADD, ids, payloads)

    async def work(self, concurrency: int) -> None:
        await self.open(1)
        while jobs := await self._connection.fetch(CLAIM, WORKER, concurrency):
            for job in jobs:
                handled(json.loads(job["payload"])["n"])
            await self._connection.execute(COMPLETE, [job["id"] for job in jobs], WORKER)
        await asyncio.Event().wait()


DRIVER = PostgresByHand()
