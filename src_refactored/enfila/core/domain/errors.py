"""All exception classes of enfila.

EnfilaError
├── InvalidRequest            invalid input, refused before any write            (a ValueError)
│   ├── InvalidSettings       all invalid environment variables, together
│   ├── UnknownTimeZone       this machine's time zone database has no such name
│   └── DriverMissing         the database driver of a URL is not installed
├── NotFound                                                                   (a LookupError)
│   ├── JobNotFound
│   ├── JobTypeNotFound
│   └── ScheduleNotFound
├── Conflict                  valid input, but the current state forbids it
│   ├── MoveNotAllowed        the job's state does not allow this transition
│   ├── StaleTransition       another process changed the job first
│   ├── KeyTaken              another job holds the job's deduplication key
│   ├── LockLost              the lock token is outdated
│   ├── QueueNotEmpty         the queue still has active jobs
│   ├── ScheduleExists        another schedule has the slug
│   ├── ScheduleChanged       the schedule was edited since it was read
│   ├── AlreadyClosed         the queue or worker was closed
│   ├── AlreadyRunning        the worker was started before
│   └── JobNotCompleted       the awaited job failed, or was cancelled or removed
├── HandlerError              an attempt failed for a reason that enfila detected
│   ├── Unrecoverable         do not try again
│   ├── AttemptTimedOut       ran longer than its timeout
│   ├── ResultRefused         the result is not JSON, or too large
│   └── ProcessorMissing      no processor for this job's name
├── SchemaMismatch            the database's tables are older or newer than this enfila
└── RepositoryUnavailable     the database cannot be reached or refuses to write

Each class has its details as attributes and builds its own message.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import timedelta

from enfila.core.domain.showing import LONGEST_SHOWN, plain, shown


class EnfilaError(Exception):
    """Base class of all errors that enfila raises."""


# ── invalid input ────────────────────────────────────────────────────────────────────────────


class InvalidRequest(EnfilaError, ValueError):
    """Invalid input, refused before any write.

    Attributes:
        field: the name of the wrong field.
        value: what was given.
        allowed: a description of what is accepted.

    The message says "<value> is not allowed"; where no value is wrong, `problem` says what is.
    """

    def __init__(
        self, field: str, value: object, allowed: str, *, problem: str | None = None
    ) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        wrong = f"{shown(value)} is not allowed" if problem is None else plain(problem)
        super().__init__(f"{plain(field, LONGEST_SHOWN)}: {wrong}; {plain(allowed)}")


class InvalidSettings(InvalidRequest):
    """All invalid settings, reported in one error."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} of them are" if len(problems) > 1 else "one of them is"
        super().__init__(
            "settings",
            self.problems,
            "; ".join(map(plain, problems)),
            problem=f"{count} not allowed",
        )


class UnknownTimeZone(InvalidRequest):
    """A time zone that is not in this machine's time zone database: misspelt, or removed since."""

    def __init__(self, name: object, nearest: str | None) -> None:
        self.name = name
        self.nearest = nearest
        hint = "" if nearest is None else f"; did you mean {shown(nearest)}?"
        super().__init__(
            "time_zone",
            name,
            "give a name from this machine's time zone database, such as 'Europe/Berlin'" + hint,
        )


class DriverMissing(InvalidRequest):
    """The database driver that a URL needs is not installed."""

    def __init__(self, scheme: str, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            "url",
            scheme,
            f"pip install 'enfila[{plain(extra)}]', or '.[{plain(extra)}]' in a checkout",
            problem=f"{shown(scheme)} needs the driver {shown(package)}, which is not installed",
        )


# ── not found ────────────────────────────────────────────────────────────────────────────────


class NotFound(EnfilaError, LookupError):
    """Something that was asked for does not exist."""


class JobNotFound(NotFound):
    """No job has this id; it may have been removed."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {plain(job_id)} does not exist (never added, or removed since)")


class JobTypeNotFound(NotFound):
    """No job type of this name was declared; it may have been removed."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; perhaps {shown(near[0])} is meant" if near else ""
        super().__init__(f"no job type is named {shown(name)}{hint}")


class ScheduleNotFound(NotFound):
    """No schedule has this slug; it may have been deleted."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        super().__init__(f"schedule {shown(slug)} does not exist (never created, or deleted since)")


# ── conflicts with the current state ─────────────────────────────────────────────────────────


class Conflict(EnfilaError):
    """The request is valid, but the current state does not allow it."""


class MoveNotAllowed(Conflict):
    """The state of the job does not allow this transition."""

    def __init__(self, job_id: str, state: str, wanted: str, allowed_from: Sequence[str]) -> None:
        self.job_id = job_id
        self.state = state
        self.wanted = wanted
        self.allowed_from = tuple(allowed_from)
        super().__init__(
            f"job {plain(job_id)} is {plain(state)} and cannot {plain(wanted)}; "
            f"allowed from: {plain(', '.join(map(plain, self.allowed_from)))}"
        )


class StaleTransition(Conflict):
    """The job changed between the read and the compare-and-set write; nothing was written."""

    def __init__(self, job_id: str, wanted: str) -> None:
        self.job_id = job_id
        self.wanted = wanted
        super().__init__(
            f"job {plain(job_id)} moved meanwhile, so it was not {plain(wanted)}; nothing changed"
        )


class KeyTaken(Conflict):
    """A job was to be retried whose deduplication key another job holds; nothing was changed."""

    def __init__(self, job_id: str, key: str) -> None:
        self.job_id = job_id
        self.key = key
        super().__init__(
            f"job {plain(job_id)} cannot be retried: another job holds its deduplication key "
            f"{shown(key)} and "
            "has not ended; wait for its end, or cancel it"
        )


class LockLost(Conflict):
    """A write with an outdated lock token was refused; nothing was changed."""

    def __init__(self, job_id: str, token: int) -> None:
        self.job_id = job_id
        self.token = token
        super().__init__(
            f"job {plain(job_id)} is no longer held under lock token {shown(token)}; "
            "nothing was written"
        )


class QueueNotEmpty(Conflict):
    """`obliterate` without `force` was called on a queue with active jobs."""

    def __init__(self, queue: str, active: int) -> None:
        self.queue = queue
        self.active = active
        super().__init__(
            f"queue {shown(queue)} has {shown(active)} active job(s); "
            "wait for them or pass force=True"
        )


class AlreadyClosed(Conflict):
    """A closed queue, worker or app was used."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{plain(what)} is closed; make a new one")


class AlreadyRunning(Conflict):
    """A worker was started a second time."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{plain(what)} runs already; make another one to run beside it")


class JobNotCompleted(Conflict):
    """The job whose result was awaited failed, was cancelled, or was removed."""

    def __init__(self, job_id: str, state: str, reason: str) -> None:
        self.job_id = job_id
        self.state = state
        self.reason = reason
        super().__init__(f"job {plain(job_id)} ended as {plain(state)}: {plain(reason)}")


class ScheduleExists(Conflict):
    """A schedule was created with a slug that another schedule has."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        super().__init__(
            f"schedule {shown(slug)} exists already; update it, or choose another slug"
        )


class ScheduleChanged(Conflict):
    """An edit was based on an outdated version of the schedule; nothing was changed."""

    def __init__(self, slug: str, expected: int, found: int) -> None:
        self.slug = slug
        self.expected = expected
        self.found = found
        super().__init__(
            f"schedule {shown(slug)} has version {shown(found)} by now and not {shown(expected)}; "
            "look at it again before you change it"
        )


# ── an attempt failed ────────────────────────────────────────────────────────────────────────


class HandlerError(EnfilaError):
    """Base class of the reasons of enfila's own why an attempt fails."""


class Unrecoverable(HandlerError):
    """Raised by a processor: the job fails at once, even if attempts are left."""


class AttemptTimedOut(HandlerError):
    """The attempt took longer than its timeout."""

    def __init__(self, timeout: timedelta) -> None:
        self.timeout = timeout
        limit = timeout.total_seconds()
        super().__init__(f"the attempt ran longer than its timeout of {limit:g} s")


class ResultRefused(HandlerError):
    """The processor returned a value that cannot be stored."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the result cannot be stored: {plain(reason)}")


class ProcessorMissing(HandlerError):
    """A worker has no processor for the name of a job."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(
            f"no processor for jobs named {shown(name)}; "
            f"this worker knows: {plain(', '.join(map(plain, known))) or 'none'}"
        )


# ── the database ─────────────────────────────────────────────────────────────────────────────


class SchemaMismatch(EnfilaError):
    """The tables in the database are older or newer than this version of enfila."""

    def __init__(self, found: str | None, expected: str, advice: str) -> None:
        self.found = found
        self.expected = expected
        self.advice = advice
        standing = "none" if found is None else plain(found)
        super().__init__(
            f"the database has schema {standing}, "
            f"this enfila needs {plain(expected)}; {plain(advice)}"
        )


class RepositoryUnavailable(EnfilaError):
    """The database cannot be reached, or refused the request.

    Attributes:
        target: the address of the database, without password.
        reason: the message of the driver.
        uncertain: true when the write may have been committed (the connection broke
            before the answer to the commit arrived); false when nothing was written.
    """

    def __init__(self, target: str, reason: str, *, uncertain: bool = False) -> None:
        self.target = target
        self.reason = reason
        self.uncertain = uncertain
        ending = "; it is unknown whether the write took place" if uncertain else ""
        super().__init__(f"database {plain(target)} is not available: {plain(reason)}{ending}")
