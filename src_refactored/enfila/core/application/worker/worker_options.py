"""How a worker works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypedDict

from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.domain.checking import flag, function, instance, known_names, text, whole
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.job import Job

CustomBackoff = Callable[[Job, BaseException], Duration]
"""Given the job and the error of the failed attempt: the wait before the next one."""

MOST_CONCURRENCY = 100_000


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Value object: the settings of a worker. Lengths of time are seconds or a `timedelta`.

    Attributes:
        concurrency: jobs that run at the same time; can be changed while it runs.
        lock_duration: a worker that is silent for so long has lost its jobs.
        lock_renewal: between two renewals of all locks; half of the duration when None. A request
            to cancel a running job is seen then, or at the heartbeat, whichever comes sooner.
        poll_interval: an idle worker looks at least so often, whatever the wake-ups say.
        heartbeat: between two notes that the worker is alive.
        grace: how long `close` waits for running jobs before it cancels them.
        cancellation_grace: how long a cancelled processor may clean up; then its outcome is written
            and it is left to itself.
        timeout: for jobs that have none of their own; None for no limit.
        prefetch: jobs held beyond the free slots: None adapts to the measured rate (at most what is
            done in 100 ms), 0 holds none.
        backoffs: rules for `Backoff.custom(name)`.
        maintenance: what `run` starts besides; None leaves it to other processes.
        handle_signals: whether `run` shuts down at SIGTERM and Ctrl-C (in the main thread).
    """

    concurrency: int = 1
    lock_duration: Duration = timedelta(seconds=30)
    lock_renewal: Duration | None = None
    poll_interval: Duration = timedelta(seconds=1)
    heartbeat: Duration = timedelta(seconds=10)
    grace: Duration = timedelta(seconds=30)
    cancellation_grace: Duration = timedelta(seconds=5)
    timeout: Duration | None = None
    prefetch: int | None = None
    backoffs: Mapping[str, CustomBackoff] = field(default_factory=dict)
    maintenance: MaintenanceOptions | None = field(default_factory=MaintenanceOptions)
    handle_signals: bool = True

    def __post_init__(self) -> None:
        check_concurrency(self.concurrency)
        for name in ("lock_duration", "poll_interval", "heartbeat"):
            self._set(name, duration(name, getattr(self, name), allow_zero=False))
        for name in ("grace", "cancellation_grace"):
            self._set(name, duration(name, getattr(self, name)))
        for name in ("lock_renewal", "timeout"):
            if getattr(self, name) is not None:
                self._set(name, duration(name, getattr(self, name), allow_zero=False))
        if self.prefetch is not None:
            whole("prefetch", self.prefetch, 0, MOST_CONCURRENCY)
        _check_backoffs(self.backoffs)
        if self.maintenance is not None:
            instance("maintenance", self.maintenance, MaintenanceOptions, "MaintenanceOptions(…)")
        flag("handle_signals", self.handle_signals)
        if self.renewal_interval >= self.lock_length:
            raise InvalidRequest(
                "lock_renewal", self.lock_renewal, "give less than the lock_duration"
            )

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def lock_length(self) -> timedelta:
        """`lock_duration` as a `timedelta`."""
        return duration("lock_duration", self.lock_duration)

    @property
    def renewal_interval(self) -> timedelta:
        """Between two renewals; never longer than a heartbeat, so that requests are seen."""
        wished = self.lock_length / 2 if self.lock_renewal is None else self.lock_renewal
        return min(duration("lock_renewal", wished), duration("heartbeat", self.heartbeat))


def check_concurrency(value: int) -> int:
    """Refuses a number of slots that is not a whole number of 1 or more."""
    return whole("concurrency", value, 1, MOST_CONCURRENCY)


def _check_backoffs(value: Mapping[str, CustomBackoff]) -> None:
    allowed = "a mapping from names to functions of the job and the error"
    instance("backoffs", value, Mapping, allowed)
    for name, rule in value.items():
        text("backoffs", name, shortest=1)
        function("backoffs", rule, allowed)


class WorkerOptionArguments(TypedDict, total=False):
    """The options of a worker as keyword arguments, typed as those of `WorkerOptions`."""

    concurrency: int
    lock_duration: Duration
    lock_renewal: Duration | None
    poll_interval: Duration
    heartbeat: Duration
    grace: Duration
    cancellation_grace: Duration
    timeout: Duration | None
    prefetch: int | None
    backoffs: Mapping[str, CustomBackoff]
    maintenance: MaintenanceOptions | None
    handle_signals: bool


def with_named(options: WorkerOptions | None, given: WorkerOptionArguments) -> WorkerOptions | None:
    """Options with those that were given by name, which come first.

    Raises:
        InvalidRequest: a wrong value, or a name that is no option.
    """
    if not given:
        return options
    known_names(given, WorkerOptionArguments.__annotations__)
    if options is not None:
        instance("options", options, WorkerOptions, "WorkerOptions(…) or None")
    return replace(options or WorkerOptions(), **given)
