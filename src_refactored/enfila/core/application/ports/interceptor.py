"""The port for what goes around adding a job and around running it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.json_document import Json

Proceed = Callable[[], Awaitable[object]]
"""Runs what lies within an interceptor: the next one, or the processor."""


class RunningJob(Protocol):
    """A job that runs, as an interceptor sees it: the very object that the processor gets.

    So it is an `ActiveJob` around an async processor, and a `SyncActiveJob`, whose methods must not
    be called on the event loop, around a plain function.
    """

    @property
    def snapshot(self) -> Job:
        """The whole job as it was claimed."""
        ...

    @property
    def id(self) -> JobId:
        """Its id."""
        ...

    @property
    def name(self) -> str:
        """What kind of work it is."""
        ...

    @property
    def queue(self) -> str:
        """The name of its queue."""
        ...

    @property
    def payload(self) -> Any:  # noqa: ANN401 - as the processor gets it
        """Its payload, in the type that the processor gets."""
        ...

    @property
    def attempt(self) -> int:
        """The number of this attempt, 1 for the first."""
        ...

    @property
    def max_attempts(self) -> int:
        """How often it may be tried in all."""
        ...

    @property
    def metadata(self) -> Mapping[str, Json]:
        """What was noted on it when it was added."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """The words it can be found by."""
        ...

    @property
    def tenant(self) -> str | None:
        """Whom it belongs to; None if nobody said so."""
        ...

    @property
    def is_cancelled(self) -> bool:
        """Whether this run is being cancelled."""
        ...


class Interceptor:
    """Something that goes around every add and every run: telemetry, log context, tenants.

    A subclass overrides what it needs; what it leaves out costs nothing. Of several interceptors
    the one that was registered first is the outermost. One object is used by many callers at the
    same time, so what belongs to one add or run is in local variables or in context variables.

    It is registered with `Enfila(…, interceptors=[…])` or `app.intercept(…)`, and applies to the
    queues, workers and schedules of that app. A job type that is called directly, as in a test,
    passes none.
    """

    def adding(self, jobs: Sequence[Job]) -> AbstractContextManager[Sequence[Job]]:
        """A context around one write of new jobs; gives the jobs that are written.

        Most easily a generator with `@contextmanager` that yields the jobs. It is entered when the
        jobs are made and valid but not stored, and left after the commit, or with the error of the
        write. Inside of a caller's transaction (`session=`) it is left after the write and before
        the commit: nobody knows yet whether the jobs will exist.

        Whatever the way in, `await queue.add`, `add_bulk` (once for all its jobs) or `add_sync`, it
        is entered and left where the caller is: in its thread, with its context variables. So it
        must not block when there is an event loop. Jobs of schedules pass it in the scheduler, or
        where `run_now` and `backfill` are called; those of several schedules may be written
        together.

        `job.annotated(metadata=…, tags=…, tenant=…)` makes the jobs to give instead. All else must
        stay as it is, and so must the number and order of the jobs: otherwise the add is refused
        with an `InvalidRequest`. What is raised before the jobs are given refuses the add, and
        nothing is written; a schedule then shows the error and is tried again. What is raised
        afterwards reaches the caller though the jobs are stored. The error of a write cannot be
        kept from the caller.

        The jobs are not always those that exist afterwards: a deduplication key may be held by
        another job, and another scheduler may have made the same tick first. A caller that is
        cancelled leaves the context with `CancelledError`, and the write goes on.

        Args:
            jobs: at least one; not to be changed in place.
        """
        return nullcontext(jobs)

    async def running(self, job: RunningJob, proceed: Proceed) -> object:  # noqa: ARG002 - for overrides
        """Goes around one run of a processor; returns the result of the run.

        It is called on the event loop, for plain functions too. Context variables that it sets are
        seen by the processor, in its thread too, and by no other job. The timeout of the job counts
        from before it.

        `await proceed()` gives what the processor returned, or raises what the processor raised. A
        processor that raised `Snooze`, `Cancel` or `Retry` counts as having returned it, so that an
        `Exception` is always a failed attempt. What this method returns or raises takes the place
        of that, with the same meanings. It may leave out `proceed`, or call it again after it
        ended, within the same attempt.

        `CancelledError` has to leave it, as it leaves a processor. If it is kept, the run still
        ends as what stopped it says (timeout, cancellation, shutdown), no processor is begun any
        more, and after the `cancellation_grace` of the worker the slot is freed.

        A name without a processor or a payload that does not fit fails the attempt before it, and a
        result that cannot be stored after it.
        """
        return await proceed()
