"""The facade: one object that a program makes and opens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from enfila.app_parts import AppParts
from enfila.configuring import configured
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.interceptor import Interceptor
from enfila.core.application.runtime.asyncio_only import refuse_on_a_loop, running_loop
from enfila.core.application.runtime.waiting import all_done
from enfila.core.application.system_clock import clock_or_system
from enfila.core.domain.checking import instance
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.showing import shown

if TYPE_CHECKING:
    from enfila.infrastructure.ioc.container import Container


class Enfila(AppParts):
    """Queues and workers on one database.

    Nothing is connected before `async with` (or `open`), where the tables are brought up to date.
    Leaving it closes the workers (which finish their jobs), the queues and the database. Code
    without an event loop adds jobs in `with Enfila(…) as app:`, which connects at the first job.

    Args:
        url: `sqlite:///jobs.db`, `postgresql://user@host/db`, or `memory://`. None takes all
            settings from the environment (`ENFILA_DATABASE_URL`, …; see `Settings`).
        clock: instants for rows and events; None for the database's clock.
        schema: PostgreSQL schema of the tables, made when it is missing.
        table_prefix: what the names of the tables begin with; `enfila_` when None.
        auto_migrate: whether opening brings the tables up to date; otherwise old ones are refused.
        pool_size: connections kept to a server.
        synchronous: SQLite: FULL survives a power cut, NORMAL is faster.
        notify: whether PostgreSQL's NOTIFY wakes the workers of other processes.
        listen_url: the address of PostgreSQL itself, where its NOTIFY is listened for if `url`
            leads to a connection pooler.
        time_zone: for schedules that name none, such as `America/Sao_Paulo`; UTC when None.
        job_types: the job types of this program; None for a registry of its own.
        interceptors: go around every add and run, the first one outermost; see `intercept`.
        container: brings its own adapters; the arguments above, up to `time_zone`, are then left
            out, but for the clock.

    Attributes:
        job: the decorator that declares a job type: `@app.job("email:welcome", queue="email")`, or
            `@app.job` alone; see `JobTypeRegistry.job`.
        intercept: registers an `Interceptor` within those that are there, at any time.
        schedules: makes, changes and explains schedules.

    Raises:
        InvalidRequest: a wrong argument or setting.
        DriverMissing: the database's driver is not installed; says what to install.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        clock: Clock | None = None,
        schema: str | None = None,
        table_prefix: str | None = None,
        auto_migrate: bool | None = None,
        pool_size: int | None = None,
        synchronous: str | None = None,
        notify: bool | None = None,
        listen_url: str | None = None,
        time_zone: str | None = None,
        job_types: JobTypeRegistry | None = None,
        interceptors: Iterable[Interceptor] = (),
        container: Container | None = None,
    ) -> None:
        given = {
            "database_url": url,
            "schema": schema,
            "table_prefix": table_prefix,
            "auto_migrate": auto_migrate,
            "pool_size": pool_size,
            "synchronous": synchronous,
            "notify": notify,
            "listen_url": listen_url,
            "time_zone": time_zone,
        }
        if clock is not None:
            clock_or_system(clock)
        if job_types is not None:
            instance("job_types", job_types, JobTypeRegistry, "a JobTypeRegistry or None")
        chosen = {
            name: str.__str__(value) if isinstance(value, str) else value
            for name, value in given.items()
            if value is not None
        }
        if container is not None and not hasattr(container, "job_type_registry"):
            raise InvalidRequest("container", container, "give a Container or None")
        wired = configured(chosen) if container is None else container
        if container is not None and chosen:
            settings = ", ".join(chosen)
            raise InvalidRequest(
                "container",
                settings,
                "give either a container or settings, not both",
                problem=f"{shown(settings)} stands beside it",
            )
        if clock is not None:
            wired.clock.override(clock)
        if job_types is not None:
            wired.job_type_registry.override(job_types)
        super().__init__(wired, interceptors)

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> Self:
        """Connects and brings the tables up to date. May be called twice.

        Raises:
            RepositoryUnavailable: the database cannot be reached; says where it was tried.
            SchemaMismatch: the tables do not fit this enfila.
        """
        self._check_open()
        _ = running_loop()
        await self._repository.open()
        await self.job_types.declare(self._types)
        await self._container.wake_up().open()
        self._loop = asyncio.get_running_loop()
        for queue in self._queues.values():
            queue.attach_loop(self._loop)
        return self

    async def close(self, grace: Duration | None = None) -> None:
        """Closes schedulers, workers, queues and database, in this order. May be called twice.

        Args:
            grace: how long running jobs may go on; None for each worker's own setting.

        Raises:
            InvalidRequest: a wrong `grace`; then nothing is closed.
        """
        length = None if grace is None else duration("grace", grace)
        if self._is_closed:
            return
        self._is_closed = True
        self._types.detach(self.queue)
        # Whatever goes wrong with one, the others are closed too.
        async with AsyncExitStack() as last_first:
            last_first.push_async_callback(self._repository.close)
            last_first.push_async_callback(self._container.wake_up().close)
            closings = (
                (each.close() for each in self._queues.values()),
                (each.close(length) for each in self._workers),
                (each.close() for each in self._schedulers),
            )
            for each in closings:
                last_first.push_async_callback(all_done, each)

    def close_sync(self, grace: Duration | None = None) -> None:
        """As `close`, for code without an event loop; `with Enfila(…) as app:` does it at its end.

        Raises:
            InvalidRequest: a wrong `grace`, or called on an event loop.
        """
        refuse_on_a_loop("write `await app.close()`")
        asyncio.run(self.close(grace))

    def __enter__(self) -> Self:
        refuse_on_a_loop("write `async with`")
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close_sync()

    async def __aenter__(self) -> Self:
        _ = running_loop()
        try:
            return await self.open()
        except BaseException:
            await self.close()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close(grace=0 if isinstance(error, asyncio.CancelledError) else None)


async def migrate(url: str, *, schema: str | None = None, table_prefix: str = "enfila_") -> None:
    """Brings the tables of a database up to date, for programs with `auto_migrate=False`.

    Any number of processes may do so at the same time.
    """
    app = Enfila(url, schema=schema, table_prefix=table_prefix, auto_migrate=True)
    try:
        await app.repository.open()
    finally:
        await app.close()
