"""Backoff: how long a job waits before its next attempt."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from enfila.core.domain.checking import number, one_of, text
from enfila.core.domain.duration import LONGEST, ZERO, Duration, duration
from enfila.core.domain.errors import InvalidRequest

LONGEST_NAME: Final = 255
_DEFAULT_FACTOR: Final = 2.0
_LARGEST_FACTOR: Final = sys.float_info.max
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
    factor: float = _DEFAULT_FACTOR
    maximum: timedelta | None = None
    jitter: float = 0.0
    name: str | None = None

    def __post_init__(self) -> None:
        self._set("kind", one_of("backoff.kind", self.kind, BackoffKind))
        self._set("base", duration("backoff.base", self.base))
        self._set("factor", number("backoff.factor", self.factor, 1, _LARGEST_FACTOR, _FACTOR))
        if self.maximum is not None:
            self._set("maximum", duration("backoff.maximum", self.maximum))
        self._set(
            "jitter", number("backoff.jitter", self.jitter, 0, 1, "give a number from 0 to 1")
        )
        if self.name is not None or self.kind is BackoffKind.CUSTOM:
            self._set("name", _rule_name(self.name))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def none(cls) -> Backoff:
        """No wait: the job is `waiting` again at once."""
        return cls(BackoffKind.NONE)

    @classmethod
    def fixed(cls, delay: Duration, *, jitter: float = 0.0) -> Backoff:
        """The same wait after every failure."""
        return cls(BackoffKind.FIXED, duration("backoff.delay", delay), jitter=jitter)

    @classmethod
    def exponential(
        cls,
        base: Duration,
        *,
        factor: float = _DEFAULT_FACTOR,
        maximum: Duration | None = None,
        jitter: float = 0.0,
    ) -> Backoff:
        """A wait of `base` x `factor` ** (n - 1) after the n-th failure, at most `maximum`.

        Raises:
            InvalidRequest: a negative duration, a factor below 1, jitter outside 0 to 1.
        """
        return cls(
            BackoffKind.EXPONENTIAL,
            duration("backoff.base", base),
            factor,
            None if maximum is None else duration("backoff.maximum", maximum),
            jitter,
        )

    @classmethod
    def custom(cls, name: str) -> Backoff:
        """A wait that the worker computes with its function `name` (`WorkerOptions.backoffs`)."""
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
        if self.kind is BackoffKind.EXPONENTIAL or self.factor != _DEFAULT_FACTOR:
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
            stored["kind"],
            timedelta(seconds=stored.get("base", 0)),
            stored.get("factor", _DEFAULT_FACTOR),
            None if maximum is None else timedelta(seconds=maximum),
            stored.get("jitter", 0.0),
            stored.get("name"),
        )


def _rule_name(value: str | None) -> str:
    if not isinstance(value, str) or value == "":
        raise InvalidRequest("backoff.name", value, "give the name of a rule of the worker")
    return text("backoff.name", value, LONGEST_NAME, shortest=1)
