"""The interceptors that are registered, and how they lie around each other."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from enfila.core.application.ports.interceptor import Interceptor, Proceed, RunningJob
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.adding.annotation import fixed_part
from enfila.core.domain.job.job import Job


class Interceptors:
    """The interceptors of one app, the outermost first.

    Its queues, workers and schedulers share this object and look into it each time, so an
    interceptor may be registered at any time. Whoever finds nothing in `around_adds` or
    `around_runs` goes on without it: that is all that interceptors cost where there are none.

    Attributes:
        around_adds: those that override `adding`.
        around_runs: those that override `running`.
    """

    def __init__(self, given: Iterable[Interceptor] = ()) -> None:
        self.around_adds: tuple[Interceptor, ...] = ()
        self.around_runs: tuple[Interceptor, ...] = ()
        self._registered: list[Interceptor] = []
        self.register_all(given)

    @classmethod
    def of(cls, given: InterceptorsLike) -> Interceptors:
        """The given ones; shared, if they are an `Interceptors` already."""
        return given if isinstance(given, Interceptors) else cls(given)

    def register(self, interceptor: Interceptor) -> None:
        """Puts an interceptor within those that are there. It applies from the next add and run on.

        Raises:
            InvalidRequest: it is no `Interceptor`, or is registered already.
        """
        if not isinstance(interceptor, Interceptor):
            allowed = "give an object of a class that is derived from enfila.Interceptor"
            raise InvalidRequest("interceptors", interceptor, allowed)
        if any(each is interceptor for each in self._registered):
            raise InvalidRequest("interceptors", interceptor, "register each interceptor once")
        self._registered.append(interceptor)
        if _overrides(interceptor, "adding"):
            self.around_adds = (*self.around_adds, interceptor)
        if _overrides(interceptor, "running"):
            self.around_runs = (*self.around_runs, interceptor)

    def register_all(self, given: Iterable[Interceptor]) -> None:
        """Registers several, in their order. `InvalidRequest` as for one."""
        if not isinstance(given, Iterable):
            raise InvalidRequest("interceptors", given, "give a list of interceptors")
        for each in given:
            self.register(each)

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        """A context around a write; gives the jobs that are to be written. See `Interceptor`."""
        fixed = [fixed_part(job) for job in jobs]
        failure: BaseException | None = None
        try:
            with ExitStack() as stack:
                try:
                    for each in self.around_adds:
                        jobs = stack.enter_context(_context(each, jobs))
                        _check(each, jobs, fixed)
                    yield jobs
                except BaseException as error:
                    failure = error
                    raise
            if failure is not None:
                raise failure  # an interceptor swallowed it; the caller must not miss it
        finally:
            # Else the error and this frame would hold each other until a garbage collection.
            del failure

    def running(self, job: RunningJob, handler: Proceed) -> Awaitable[object]:
        """One run of a handler, with everything around it. See `Interceptor`."""
        proceed = handler
        for each in reversed(self.around_runs):
            proceed = partial(each.running, job, proceed)
        return proceed()


InterceptorsLike = Interceptors | Iterable[Interceptor]
"""What queues and workers accept: interceptors, or those that they share with others."""


def _overrides(interceptor: Interceptor, method: str) -> bool:
    own = getattr(interceptor, method)
    return getattr(own, "__func__", own) is not getattr(Interceptor, method)


def _context(
    interceptor: Interceptor, jobs: Sequence[Job]
) -> AbstractContextManager[Sequence[Job]]:
    context = interceptor.adding(jobs)
    if not isinstance(context, AbstractContextManager):
        allowed = "have it return a context manager, as `@contextmanager` makes one"
        raise InvalidRequest(f"{_name(interceptor)}.adding", context, allowed)
    return context


def _check(interceptor: Interceptor, jobs: object, fixed: list[tuple[object, ...]]) -> None:
    """Refuses what is more than an annotation."""
    if (
        not isinstance(jobs, Sequence)
        or not all(isinstance(job, Job) for job in jobs)
        or [fixed_part(job) for job in jobs] != fixed
    ):
        raise InvalidRequest(
            f"{_name(interceptor)}.adding",
            jobs,
            "have it give the jobs that it got, all of them, in their order; "
            "change nothing but metadata, tags and tenant, with `job.annotated(…)`",
        )


def _name(interceptor: Interceptor) -> str:
    return type(interceptor).__qualname__
