"""How a scheduler works."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypedDict

from enfila.core.domain.checking import flag, instance, known_names, whole
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.schedule.schedule import MOST_ENQUEUE_FAILURES

MOST_IN_A_BATCH = 10_000


@dataclass(frozen=True, kw_only=True)
class SchedulerOptions:
    """Value object: the settings of a scheduler. Lengths of time are seconds or a `timedelta`.

    Attributes:
        poll_interval: it looks for due schedules at least so often, whatever the wake-ups say.
        record_interval: how often it looks which runs have ended. It does so less often when there
            are so many open ones that this would be more than a twentieth of its time.
        batch: how many schedules or runs are handled together.
        most_enqueue_failures: when a schedule's job could not be added so often in a row, the
            schedule is disabled.
        keep_runs: how long ended runs stay in the history of a schedule.
        handle_signals: whether `run` ends at SIGTERM and Ctrl-C (in the main thread).
    """

    poll_interval: Duration = timedelta(seconds=1)
    record_interval: Duration = timedelta(seconds=1)
    batch: int = 100
    most_enqueue_failures: int = MOST_ENQUEUE_FAILURES
    keep_runs: Duration = timedelta(days=90)
    handle_signals: bool = True

    def __post_init__(self) -> None:
        for name in ("poll_interval", "record_interval", "keep_runs"):
            length = duration(name, getattr(self, name), allow_zero=False)
            object.__setattr__(self, name, length)
        for name, most in (("batch", MOST_IN_A_BATCH), ("most_enqueue_failures", MOST_IN_A_BATCH)):
            whole(name, getattr(self, name), 1, most)
        flag("handle_signals", self.handle_signals)

    @property
    def poll_length(self) -> timedelta:
        """`poll_interval` as a `timedelta`."""
        return duration("poll_interval", self.poll_interval)

    @property
    def record_length(self) -> timedelta:
        """`record_interval` as a `timedelta`."""
        return duration("record_interval", self.record_interval)

    @property
    def kept_length(self) -> timedelta:
        """`keep_runs` as a `timedelta`."""
        return duration("keep_runs", self.keep_runs)


class SchedulerOptionArguments(TypedDict, total=False):
    """The options of a scheduler as keyword arguments, typed as those of `SchedulerOptions`."""

    poll_interval: Duration
    record_interval: Duration
    batch: int
    most_enqueue_failures: int
    keep_runs: Duration
    handle_signals: bool


def with_named(
    options: SchedulerOptions | None, given: SchedulerOptionArguments
) -> SchedulerOptions | None:
    """Options with those that were given by name, which come first.

    Raises:
        InvalidRequest: a wrong value, or a name that is no option.
    """
    if not given:
        return options
    known_names(given, SchedulerOptionArguments.__annotations__)
    if options is not None:
        instance("options", options, SchedulerOptions, "SchedulerOptions(…) or None")
    return replace(options or SchedulerOptions(), **given)
