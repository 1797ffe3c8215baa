"""Retention: how long finished jobs are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from enfila.core.domain.checking import instance, whole
from enfila.core.domain.duration import ZERO, Duration, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.state import JobState


@dataclass(frozen=True, slots=True)
class Retention:
    """Value object: how long a finished job is kept. Create it with the class methods.

    Both limits may be combined: a job is removed when it is older than `age`, or when `newest` jobs
    of its queue and state have finished after it.

    Attributes:
        age: time after finishing; None for no limit.
        newest: how many are kept; None for no limit.
    """

    age: timedelta | None = None
    newest: int | None = None

    def __post_init__(self) -> None:
        if self.age is not None:
            object.__setattr__(self, "age", duration("retention.age", self.age))
        if self.newest is not None:
            whole("retention.newest", self.newest)

    @property
    def keeps_nothing(self) -> bool:
        """Whether a finished job is not kept at all."""
        return self.age == ZERO or self.newest == 0

    @classmethod
    def forever(cls) -> Retention:
        """Maintenance never removes the job."""
        return cls()

    @classmethod
    def nothing(cls) -> Retention:
        """The job is removed when it has finished; as a queue's rule, by the next maintenance."""
        return cls(age=ZERO)

    @classmethod
    def for_time(cls, age: Duration) -> Retention:
        """Maintenance removes the job `age` after it finished."""
        return cls(age=duration("retention.age", age))

    @classmethod
    def keep_newest(cls, newest: int, *, age: Duration | None = None) -> Retention:
        """Keeps the newest `newest` jobs, and these for `age` at most if it is given."""
        return cls(
            None if age is None else duration("retention.age", age),
            whole("retention.newest", newest),
        )

    def to_json(self) -> dict[str, Any]:
        """The retention as JSON for storage."""
        return {
            "age": None if self.age is None else self.age.total_seconds(),
            "newest": self.newest,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Retention:
        """Reads a retention that `to_json` wrote."""
        age = stored.get("age")
        return cls(None if age is None else timedelta(seconds=age), stored.get("newest"))


RetentionLike = Retention | bool | int | timedelta
"""A `Retention`, or short for one: True nothing is kept, False forever, an int the newest N, a
`timedelta` for that time."""


def retention(field: str, value: RetentionLike) -> Retention:
    """Converts `value` to a `Retention`."""
    match value:
        case Retention():
            return value
        case True:
            return Retention.nothing()
        case False:
            return Retention.forever()
        case int():
            return Retention.keep_newest(value)
        case timedelta():
            return Retention.for_time(value)
        case _:
            raise InvalidRequest(
                field, value, "give a Retention, True, False, a number of jobs or a timedelta"
            )


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Value object: the retention of a queue, for jobs without a rule of their own."""

    completed: Retention = Retention(age=timedelta(days=7))
    failed: Retention = Retention(age=timedelta(days=30))
    cancelled: Retention = Retention(age=timedelta(days=30))

    def __post_init__(self) -> None:
        for name in ("completed", "failed", "cancelled"):
            instance(f"retention.{name}", getattr(self, name), Retention, "a Retention")

    def of(self, state: JobState) -> Retention:
        """The rule for jobs in this final state."""
        match state:
            case JobState.COMPLETED:
                return self.completed
            case JobState.CANCELLED:
                return self.cancelled
            case _:
                return self.failed
