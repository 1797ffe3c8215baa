"""A declared job type in the hands of the code that uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast

from enfila.core.application.job_types.implementation import Implementation
from enfila.core.application.job_types.inline_run import run_inline
from enfila.core.application.job_types.scheduled_call import ScheduleArguments, ScheduledCall
from enfila.core.application.ports.transactional_jobs import CallersTransaction
from enfila.core.application.queue.abstract_queue import AbstractQueue
from enfila.core.application.queue.adding.option_arguments import OptionArguments, with_named
from enfila.core.application.queue.operations.job_handle import JobHandle
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions
from enfila.core.domain.job_type import JobType
from enfila.core.domain.json_document import Json
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.triggers.trigger import Trigger
from enfila.core.domain.showing import class_name, clipped, shown

Call = ParamSpec("Call")
"""What the target is called with."""
Answer = TypeVar("Answer")
"""What calling the target gives."""
P = ParamSpec("P")
"""What its jobs are added with: the same without the active job."""
R = TypeVar("R")
"""The result of its jobs."""


class DeclaredJob(Generic[Call, Answer, P, R]):
    """What the decorator of a job type returns: adds jobs, or is called like the function itself.

    Made by `JobTypeRegistry.job`. No word of its own stands between the parameters of the target,
    so those may have any name.

    Args:
        target: the function, class or object that was decorated.
        find_queue: finds the queue of the type.
        define: `Schedules.define`, of the app.
        options: for the jobs that are added, before the type's own.
        session: the caller's transaction that jobs are added in.
    """

    def __init__(
        self,
        target: Callable[Call, Answer],
        implementation: Implementation,
        find_queue: Callable[[str], AbstractQueue[Any, Any]],
        define: Callable[..., ScheduleDefinition],
        *,
        options: JobOptions = DEFAULT_OPTIONS,
        session: CallersTransaction | None = None,
    ) -> None:
        self._target = target
        self._implementation = implementation
        self._find_queue = find_queue
        self._define = define
        self._options = options
        self._session = session
        self.__name__: str = getattr(target, "__name__", class_name(type(target)))
        self.__qualname__: str = getattr(target, "__qualname__", self.__name__)
        self.__module__: str = getattr(target, "__module__", type(target).__module__)
        self.__doc__ = target.__doc__
        self.__wrapped__ = target

    def __repr__(self) -> str:
        return clipped(f"<job type {shown(self.name)}, {self.__module__}.{self.__qualname__}>")

    @property
    def name(self) -> str:
        """What its jobs are named."""
        return self._implementation.definition.name

    @property
    def definition(self) -> JobType:
        """The definition."""
        return self._implementation.definition

    def __call__(self, /, *args: Call.args, **kwargs: Call.kwargs) -> Answer:
        """Calls the target as it is, without a job: no validation, no queue."""
        return self._target(*args, **kwargs)

    def with_options(
        self,
        options: JobOptions | None = None,
        /,
        *,
        session: CallersTransaction | None = None,
        **given: Unpack[OptionArguments],
    ) -> DeclaredJob[Call, Answer, P, R]:
        """The same job type, for jobs with these options: `send.with_options(delay=60)`.

        Args:
            options: a `JobOptions`; what is `given` by name comes before it.
            session: a SQLAlchemy `Session`, `AsyncSession`, `Connection` or `AsyncConnection`: the
                jobs are added inside its transaction and come and go with it.
            given: what `JobOptions` takes.

        Raises:
            InvalidRequest: a wrong option.
        """
        if options is not None and not isinstance(options, JobOptions):
            raise InvalidRequest("options", options, "give JobOptions(…), or options by name")
        named = with_named(options, given) or DEFAULT_OPTIONS
        return DeclaredJob(
            self._target,
            self._implementation,
            self._find_queue,
            self._define,
            options=named.over(self._options),
            session=self._session if session is None else session,
        )

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Adds a job that will call the target with these arguments; returns after the commit.

        With a `session` it returns before, and the job is there once that has committed.

        Raises:
            InvalidRequest: arguments that do not fit, or no app has this job type yet.
        """
        arguments = self._implementation.signature.arguments(args, kwargs)
        return await self._queue().add(self.name, arguments, self._options, session=self._session)

    def enqueue_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """As `enqueue`, for code without an event loop; not to be called from one."""
        arguments = self._implementation.signature.arguments(args, kwargs)
        return self._queue().add_sync(self.name, arguments, self._options, session=self._session)

    def schedule(
        self, slug: str, trigger: Trigger | str, /, **given: Unpack[ScheduleArguments]
    ) -> ScheduledCall[P]:
        """A schedule of this job type: `send.schedule("daily", "30 7 * * *")(to="…")`.

        What comes of the second call is a definition, for `app.schedules.create` or `sync`.

        Args:
            slug: its unique name.
            trigger: when it ticks; a text is a cron expression.
            given: time zone, misfire, overlap and the rest, as `Schedules.define` takes them.

        Raises:
            InvalidRequest: a wrong value, or no app has this job type yet.
        """

        def define(payload: Json) -> ScheduleDefinition:
            return self._define(slug, self.name, trigger, payload, options=self._options, **given)

        return ScheduledCall(self._implementation.signature, define)

    async def call_now(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the target here and now, for tests: no queue, no database, no retries.

        Arguments and result make the same way through JSON as those of a job.

        Raises:
            InvalidRequest: the arguments do not fit.
            ResultRefused: the result does not fit.
            Snooze, Cancel, Retry: what the target returned or raised.
        """
        arguments = self._implementation.signature.arguments(args, kwargs)
        return cast("R", await run_inline(self._implementation, arguments))

    def _queue(self) -> AbstractQueue[Any, R]:
        return self._find_queue(self.definition.queue)
