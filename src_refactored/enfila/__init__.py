"""enfila: a job system on the database you already have.

At-least-once execution, exactly one accepted completion. Start with `Enfila`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enfila.app import Enfila, migrate
from enfila.core.application.job_types.declared_job import DeclaredJob
from enfila.core.application.job_types.job_types import JobTypes
from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.job_types.serving.served_queues import ServedQueues
from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.interceptor import Interceptor, Proceed, RunningJob
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import WakeUp
from enfila.core.application.queue.abstract_queue import AbstractQueue
from enfila.core.application.queue.adding.new_job import NewJob
from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.application.queue.operations.job_handle import JobHandle
from enfila.core.application.scheduler.managing.schedules import Schedules
from enfila.core.application.scheduler.scheduler_options import SchedulerOptions
from enfila.core.application.scheduler.scheduler_service import SchedulerService
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.application.worker.running.processor import ProcessorLike
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain import events
from enfila.core.domain.errors import (
    AlreadyClosed,
    AlreadyRunning,
    AttemptTimedOut,
    Conflict,
    DriverMissing,
    EnfilaError,
    HandlerError,
    InvalidRequest,
    InvalidSettings,
    JobNotCompleted,
    JobNotFound,
    JobTypeNotFound,
    KeyTaken,
    LockLost,
    MoveNotAllowed,
    NotFound,
    ProcessorMissing,
    QueueNotEmpty,
    RepositoryUnavailable,
    ResultRefused,
    ScheduleChanged,
    ScheduleExists,
    ScheduleNotFound,
    SchemaMismatch,
    StaleTransition,
    UnknownTimeZone,
    Unrecoverable,
)
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import JobId, WorkerId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.running.attempt import Attempt, AttemptOutcome
from enfila.core.domain.job.running.outcome import Cancel, Retry, Snooze
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics
from enfila.core.domain.queue import QueueCounts
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.preview import Preview
from enfila.core.domain.schedule.rules.misfire import CatchUp, Misfire
from enfila.core.domain.schedule.rules.overlap import Overlap
from enfila.core.domain.schedule.runs.run import ItemCounts, RunState, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.scheduled_for import ScheduledFor
from enfila.core.domain.schedule.state import ScheduleState
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.core.domain.schedule.triggers.once import Once
from enfila.core.domain.schedule.triggers.times_of_day import TimesOfDay
from enfila.core.domain.worker import WorkerInfo
from enfila.infrastructure.queue.queue_service import QueueService

if TYPE_CHECKING:
    from enfila.entrypoints.processes import WorkerProcesses
    from enfila.infrastructure.ioc.container import Container
    from enfila.infrastructure.persistence.memory import InMemoryJobRepository
    from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
    from enfila.settings import Settings

    __version__: str

__all__ = [
    "AbstractQueue",
    "ActiveJob",
    "AfterCompletion",
    "AlreadyClosed",
    "AlreadyRunning",
    "Attempt",
    "AttemptOutcome",
    "AttemptTimedOut",
    "Backoff",
    "Cancel",
    "CatchUp",
    "Clock",
    "Conflict",
    "Container",
    "Cron",
    "DeclaredJob",
    "Deduplication",
    "DriverMissing",
    "Enfila",
    "EnfilaError",
    "HandlerError",
    "IJobRepository",
    "InMemoryJobRepository",
    "Interceptor",
    "Interval",
    "InvalidRequest",
    "InvalidSettings",
    "ItemCounts",
    "Job",
    "JobError",
    "JobHandle",
    "JobId",
    "JobNotCompleted",
    "JobNotFound",
    "JobOptions",
    "JobState",
    "JobType",
    "JobTypeInfo",
    "JobTypeNotFound",
    "JobTypeRegistry",
    "JobTypes",
    "KeyTaken",
    "LockLost",
    "MaintenanceOptions",
    "Misfire",
    "MoveNotAllowed",
    "NewJob",
    "NotFound",
    "Once",
    "Overlap",
    "Preview",
    "Proceed",
    "ProcessorLike",
    "ProcessorMissing",
    "QueueCounts",
    "QueueNotEmpty",
    "QueueService",
    "RepositoryUnavailable",
    "ResultRefused",
    "Retention",
    "RetentionPolicy",
    "Retry",
    "RunState",
    "RunStatistics",
    "RunningJob",
    "Schedule",
    "ScheduleChanged",
    "ScheduleDefinition",
    "ScheduleExists",
    "ScheduleNotFound",
    "ScheduleRun",
    "ScheduleState",
    "ScheduledFor",
    "SchedulerOptions",
    "SchedulerService",
    "Schedules",
    "SchemaMismatch",
    "ServedQueues",
    "Settings",
    "Snooze",
    "SqlAlchemyJobRepository",
    "StaleTransition",
    "SyncActiveJob",
    "Target",
    "TimesOfDay",
    "UnknownTimeZone",
    "Unrecoverable",
    "WakeUp",
    "WorkerId",
    "WorkerInfo",
    "WorkerOptions",
    "WorkerProcesses",
    "WorkerService",
    "__version__",
    "events",
    "migrate",
]

# What needs a library of its own, or few programs need, is loaded when its name is first used.
_LATER = {
    "Container": "enfila.infrastructure.ioc.container",
    "InMemoryJobRepository": "enfila.infrastructure.persistence.memory",
    "SqlAlchemyJobRepository": "enfila.infrastructure.persistence.sqlalchemy",
    "Settings": "enfila.settings",
    "WorkerProcesses": "enfila.entrypoints.processes",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - rarely needed

        return version("enfila")
    if name not in _LATER:
        raise AttributeError(f"module 'enfila' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - rarely needed

    found: object = getattr(import_module(_LATER[name]), name)
    return found
