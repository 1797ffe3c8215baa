"""Adds jobs of all kinds until it ends: `python -m tests.processes.enqueuer_program PLAN`.

Each group of jobs is written down before it is offered and again when it was accepted.
"""

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from enfila import AbstractQueue, Backoff, JobHandle, JobOptions, NewJob, RepositoryUnavailable
from tests.processes.history import (
    Added,
    Ended,
    Imported,
    Journal,
    Manner,
    Offered,
    Ready,
    Refused,
)
from tests.processes.place import orders_table, own_engine
from tests.processes.plans import Plan, die_with_the_parent, read_plan, wait_for_go

Queue = AbstractQueue[Any, Any]


@dataclass(frozen=True, kw_only=True)
class EnqueuerPlan(Plan):
    """What an enqueuing process is to do.

    Attributes:
        rate: jobs in a second, about.
        longest: seconds that the slowest jobs take.
    """

    seed: int
    rate: float = 100.0
    longest: float = 2.5


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs that are offered together."""

    name: str
    jobs: list[NewJob]


class Groups:
    """Makes groups of jobs, by the numbers of a seed."""

    def __init__(self, plan: EnqueuerPlan) -> None:
        self._plan = plan
        self._made = 0
        self.random = random.Random(plan.seed)

    def next(self, size: int) -> Group:
        self._made += 1
        name = f"{self._plan.name}/{self._made}"
        return Group(name, [self._job(name) for _ in range(size)])

    def _job(self, group: str) -> NewJob:
        chance = self.random.random()
        payload: dict[str, Any] = {"group": group, "seconds": self.random.uniform(0, 0.01)}
        options: dict[str, Any] = {"attempts": 4}
        if chance < 0.06:
            payload["seconds"] = self.random.uniform(0.2, self._plan.longest)
        elif chance < 0.22:
            payload["fails"] = self.random.randint(1, 3)
            options["backoff"] = self.random.choice(
                [Backoff.none(), Backoff.fixed(0.2), Backoff.exponential(0.05, jitter=0.5)]
            )
        elif chance < 0.25:
            payload |= {"fails": 4, "expected": "failed"}
        elif chance < 0.37:
            options["delay"] = self.random.uniform(0.01, 3)
            payload["not_before"] = time.time() + options["delay"]
        elif chance < 0.45:
            payload["logs"] = True
        if self.random.random() < 0.2:
            options["priority"] = self.random.randint(-3, 3)
        if self.random.random() < 0.05:
            options["lifo"] = True
        name = self.random.choice(["mail", "resize", "bill"])
        return NewJob(name, payload, JobOptions(**options))


class Enqueuer:
    """Offers groups in all the ways there are."""

    def __init__(self, plan: EnqueuerPlan, queue: Queue, journal: Journal) -> None:
        self._plan = plan
        self._queue = queue
        self._journal = journal
        self._groups = Groups(plan)
        self._orders = orders_table()
        self._own: sa.Engine | None = own_engine(plan.place) if plan.place.is_file else None
        self._own_async: AsyncEngine | None = None
        if not plan.place.is_file:
            self._own_async = create_async_engine(
                sa.make_url(plan.place.url).set(drivername="postgresql+asyncpg"),
                execution_options={"schema_translate_map": {None: plan.place.schema}},
            )

    async def add_until(self, is_over: asyncio.Event) -> None:
        """Adds at the wished rate, behind which it may fall."""
        chance = self._groups.random
        due = time.monotonic()
        while not is_over.is_set():
            number = await self._add_some(chance.random())
            due += number / self._plan.rate
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(due - time.monotonic(), 0.001)):
                    await is_over.wait()

    async def close(self) -> None:
        if self._own_async is not None:
            await self._own_async.dispose()

    async def _add_some(self, chance: float) -> int:
        """How many jobs were offered."""
        size = self._groups.random.randint(2, 60)
        if chance < 0.25:
            await self._offer(self._groups.next(1))
            return 1
        if chance < 0.4:
            await asyncio.gather(*(self._offer(self._groups.next(1)) for _ in range(5)))
            return 5
        if chance < 0.75:
            await self._offer(self._groups.next(size))
            return size
        manner = Manner.COMMITTED if chance < 0.9 else Manner.ROLLED_BACK
        await self._offer_within(self._groups.next(3), manner)
        return 3

    # ── in a transaction of the queue's own ──────────────────────────────────────────────────

    async def _offer(self, group: Group) -> None:
        self._offered(group, Manner.ALONE)
        try:
            if len(group.jobs) == 1:
                [job] = group.jobs
                added = [await self._queue.add(job.name, job.payload, job.options)]
            else:
                added = await self._queue.add_bulk(group.jobs)
        except RepositoryUnavailable as error:
            self._journal.write(
                Refused, group=group.name, uncertain=error.uncertain, error=str(error)
            )
            await asyncio.sleep(0.1)
        else:
            self._added(group, added)

    # ── in the caller's ──────────────────────────────────────────────────────────────────────

    async def _offer_within(self, group: Group, manner: Manner) -> None:
        self._offered(group, manner)
        order = sa.insert(self._orders).values(name=group.name)
        try:
            async with self._connection() as connection:
                if isinstance(connection, sa.Connection):
                    connection.execute(order)
                else:
                    await connection.execute(order)
                added = await self._queue.add_bulk(group.jobs, session=connection)
                _think_again(manner)
        except _RolledBackError:
            return
        except (sa.exc.DBAPIError, OSError, RepositoryUnavailable):
            # The caller's own database error: it does not know what became of its transaction.
            await asyncio.sleep(0.1)
            return
        self._added(group, added)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        if self._own is not None:
            with self._own.begin() as connection:
                yield connection
        elif self._own_async is not None:
            async with self._own_async.begin() as connection:
                yield connection

    # ── the history ──────────────────────────────────────────────────────────────────────────

    def _offered(self, group: Group, manner: Manner) -> None:
        self._journal.write(Offered, group=group.name, size=len(group.jobs), manner=manner)

    def _added(self, group: Group, jobs: list[JobHandle[Any]]) -> None:
        self._journal.write(Added, group=group.name, jobs=[job.id for job in jobs])


class _RolledBackError(Exception):
    """The caller thinks better of it."""


def _think_again(manner: Manner) -> None:
    if manner is Manner.ROLLED_BACK:
        raise _RolledBackError


async def enqueue(plan: EnqueuerPlan, journal: Journal) -> None:
    """Adds until a signal ends it."""
    is_over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, is_over.set)
    async with plan.place.app() as app:
        enqueuer = Enqueuer(plan, app.queue(plan.queue), journal)
        journal.write(Ready, worker="")
        await enqueuer.add_until(is_over)
        await enqueuer.close()


def main(text: str) -> None:
    plan = read_plan(EnqueuerPlan, text)
    die_with_the_parent()
    journal = Journal(plan.folder, plan.name)
    journal.write(Imported)
    wait_for_go(plan)
    asyncio.run(enqueue(plan, journal))
    journal.write(Ended)


if __name__ == "__main__":
    main(sys.argv[1])
