"""The facade: one object that a program makes and opens."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from enfila.configuring import configured
from enfila.core.application.job_types.job_types import JobTypes
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.interceptor import Interceptor
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.storage import Storage
from enfila.core.application.queue.abstract_queue import AbstractQueue
from enfila.core.application.runtime.forks import ForkAware
from enfila.core.application.runtime.waiting import all_done
from enfila.core.application.scheduler.managing.schedules import Schedules
from enfila.core.application.scheduler.scheduler_options import SchedulerOptions
from enfila.core.application.scheduler.scheduler_service import SchedulerService
from enfila.core.application.system_clock import clock_or_system
from enfila.core.application.worker.running.processor import ProcessorLike
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.checking import instance, several
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import AlreadyClosed, InvalidRequest
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.retention import RetentionPolicy
from enfila.core.domain.queue import name as checked_name

if TYPE_CHECKING:
    from enfila.infrastructure.ioc.container import Container

P = TypeVar("P")
R = TypeVar("R")


class Enfila(ForkAware):
    """Queues and workers on one database.

    Nothing is connected before `async with` (or `open`), where the tables are brought up to date.
    Leaving it closes the workers (which finish their jobs), the queues and the database.

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
        self._container = configured(chosen) if container is None else container
        if container is not None and chosen:
            raise InvalidRequest(
                "container", ", ".join(chosen), "give either a container or settings, not both"
            )
        if clock is not None:
            self._container.clock.override(clock)
        if job_types is not None:
            self._container.job_type_registry.override(job_types)
        self._types = self._container.job_type_registry()
        self.job: Final = self._types.job
        registered = self._container.interceptors()
        registered.register_all(interceptors)
        self.intercept: Final = registered.register
        self._repository = self._container.job_repository()
        self._queues: dict[str, AbstractQueue[Any, Any]] = {}
        self._queue_options: dict[str, dict[str, Any]] = {}
        self._workers: list[WorkerService[Any, Any]] = []
        self._schedulers: list[SchedulerService] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self.schedules: Final[Schedules] = self._container.schedules()
        self._types.attach(self.queue, self.schedules.define)

    @property
    def job_types(self) -> JobTypes:
        """The job types that are stored, with their statistics; switches them on and off."""
        return self._container.job_types()

    @property
    def repository(self) -> IJobRepository:
        """Where the jobs are."""
        return self._repository

    @property
    def storage(self) -> Storage:
        """The database: its queues, workers, job types and schedules."""
        return self._repository.storage

    @property
    def container(self) -> Container:
        """What this app is wired with."""
        return self._container

    def start_over(self) -> None:
        """See `ForkAware`. The loop that it was opened on is the parent's."""
        self._loop = None

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> Self:
        """Connects and brings the tables up to date. May be called twice.

        Raises:
            RepositoryUnavailable: the database cannot be reached; says where it was tried.
            SchemaMismatch: the tables do not fit this enfila.
        """
        self._check_open()
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

    async def __aenter__(self) -> Self:
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

    # ── parts ────────────────────────────────────────────────────────────────────────────────

    @overload
    def queue(
        self,
        name: str,
        *,
        payload_type: type[P],
        result_type: type[R],
        default_job_options: JobOptions | None = None,
        retention: RetentionPolicy | None = None,
    ) -> AbstractQueue[P, R]: ...

    @overload
    def queue(
        self,
        name: str,
        *,
        payload_type: type[P],
        default_job_options: JobOptions | None = None,
        retention: RetentionPolicy | None = None,
    ) -> AbstractQueue[P, Any]: ...

    @overload
    def queue(
        self,
        name: str,
        *,
        payload_type: object = None,
        result_type: object = None,
        default_job_options: JobOptions | None = None,
        retention: RetentionPolicy | None = None,
    ) -> AbstractQueue[Any, Any]: ...

    def queue(
        self,
        name: str,
        *,
        payload_type: object = None,
        result_type: object = None,
        default_job_options: JobOptions | None = None,
        retention: RetentionPolicy | None = None,
    ) -> AbstractQueue[Any, Any]:
        """The queue with this name; always the same object, so that its listeners hear all.

        Once that was closed the next call makes a new one, without listeners; with its options.

        Args:
            name: 1 to 255 characters.
            payload_type: payloads are validated against it and rebuilt in it; None for plain JSON.
            result_type: the same for results.
            default_job_options: for what a job's own options leave out.
            retention: how long finished jobs are kept.

        Raises:
            InvalidRequest: a wrong argument, or options for a queue that this app has made before.
        """
        self._check_open()
        options = {
            "payload_type": payload_type,
            "result_type": result_type,
            "default_job_options": default_job_options,
            "retention": retention,
        }
        name = checked_name("queue", name)
        is_plain = all(value is None for value in options.values())
        known = self._queues.get(name)
        if known is not None and not known.is_closed:
            if is_plain:
                return known
            allowed = "it exists in this app: give its options where it is made first"
            raise InvalidRequest("queue", name, allowed)
        options = self._queue_options.get(name, options) if is_plain else options
        queue = self._container.queue(name, **options)
        self._queue_options[queue.name] = options
        if self._loop is not None:
            queue.attach_loop(self._loop)
        self._queues[queue.name] = queue
        return queue

    @overload
    def worker(
        self,
        queue: AbstractQueue[P, R] | str,
        processor: ProcessorLike[P, R],
        options: WorkerOptions | None = None,
    ) -> WorkerService[P, R]: ...

    @overload
    def worker(
        self,
        queue: JobTypeRegistry | None = None,
        *,
        options: WorkerOptions | None = None,
        queues: Iterable[str] | None = None,
    ) -> WorkerService[Any, Any]: ...

    def worker(
        self,
        queue: AbstractQueue[Any, Any] | JobTypeRegistry | str | None = None,
        processor: ProcessorLike[Any, Any] | None = None,
        options: WorkerOptions | None = None,
        *,
        queues: Iterable[str] | None = None,
    ) -> WorkerService[Any, Any]:
        """A worker; `async with worker:` or `await worker.run()` starts it.

        `app.worker()` runs the job types of this app, from all the queues that they name.

        Args:
            queue: the queue, or its name; or a registry of job types, if it is not the app's own.
            processor: an async or plain function of one argument, the job; or a mapping from job
                names to such functions; or a registry of job types.
            options: concurrency, locks, timeouts, and so on.
            queues: for job types: the names of the queues to serve, which share the concurrency;
                None for all that the types name.

        Raises:
            InvalidRequest: a wrong argument, or no job type is declared yet.
        """
        self._check_open()
        if queue is None or isinstance(queue, JobTypeRegistry):
            return self._worker_of_types(self._types if queue is None else queue, queues, options)
        served = self.queue(queue) if isinstance(queue, str) else queue
        instance("queue", served, AbstractQueue, "a queue, its name, or job types")
        if isinstance(processor, JobTypeRegistry):
            return self._worker_of_types(processor, [served.name], options)
        if processor is None:
            raise InvalidRequest("processor", None, "give a function, a mapping or job types")
        return self._keep(self._container.worker(served, processor, options))

    def _worker_of_types(
        self,
        types: JobTypeRegistry,
        queues: Iterable[str] | None,
        options: WorkerOptions | None,
    ) -> WorkerService[Any, Any]:
        names = types.queues if queues is None else several("queues", queues, "a list of names")
        served = self._container.served_queues([self.queue(name) for name in names], types)
        return self._keep(self._container.worker(served, types, options))

    def scheduler(self, options: SchedulerOptions | None = None) -> SchedulerService:
        """A scheduler; `async with scheduler:` or `await scheduler.run()` starts it.

        Any number of processes may run one for the same schedules.
        """
        self._check_open()
        scheduler = self._container.scheduler(options=options)
        self._schedulers.append(scheduler)
        return scheduler

    def _keep(self, worker: WorkerService[Any, Any]) -> WorkerService[Any, Any]:
        self._workers.append(worker)
        return worker

    def _check_open(self) -> None:
        if self._is_closed:
            raise AlreadyClosed("this app")


async def migrate(url: str, *, schema: str | None = None, table_prefix: str = "enfila_") -> None:
    """Brings the tables of a database up to date, for programs with `auto_migrate=False`.

    Any number of processes may do so at the same time.
    """
    app = Enfila(url, schema=schema, table_prefix=table_prefix, auto_migrate=True)
    try:
        await app.repository.open()
    finally:
        await app.close()
