"""Backoff: how long a job waits before its next attempt."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from enfila.core.domain.duration import LONGEST, ZERO, Duration, duration
from enfila.core.domain.errors import InvalidRequest

_FACTOR: Final = "give a finite number of at least 1"


class BackoffKind(StrEnum):
    """The kinds of backoff."""

    NONE = "none"
    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Value object: how long a job waits after a failed attempt. Create it with the class methods.

    Attributes:
        kind: the rule.
        base: the first wait.
        factor: what each further wait is multiplied by (exponential).
        maximum: no wait is longer; None for no limit.
        jitter: 0 to 1: the share of the wait that is random. With jitter j and a wait w the job
            waits between (1 - j) x w and w ("equal jitter" at 0.5, "full" at 1).
        name: the name of a function in `WorkerOptions.backoffs` (custom).
    """

    kind: BackoffKind
    base: timedelta = ZERO
    factor: float = 2.0
    maximum: timedelta | None = None
    jitter: float = 0.0
    name: str | None = None

    @classmethod
    def none(cls) -> Backoff:
        """No wait: the job is `waiting` again at once."""
        return cls(BackoffKind.NONE)

    @classmethod
    def fixed(cls, delay: Duration, *, jitter: float = 0.0) -> Backoff:
        """The same wait after every failure."""
        return cls(BackoffKind.FIXED, duration("backoff.delay", delay), jitter=_share(jitter))

    @classmethod
    def exponential(
        cls,
        base: Duration,
        *,
        factor: float = 2.0,
        maximum: Duration | None = None,
        jitter: float = 0.0,
    ) -> Backoff:
        """A wait of `base` x `factor` ** (n - 1) after the n-th failure, at most `maximum`.

        Raises:
            InvalidRequest: a negative duration, a factor below 1, jitter outside 0 to 1.
        """
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise InvalidRequest("backoff.factor", factor, _FACTOR)
        if not 1 <= factor <= sys.float_info.max:
            raise InvalidRequest("backoff.factor", factor, _FACTOR)
        return cls(
            BackoffKind.EXPONENTIAL,
            duration("backoff.base", base),
            float(factor),
            None if maximum is None else duration("backoff.maximum", maximum),
            _share(jitter),
        )

    @classmethod
    def custom(cls, name: str) -> Backoff:
        """A wait that the worker computes with its function `name` (`WorkerOptions.backoffs`)."""
        if not isinstance(name, str) or not name:
            raise InvalidRequest("backoff.name", name, "give the name of a rule of the worker")
        return cls(BackoffKind.CUSTOM, name=name)

    def delay_after(self, failures: int, random: float) -> timedelta:
        """The wait after the `failures`-th failed attempt.

        Args:
            failures: 1 for the first failure.
            random: a random number in [0, 1), used for the jitter.
        """
        return self._jittered(self._plain_delay(failures), random)

    def _plain_delay(self, failures: int) -> timedelta:
        match self.kind:
            case BackoffKind.NONE | BackoffKind.CUSTOM:
                return ZERO
            case BackoffKind.FIXED:
                return self.base
            case BackoffKind.EXPONENTIAL:
                grown = self._grown(failures)
                return grown if self.maximum is None else min(grown, self.maximum)

    def _grown(self, failures: int) -> timedelta:
        if not self.base:
            return ZERO
        try:
            seconds = self.base.total_seconds() * math.pow(self.factor, failures - 1)
        except OverflowError:
            return LONGEST
        return timedelta(seconds=min(seconds, LONGEST.total_seconds()))

    def _jittered(self, wait: timedelta, random: float) -> timedelta:
        return wait * (1 - self.jitter * random) if self.jitter else wait

    def to_json(self) -> dict[str, Any]:
        """The backoff as JSON for storage; defaults are left out."""
        stored: dict[str, Any] = {"kind": self.kind.value}
        if self.base:
            stored["base"] = self.base.total_seconds()
        if self.kind is BackoffKind.EXPONENTIAL:
            stored["factor"] = self.factor
        if self.maximum is not None:
            stored["maximum"] = self.maximum.total_seconds()
        if self.jitter:
            stored["jitter"] = self.jitter
        if self.name is not None:
            stored["name"] = self.name
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Backoff:
        """Reads a backoff that `to_json` wrote."""
        maximum = stored.get("maximum")
        return cls(
            BackoffKind(stored["kind"]),
            timedelta(seconds=stored.get("base", 0)),
            stored.get("factor", 2.0),
            None if maximum is None else timedelta(seconds=maximum),
            stored.get("jitter", 0.0),
            stored.get("name"),
        )


def _share(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidRequest("backoff.jitter", value, "give a number from 0 to 1")
    return float(value)
