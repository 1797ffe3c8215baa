"""The container: a default for every port, each of which can be overridden."""

from __future__ import annotations

from typing import Any

from dependency_injector import containers, providers

from enfila.core.application.interceptors import Interceptors
from enfila.core.application.job_types.job_types import JobTypes
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.job_types.serving.served_queues import ServedQueues
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.job_type_repository import IJobTypeRepository
from enfila.core.application.ports.queue_repository import IQueueRepository
from enfila.core.application.ports.schedule_repository import IScheduleRepository
from enfila.core.application.ports.schedule_run_repository import IScheduleRunRepository
from enfila.core.application.ports.storage import Storage
from enfila.core.application.ports.wake_up import WakeUp
from enfila.core.application.ports.worker_repository import IWorkerRepository
from enfila.core.application.scheduler.managing.schedules import Schedules
from enfila.core.application.scheduler.managing.target_check import TargetCheck
from enfila.core.application.scheduler.scheduler_service import SchedulerService
from enfila.core.application.system_clock import SystemClock
from enfila.core.application.worker.worker_service import WorkerService
from enfila.infrastructure.ioc.adapters import (
    hinter_of_jobs,
    make_repository,
    make_wake_up,
    row_clock_of,
)
from enfila.infrastructure.queue.queue_service import QueueService


class Container(containers.DeclarativeContainer):
    """The dependency-injector container: every port with its adapter, each replaceable.

    `container.config` has the keys of `Settings`: `container.config.database_url.from_value(…)`.
    In tests: `container.job_repository.override(InMemoryJobRepository())`; everything else follows.

    Attributes:
        clock: the machine's; overridden, it also dates the rows (else a server's clock does).
        job_repository: one for the container's life.
        storage: the database of that repository.
        queue_repository, worker_repository, job_type_repository, schedule_repository,
            schedule_run_repository: its other repositories, each of which can be overridden too.
        wake_up: what fits the storage.
        interceptors: what goes around adds and runs; shared by queues, workers and schedules.
        job_type_registry: what this program declares; an app may bring its own.
        job_types: looks at what is stored of job types, and switches them.
        served_queues: `container.served_queues(queues, types)` is what one worker serves.
        queue: `container.queue("email", default_job_options=…)` makes a `QueueService`.
        worker: `container.worker(queue, processor, options)` makes a `WorkerService`.
        schedules: makes, changes and explains schedules.
        scheduler: `container.scheduler(options=…)` makes a `SchedulerService`.
    """

    config = providers.Configuration(
        default={
            "database_url": "sqlite:///enfila.db",
            "schema": None,
            "table_prefix": "enfila_",
            "auto_migrate": True,
            "pool_size": 5,
            "synchronous": "FULL",
            "notify": True,
            "listen_url": None,
            "time_zone": "UTC",
        }
    )
    clock = providers.Singleton(SystemClock)
    row_clock: providers.Provider[Clock | None] = providers.Callable(row_clock_of, clock)
    job_repository: providers.Provider[IJobRepository] = providers.Singleton(
        make_repository,
        config.database_url,
        clock=row_clock,
        schema=config.schema,
        table_prefix=config.table_prefix,
        auto_migrate=config.auto_migrate,
        pool_size=config.pool_size,
        synchronous=config.synchronous,
    )
    storage: providers.Provider[Storage] = job_repository.provided.storage
    queue_repository: providers.Provider[IQueueRepository] = storage.provided.queues
    worker_repository: providers.Provider[IWorkerRepository] = storage.provided.workers
    job_type_repository: providers.Provider[IJobTypeRepository] = storage.provided.job_types
    schedule_repository: providers.Provider[IScheduleRepository] = storage.provided.schedules
    schedule_run_repository: providers.Provider[IScheduleRunRepository] = (
        storage.provided.schedule_runs
    )
    wake_up: providers.Provider[WakeUp] = providers.Singleton(
        make_wake_up, job_repository, notify=config.notify, listen_url=config.listen_url
    )
    interceptors = providers.Singleton(Interceptors)
    job_type_registry = providers.Singleton(JobTypeRegistry)
    job_types: providers.Provider[JobTypes] = providers.Factory(
        JobTypes, job_type_repository, providers.Callable(hinter_of_jobs, wake_up)
    )
    served_queues: providers.Provider[ServedQueues] = providers.Factory(
        ServedQueues, repository=job_repository
    )
    queue: providers.Provider[QueueService[Any, Any]] = providers.Factory(
        QueueService,
        repository=job_repository,
        job_types=job_type_registry,
        wake_up=wake_up,
        interceptors=interceptors,
        clock=clock,
    )
    worker: providers.Provider[WorkerService[Any, Any]] = providers.Factory(
        WorkerService, interceptors=interceptors, clock=clock
    )
    schedules: providers.Provider[Schedules] = providers.Factory(
        Schedules,
        job_repository,
        providers.Factory(TargetCheck, job_type_registry, job_type_repository),
        wake_up,
        interceptors=interceptors,
        time_zone=config.time_zone,
    )
    scheduler: providers.Provider[SchedulerService] = providers.Factory(
        SchedulerService, job_repository, wake_up, interceptors=interceptors, clock=clock
    )
