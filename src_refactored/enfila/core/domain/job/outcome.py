"""How a run ended, whichever way the processor said so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.json_document import NULL, JsonDocument


@dataclass(frozen=True, slots=True)
class Completed:
    """The processor returned a result."""

    result: JsonDocument = NULL


@dataclass(frozen=True, slots=True)
class Failed:
    """The processor raised, timed out, or returned what cannot be stored.

    Attributes:
        is_recoverable: whether another attempt makes sense.
        custom_delay: the wait that a custom backoff of the worker computed; None without one.
    """

    error: JobError
    is_recoverable: bool = True
    custom_delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The processor asked to be called again later, at no cost of an attempt."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The processor, or a request from outside, cancelled the job."""

    reason: str


@dataclass(frozen=True, slots=True)
class Released:
    """The worker gave the job back unfinished, at no cost of an attempt.

    Attributes:
        has_run: false when it was only held for a free slot; that leaves no record of a run.
    """

    has_run: bool = True


Outcome = Completed | Failed | Snoozed | Cancelled | Released


class Snooze(Exception):
    """Returned or raised by a processor: call me again after `delay`, this was no attempt."""

    def __init__(self, delay: Duration) -> None:
        self.delay = duration("Snooze.delay", delay)
        super().__init__(f"snooze for {self.delay.total_seconds():g} s")


class Cancel(Exception):
    """Returned or raised by a processor: this job is to end as cancelled."""

    def __init__(self, reason: str = "cancelled by its processor") -> None:
        self.reason = reason
        super().__init__(reason)


class Retry(Exception):
    """Returned or raised by a processor: this attempt failed; try again after `delay`."""

    def __init__(
        self, reason: str = "its processor asked for a retry", *, delay: Duration = 0
    ) -> None:
        self.reason = reason
        self.delay = duration("Retry.delay", delay)
        super().__init__(reason)
