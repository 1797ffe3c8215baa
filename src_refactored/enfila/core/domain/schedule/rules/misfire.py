"""The misfire rule: what happens to late ticks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from enfila.core.domain.checking import one_of, whole
from enfila.core.domain.duration import Duration, duration

DEFAULT_CAP: Final = 100
LARGEST_CAP: Final = 10_000
ON_TIME: Final = timedelta(minutes=1)
"""The default of `grace` with `CatchUp.NONE`."""


class CatchUp(StrEnum):
    """Which ticks run if several are due together."""

    NONE = "none"
    """Those that are not late; late ones are dropped."""
    LATEST = "latest"
    """Only the newest one."""
    ALL = "all"
    """Each one; at most `cap`, the newest ones."""


@dataclass(frozen=True, slots=True, init=False)
class Misfire:
    """Value object: a schedule's rule for late ticks.

    A tick later than `grace` is dropped. `catch_up` selects which of the others run.

    Attributes:
        catch_up: see `CatchUp`. Default: the latest.
        grace: how late a tick may be; None for no limit. With `CatchUp.NONE` the default is one
            minute.
        cap: the maximum number of ticks that run together; the oldest are dropped. Default 100.
    """

    catch_up: CatchUp
    grace: timedelta | None
    cap: int

    def __init__(
        self,
        catch_up: CatchUp | str = CatchUp.LATEST,
        grace: Duration | None = None,
        cap: int = DEFAULT_CAP,
    ) -> None:
        rule = one_of("misfire.catch_up", catch_up, CatchUp)
        most = whole("misfire.cap", cap, 1, LARGEST_CAP)
        if grace is None and rule is CatchUp.NONE:
            grace = ON_TIME
        length = None if grace is None else duration("misfire.grace", grace)
        object.__setattr__(self, "catch_up", rule)
        object.__setattr__(self, "grace", length)
        object.__setattr__(self, "cap", most)

    @property
    def most_at_once(self) -> int:
        """The maximum number of ticks that run together."""
        return 1 if self.catch_up is CatchUp.LATEST else self.cap

    def to_document(self) -> dict[str, Any]:
        """The rule as JSON for storage."""
        grace = None if self.grace is None else self.grace.total_seconds()
        return {"catch_up": self.catch_up.value, "grace": grace, "cap": self.cap}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Misfire:
        """Reads a rule that `to_document` wrote."""
        return cls(stored["catch_up"], stored["grace"], stored["cap"])
