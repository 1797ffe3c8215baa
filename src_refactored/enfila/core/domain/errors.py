"""Every error that enfila raises on purpose.

EnfilaError
├── InvalidRequest            wrong input, refused before any write            (a ValueError)
│   ├── InvalidSettings       everything that is wrong in the environment, together
│   ├── UnknownTimeZone       this machine's time zone database has no such name
│   └── DriverMissing         the database driver of a URL is not installed
├── NotFound                                                                   (a LookupError)
│   ├── JobNotFound
│   ├── JobTypeNotFound
│   └── ScheduleNotFound
├── Conflict                  right input at the wrong moment
│   ├── MoveNotAllowed        this job cannot make that move from where it is
│   ├── StaleTransition       somebody else moved the job first
│   ├── LockLost              the lock's token is old
│   ├── QueueNotEmpty         active jobs forbid it
│   ├── ScheduleExists        another schedule has the slug
│   ├── ScheduleChanged       the schedule was edited since it was looked at
│   ├── AlreadyClosed         the queue or worker was closed
│   ├── AlreadyRunning        the worker was started before
│   └── JobNotCompleted       the job waited for ended another way
├── HandlerError              an attempt failed for a reason that enfila knows
│   ├── Unrecoverable         do not try again
│   ├── AttemptTimedOut       ran longer than its timeout
│   ├── ResultRefused         the result is not JSON, or too large
│   └── ProcessorMissing      no processor for this job's name
├── SchemaMismatch            the database's tables are older or newer than this enfila
└── RepositoryUnavailable     the database cannot be reached or refuses to write

Each class carries its facts as fields and builds its own message.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import timedelta


class EnfilaError(Exception):
    """The root of everything enfila raises on purpose."""


# ── wrong input ──────────────────────────────────────────────────────────────────────────────


class InvalidRequest(EnfilaError, ValueError):
    """Input that is refused before any write.

    Attributes:
        field: the name of the wrong field.
        value: what was given.
        allowed: what would have been accepted, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {_shown(value)} is not allowed; {allowed}")


class InvalidSettings(InvalidRequest):
    """All wrong settings of a start, reported together."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("settings", f"{len(problems)} wrong", "; ".join(problems))


class UnknownTimeZone(InvalidRequest):
    """A zone that this machine's database does not have: misspelt, or removed since."""

    def __init__(self, name: object, nearest: str | None) -> None:
        self.name = name
        self.nearest = nearest
        hint = "" if nearest is None else f"; did you mean {nearest!r}?"
        super().__init__(
            "time_zone",
            name,
            "give a name from this machine's time zone database, such as 'Europe/Berlin'" + hint,
        )


class DriverMissing(InvalidRequest):
    """A URL names a database whose driver is not installed."""

    def __init__(self, scheme: str, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            "url",
            scheme,
            f"its driver {package!r} is not installed: pip install 'enfila[{extra}]'",
        )


# ── not there ────────────────────────────────────────────────────────────────────────────────


class NotFound(EnfilaError, LookupError):
    """Something named in a request does not exist."""


class JobNotFound(NotFound):
    """No job has this id; it may have been removed."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id} does not exist (never added, or removed since)")


class JobTypeNotFound(NotFound):
    """No job type of this name was declared; it may have been removed."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; perhaps {near[0]!r} is meant" if near else ""
        super().__init__(f"no job type is named {name!r}{hint}")


class ScheduleNotFound(NotFound):
    """No schedule has this slug; it may have been deleted."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        super().__init__(f"schedule {slug!r} does not exist (never created, or deleted since)")


# ── right input at the wrong moment ──────────────────────────────────────────────────────────


class Conflict(EnfilaError):
    """The request was right, the state of things was not."""


class MoveNotAllowed(Conflict):
    """The table of moves has no such move from the job's state."""

    def __init__(self, job_id: str, state: str, wanted: str, allowed_from: Sequence[str]) -> None:
        self.job_id = job_id
        self.state = state
        self.wanted = wanted
        self.allowed_from = tuple(allowed_from)
        super().__init__(
            f"job {job_id} is {state} and cannot {wanted}; "
            f"allowed from: {', '.join(self.allowed_from)}"
        )


class StaleTransition(Conflict):
    """The job moved between being read and being written; nothing was changed."""

    def __init__(self, job_id: str, wanted: str) -> None:
        self.job_id = job_id
        self.wanted = wanted
        super().__init__(f"job {job_id} moved meanwhile, so it was not {wanted}; nothing changed")


class LockLost(Conflict):
    """A holder whose token is old tried to settle, extend, log or report; nothing was changed."""

    def __init__(self, job_id: str, token: int) -> None:
        self.job_id = job_id
        self.token = token
        super().__init__(
            f"job {job_id} is no longer held under lock token {token}; nothing was written"
        )


class QueueNotEmpty(Conflict):
    """A queue with active jobs is not obliterated unless forced."""

    def __init__(self, queue: str, active: int) -> None:
        self.queue = queue
        self.active = active
        super().__init__(
            f"queue {queue!r} has {active} active job(s); wait for them or pass force=True"
        )


class AlreadyClosed(Conflict):
    """A closed queue, worker or app was used again."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} is closed; make a new one")


class AlreadyRunning(Conflict):
    """A worker was started twice."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} runs already; make another one to run beside it")


class JobNotCompleted(Conflict):
    """The job whose result was awaited ended as failed or cancelled, or was removed."""

    def __init__(self, job_id: str, state: str, reason: str) -> None:
        self.job_id = job_id
        self.state = state
        self.reason = reason
        super().__init__(f"job {job_id} ended as {state}: {reason}")


class ScheduleExists(Conflict):
    """A schedule was created under a slug that another one has."""

    def __init__(self, slug: str) -> None:
        self.slug = slug
        super().__init__(f"schedule {slug!r} exists already; update it, or choose another slug")


class ScheduleChanged(Conflict):
    """An edit rested on an old version of its schedule; nothing was changed."""

    def __init__(self, slug: str, expected: int, found: int) -> None:
        self.slug = slug
        self.expected = expected
        self.found = found
        super().__init__(
            f"schedule {slug!r} has version {found} by now and not {expected}; "
            "look at it again before you change it"
        )


# ── an attempt failed ────────────────────────────────────────────────────────────────────────


class HandlerError(EnfilaError):
    """An attempt failed for a reason that enfila knows."""


class Unrecoverable(HandlerError):
    """Raised by a processor: this job fails now, whatever attempts are left."""


class AttemptTimedOut(HandlerError):
    """The attempt ran longer than the job's timeout."""

    def __init__(self, timeout: timedelta) -> None:
        self.timeout = timeout
        limit = timeout.total_seconds()
        super().__init__(f"the attempt ran longer than its timeout of {limit:g} s")


class ResultRefused(HandlerError):
    """The processor returned what cannot be stored."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the result cannot be stored: {reason}")


class ProcessorMissing(HandlerError):
    """A worker was given a job whose name none of its processors answers to."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(
            f"no processor for jobs named {name!r}; this worker knows: {', '.join(known) or 'none'}"
        )


# ── the database ─────────────────────────────────────────────────────────────────────────────


class SchemaMismatch(EnfilaError):
    """The tables in the database do not fit this version of enfila."""

    def __init__(self, found: str | None, expected: str, advice: str) -> None:
        self.found = found
        self.expected = expected
        self.advice = advice
        super().__init__(
            f"the database has schema {found or 'none'}, this enfila needs {expected}; {advice}"
        )


class RepositoryUnavailable(EnfilaError):
    """The database did not take the request.

    Attributes:
        target: where it was tried, without password.
        reason: what the driver said.
        uncertain: true when the write may have been committed all the same (the connection
            died while the commit's answer was awaited); false when nothing was written.
    """

    def __init__(self, target: str, reason: str, *, uncertain: bool = False) -> None:
        self.target = target
        self.reason = reason
        self.uncertain = uncertain
        ending = "; it is unknown whether the write took place" if uncertain else ""
        super().__init__(f"database {target} is not available: {reason}{ending}")


_LONGEST_SHOWN = 120


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
