"""The parts of an app: queues, workers and schedulers, made when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, overload

from enfila.core.application.job_types.job_types import JobTypes
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.ports.interceptor import Interceptor
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.storage import Storage
from enfila.core.application.queue.abstract_queue import AbstractQueue
from enfila.core.application.runtime.forks import ForkAware
from enfila.core.application.runtime.pickling import NotPickled
from enfila.core.application.scheduler.managing.schedules import Schedules
from enfila.core.application.scheduler.scheduler_options import (
    SchedulerOptionArguments,
    SchedulerOptions,
    with_named as scheduler_options,
)
from enfila.core.application.scheduler.scheduler_service import SchedulerService
from enfila.core.application.worker.running.processor import ProcessorLike
from enfila.core.application.worker.worker_options import (
    WorkerOptionArguments,
    WorkerOptions,
    with_named as worker_options,
)
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.checking import instance, several
from enfila.core.domain.errors import AlreadyClosed, InvalidRequest
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.retention import RetentionPolicy
from enfila.core.domain.queue import name as checked_name
from enfila.core.domain.showing import plain

if TYPE_CHECKING:
    from enfila.infrastructure.ioc.container import Container

P = TypeVar("P")
R = TypeVar("R")


class AppParts(NotPickled, ForkAware):
    """What an app is made of, and makes. `Enfila` opens and closes it."""

    def __init__(self, container: Container, interceptors: Iterable[Interceptor]) -> None:
        self._container = container
        self._types = container.job_type_registry()
        self.job: Final = self._types.job
        registered = container.interceptors()
        registered.register_all(interceptors)
        self.intercept: Final = registered.register
        self._repository = container.job_repository()
        self._queues: dict[str, AbstractQueue[Any, Any]] = {}
        self._queue_options: dict[str, dict[str, Any]] = {}
        self._workers: list[WorkerService[Any, Any]] = []
        self._schedulers: list[SchedulerService] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self.schedules: Final[Schedules] = container.schedules()
        self._types.attach(self.queue, self.schedules.define)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "new" if self._loop is None else "open"
        return f"<Enfila on {plain(self.storage.address)}, {state}>"

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
        **given: Unpack[WorkerOptionArguments],
    ) -> WorkerService[P, R]: ...

    @overload
    def worker(
        self,
        queue: JobTypeRegistry | None = None,
        *,
        options: WorkerOptions | None = None,
        queues: Iterable[str] | None = None,
        **given: Unpack[WorkerOptionArguments],
    ) -> WorkerService[Any, Any]: ...

    def worker(
        self,
        queue: AbstractQueue[Any, Any] | JobTypeRegistry | str | None = None,
        processor: ProcessorLike[Any, Any] | None = None,
        options: WorkerOptions | None = None,
        *,
        queues: Iterable[str] | None = None,
        **given: Unpack[WorkerOptionArguments],
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
            given: options by name, as `WorkerOptions` takes them (`concurrency=10`); they come
                before those of `options`.

        Raises:
            InvalidRequest: a wrong argument, or no job type is declared yet.
        """
        self._check_open()
        options = worker_options(options, given)
        if queue is None or isinstance(queue, JobTypeRegistry):
            return self._worker_of_types(self._types if queue is None else queue, queues, options)
        served = self.queue(queue) if isinstance(queue, str) else queue
        instance("queue", served, AbstractQueue, "a queue, its name, or job types")
        if isinstance(processor, JobTypeRegistry):
            return self._worker_of_types(processor, [served.name], options)
        if processor is None:
            allowed = "give a function, a mapping or job types: app.worker(queue, processor)"
            raise InvalidRequest("processor", None, allowed, problem="there is none")
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

    def scheduler(
        self,
        options: SchedulerOptions | None = None,
        **given: Unpack[SchedulerOptionArguments],
    ) -> SchedulerService:
        """A scheduler; `async with scheduler:` or `await scheduler.run()` starts it.

        Any number of processes may run one for the same schedules. Options may be given by name
        too, as `SchedulerOptions` takes them; they come before those of `options`.
        """
        self._check_open()
        scheduler = self._container.scheduler(options=scheduler_options(options, given))
        self._schedulers.append(scheduler)
        return scheduler

    def _keep(self, worker: WorkerService[Any, Any]) -> WorkerService[Any, Any]:
        self._workers.append(worker)
        return worker

    def _check_open(self) -> None:
        if self._is_closed:
            raise AlreadyClosed("this app")
