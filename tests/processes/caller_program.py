"""A caller who adds jobs: `python -m tests.processes.caller_program PLAN`."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from enfila import AbstractQueue, Deduplication, JobOptions
from tests.processes.history import Added, Ended, Imported, Journal
from tests.processes.place import orders_table, own_engine
from tests.processes.plans import Plan, die_with_the_parent, read_plan, wait_for_go

Queue = AbstractQueue[Any, Any]


@dataclass(frozen=True, kw_only=True)
class CallerPlan(Plan):
    """What a caller is to do.

    Attributes:
        task: `keys` adds a job for each of a number of deduplication keys, many at a time;
            `half` writes a row of its own and a job in one transaction, and then hangs.
        keys: how many.
    """

    task: Literal["keys", "half"]
    keys: int = 30


async def call(plan: CallerPlan, journal: Journal) -> None:
    async with plan.place.app() as app:
        queue = app.queue(plan.queue)
        if plan.task == "half":
            await hang_before_the_commit(plan, queue, journal)
        else:
            keys = [f"key {number}" for number in range(plan.keys)]
            await asyncio.gather(*(add_once(key, queue, journal) for key in keys))


async def add_once(key: str, queue: Queue, journal: Journal) -> None:
    options = JobOptions(deduplication=Deduplication.while_unfinished(key))
    job = await queue.add("once", {}, options)
    journal.write(Added, group=key, jobs=[job.id], duplicates=int(job.is_duplicate))


async def hang_before_the_commit(plan: CallerPlan, queue: Queue, journal: Journal) -> None:
    order = sa.insert(orders_table()).values(name="half")
    if plan.place.is_file:
        with own_engine(plan.place).begin() as connection:
            connection.execute(order)
            job = await queue.add("half", {}, session=connection)
            await _hang(job.id, journal)
    engine = create_async_engine(
        sa.make_url(plan.place.url).set(drivername="postgresql+asyncpg"),
        execution_options={"schema_translate_map": {None: plan.place.schema}},
    )
    async with engine.begin() as async_connection:
        await async_connection.execute(order)
        job = await queue.add("half", {}, session=async_connection)
        await _hang(job.id, journal)


async def _hang(job: str, journal: Journal) -> None:
    journal.write(Added, group="half", jobs=[job])
    await asyncio.Event().wait()


def main(text: str) -> None:
    plan = read_plan(CallerPlan, text)
    die_with_the_parent()
    journal = Journal(plan.folder, plan.name)
    journal.write(Imported)
    wait_for_go(plan)
    asyncio.run(call(plan, journal))
    journal.write(Ended)


if __name__ == "__main__":
    main(sys.argv[1])
