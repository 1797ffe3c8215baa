"""The registry of job types: named functions with a signature."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Concatenate, Final, cast, overload

from enfila.core.application.job_types.declared_job import DeclaredJob, P, R
from enfila.core.application.job_types.implementation import (
    Implementation,
    description_of,
    implementation,
)
from enfila.core.application.job_types.job_decorator import JobDecorator, Running, RunningWithJob
from enfila.core.application.queue.abstract_queue import AbstractQueue
from enfila.core.application.queue.adding.job_catalog import JobCatalog, Terms
from enfila.core.application.queue.adding.payload_codec import PayloadCodec
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.application.worker.running.processor import Handler, HandlerSource
from enfila.core.domain.checking import instance
from enfila.core.domain.duration import Duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job_type import DEFAULT_QUEUE, JobType
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.showing import class_name, shown

QueueFinder = Callable[[str], AbstractQueue[Any, Any]]
"""Finds a queue by its name."""
Definer = Callable[..., ScheduleDefinition]
"""`Schedules.define`."""

_MOST_SHOWN: Final = 10


class JobTypeRegistry(HandlerSource, JobCatalog):
    """Job types by name. A worker takes it as its processor, an app as its `job_types`.

    Modules declare their job types at import, without a database:

        types = JobTypeRegistry()

        @types.job("email:welcome", queue="email", attempts=3)
        async def welcome(to: str) -> str: ...

    and the program hands them to its app: `Enfila(url, job_types=types)`.
    """

    def __init__(self) -> None:
        self._types: dict[str, Implementation] = {}
        self._queues: set[str] = set()
        self._find_queue: QueueFinder | None = None
        self._definer: Definer | None = None

    def __repr__(self) -> str:
        return f"<job types {shown(list(self._types))}>"

    # ── declaring ────────────────────────────────────────────────────────────────────────────

    @overload
    def job(
        self, name: type[RunningWithJob[P, Coroutine[Any, Any, R]]], /
    ) -> DeclaredJob[..., Any, P, R]: ...

    @overload
    def job(
        self, name: RunningWithJob[P, Coroutine[Any, Any, R]], /
    ) -> DeclaredJob[..., Any, P, R]: ...

    @overload
    def job(
        self, name: type[Running[P, Coroutine[Any, Any, R]]], /
    ) -> DeclaredJob[..., Any, P, R]: ...

    @overload
    def job(self, name: Running[P, Coroutine[Any, Any, R]], /) -> DeclaredJob[..., Any, P, R]: ...

    @overload
    def job(
        self, name: Callable[Concatenate[ActiveJob[Any], P], Coroutine[Any, Any, R]], /
    ) -> DeclaredJob[Concatenate[ActiveJob[Any], P], Coroutine[Any, Any, R], P, R]: ...

    @overload
    def job(
        self, name: Callable[Concatenate[SyncActiveJob[Any], P], R], /
    ) -> DeclaredJob[Concatenate[SyncActiveJob[Any], P], R, P, R]: ...

    @overload
    def job(
        self, name: Callable[P, Coroutine[Any, Any, R]], /
    ) -> DeclaredJob[P, Coroutine[Any, Any, R], P, R]: ...

    @overload
    def job(self, name: Callable[P, R], /) -> DeclaredJob[P, R, P, R]: ...

    @overload
    def job(
        self,
        name: str | None = None,
        *,
        queue: str = DEFAULT_QUEUE,
        attempts: int | None = None,
        backoff: Backoff | None = None,
        timeout: Duration | None = None,
        priority: int | None = None,
        options: JobOptions | None = None,
        max_concurrency: int | None = None,
        display_name: str = "",
        description: str | None = None,
        enabled: bool = True,
    ) -> JobDecorator: ...

    def job(
        self,
        name: Any = None,
        *,
        queue: str = DEFAULT_QUEUE,
        attempts: int | None = None,
        backoff: Backoff | None = None,
        timeout: Duration | None = None,
        priority: int | None = None,
        options: JobOptions | None = None,
        max_concurrency: int | None = None,
        display_name: str = "",
        description: str | None = None,
        enabled: bool = True,
    ) -> JobDecorator | DeclaredJob[..., Any, ..., Any]:
        """Declares what it decorates as a job type: `@types.job("name", …)`, or bare `@types.job`.

        That is an async function (runs on the event loop), a plain one (runs in a thread), a class
        with such a method `run` (made anew for each run, without arguments), or an object with one.
        Its parameters and its result have types that pydantic knows; a parameter annotated with
        `ActiveJob` (`SyncActiveJob` in a plain function) gets the active job, and so does a first
        one that is named `job` and has no annotation.

        Args:
            name: what its jobs are named; unique in an installation. None for the name of the
                function or class.
            queue: where its jobs are added.
            attempts: how often a job of it may be tried in all, as in `JobOptions`.
            backoff: the wait between attempts.
            timeout: an attempt that runs longer fails.
            priority: lower numbers run first.
            options: further defaults; the ones above come first.
            max_concurrency: at most so many of its jobs are held by one worker at the same time.
            display_name: what people read; the name when left out.
            description: what people read besides; the first paragraph of the docstring when None.
            enabled: false keeps its jobs in line until somebody enables it. It counts only when the
                type is stored for the first time.

        Raises:
            InvalidRequest: a wrong value, a name that was declared before, or a target that cannot
                be a job type.
        """
        if options is not None:
            instance("options", options, JobOptions, "JobOptions(…) or None")
        defaults = JobOptions(
            attempts=attempts, backoff=backoff, timeout=timeout, priority=priority
        ).over(options or DEFAULT_OPTIONS)

        def declare(target: Any) -> DeclaredJob[..., Any, ..., Any]:  # noqa: ANN401 - as `JobDecorator` says
            definition = JobType(
                name=_name_of(target) if name is None else name,
                queue=queue,
                options=defaults,
                max_concurrency=max_concurrency,
                display_name=display_name,
                description=description_of(target) if description is None else description,
                enabled=enabled,
            )
            return self._declared(target, implementation(definition, target))

        if _is_target(name):
            target, name = name, None
            return declare(target)
        return cast("JobDecorator", declare)

    def _declared(
        self, target: Callable[..., Any], it: Implementation
    ) -> DeclaredJob[..., Any, ..., Any]:
        name = it.definition.name
        if name in self._types:
            raise InvalidRequest("name", name, "a job type of this name was declared before")
        self._types[name] = it
        self._queues.add(it.definition.queue)
        return DeclaredJob(target, it, self._queue_of, self._define)

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> Iterator[JobType]:
        """The definitions, in the order in which they were declared."""
        return iter([each.definition for each in self._types.values()])

    def __len__(self) -> int:
        return len(self._types)

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __getitem__(self, name: str) -> JobType:
        """The definition with this name. `KeyError` if there is none."""
        return self._types[name].definition

    @property
    def queues(self) -> list[str]:
        """The names of the queues that have types, sorted."""
        return sorted(self._queues)

    # ── for workers and queues ───────────────────────────────────────────────────────────────

    def handlers(self) -> Mapping[str, Handler]:
        """See `HandlerSource.handlers`."""
        return {name: each.handler() for name, each in self._types.items()}

    def terms(self, queue: str, name: str) -> Terms | None:
        """See `JobCatalog.terms`."""
        if queue not in self._queues:
            return None
        if name not in self._types:
            raise InvalidRequest("name", name, self._allowed(name))
        self.check_queue(name, queue)
        found = self._types[name]
        return Terms(found.signature.codec, found.definition.options)

    def check_queue(self, name: str, queue: str) -> None:
        """Raises `InvalidRequest` where no worker would take jobs of this type from this queue."""
        definition = self._types[name].definition
        if definition.max_concurrency is not None and queue != definition.queue:
            own = shown(definition.queue)
            allowed = f"{shown(name)} has a max_concurrency and runs in its own queue {own}"
            raise InvalidRequest("queue", queue, allowed)

    def result_codec(self, queue: str, name: str) -> PayloadCodec | None:
        """See `JobCatalog.result_codec`."""
        if queue not in self._queues or name not in self._types:
            return None
        return self._types[name].signature.codec

    def _allowed(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._types, n=1)
        hint = f"did you mean {shown(near[0])}? " if near else ""
        some = ", ".join(sorted(self._types)[:_MOST_SHOWN])
        more = len(self._types) - _MOST_SHOWN
        return f"{hint}give a job type of this app: {some}" + (
            f" and {more} more" if more > 0 else ""
        )

    # ── the app ──────────────────────────────────────────────────────────────────────────────

    def attach(self, find_queue: QueueFinder, define: Definer | None = None) -> None:
        """Has `enqueue` add to these queues and `schedule` use this, until `detach`.

        Raises:
            InvalidRequest: the queues of another app are attached.
        """
        if self._find_queue is not None and self._find_queue != find_queue:
            raise InvalidRequest(
                "job_types",
                self,
                "close that app first (`close_sync` in plain code), or make a registry for each",
                problem="a registry of another app cannot be taken",
            )
        self._find_queue, self._definer = find_queue, define

    def detach(self, find_queue: QueueFinder) -> None:
        """Ends what `attach` began; nothing if that was somebody else's."""
        if self._find_queue == find_queue:
            self._find_queue = self._definer = None

    def _queue_of(self, name: str) -> AbstractQueue[Any, Any]:
        if self._find_queue is None:
            raise _without_an_app()
        return self._find_queue(name)

    def _define(self, *words: object, **settings: object) -> ScheduleDefinition:
        if self._definer is None:
            raise _without_an_app()
        return self._definer(*words, **settings)


def _is_target(name: object) -> bool:
    """Whether the decorator stands without parentheses."""
    return not isinstance(name, str) and (callable(name) or callable(getattr(name, "run", None)))


def _name_of(target: object) -> str:
    found = class_name(target) if isinstance(target, type) else getattr(target, "__name__", None)
    if not isinstance(found, str) or not found.isidentifier():
        raise InvalidRequest(
            "name", target, "write types.job('name')", problem="this target has none of its own"
        )
    return found


def _without_an_app() -> InvalidRequest:
    return InvalidRequest(
        "job_types",
        None,
        "make Enfila(…, job_types=types) first",
        problem="a registry without an app has no queues",
    )
