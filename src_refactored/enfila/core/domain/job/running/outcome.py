"""The outcomes of a run, and the values with which a processor can choose one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from enfila.core.domain.checking import any_text
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.json_document import NULL, JsonDocument


@dataclass(frozen=True, slots=True)
class Completed:
    """The outcome of a run that returned a result."""

    result: JsonDocument = NULL


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of a run that raised, timed out, or returned a value that cannot be stored.

    Attributes:
        is_recoverable: whether another attempt makes sense.
        custom_delay: the wait that a custom backoff of the worker computed; None without one.
    """

    error: JobError
    is_recoverable: bool = True
    custom_delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The outcome of a run that is to be repeated later, without counting as an attempt."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The outcome of a run that was cancelled by its processor or by a request."""

    reason: str


@dataclass(frozen=True, slots=True)
class Released:
    """The worker released the job unfinished; the run does not count as an attempt.

    Attributes:
        has_run: false if the job was claimed but not started; then no run is recorded.
    """

    has_run: bool = True


Outcome = Completed | Failed | Snoozed | Cancelled | Released


class Snooze(Exception):
    """Returned or raised by a processor: run again after `delay`; this run is no attempt."""

    def __init__(self, delay: Duration) -> None:
        self.delay = duration("Snooze.delay", delay)
        super().__init__(f"snooze for {self.delay.total_seconds():g} s")


class Cancel(Exception):
    """Returned or raised by a processor: the job ends as cancelled."""

    def __init__(self, reason: str = "cancelled by its processor") -> None:
        self.reason = any_text("Cancel.reason", reason)
        super().__init__(self.reason)


class Retry(Exception):
    """Returned or raised by a processor: the attempt failed; try again after `delay`."""

    def __init__(
        self, reason: str = "its processor asked for a retry", *, delay: Duration = 0
    ) -> None:
        self.reason = any_text("Retry.reason", reason)
        self.delay = duration("Retry.delay", delay)
        super().__init__(self.reason)
