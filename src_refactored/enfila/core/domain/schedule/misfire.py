"""What becomes of ticks that nobody made jobs of in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.errors import InvalidRequest

DEFAULT_CAP: Final = 100
LARGEST_CAP: Final = 10_000
ON_TIME: Final = timedelta(minutes=1)
"""How late a tick may be without being missed, where nothing is caught up and no grace given."""


class CatchUp(StrEnum):
    """Which of the ticks that came due together run."""

    NONE = "none"
    """Those that are not late; what was missed stays missed."""
    LATEST = "latest"
    """The newest one, which stands for all."""
    ALL = "all"
    """Each one, the newest up to the cap."""


@dataclass(frozen=True, slots=True, init=False)
class Misfire:
    """Value object: a schedule's rule for late ticks.

    A tick later than `grace` is dropped. Of the rest `catch_up` says which run.

    Attributes:
        catch_up: see `CatchUp`. Default: the latest.
        grace: how late a tick may be; None: as late as it likes. With `CatchUp.NONE` it says what
            late is, so it is one minute where none is given.
        cap: never more ticks than this at once; the oldest are dropped. Default 100.
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
        if catch_up not in set(CatchUp):
            allowed = f"give one of {', '.join(CatchUp)}"
            raise InvalidRequest("misfire.catch_up", catch_up, allowed)
        if isinstance(cap, bool) or not isinstance(cap, int) or not 1 <= cap <= LARGEST_CAP:
            raise InvalidRequest("misfire.cap", cap, f"give 1 to {LARGEST_CAP:,} ticks")
        if grace is None and catch_up == CatchUp.NONE:
            grace = ON_TIME
        length = None if grace is None else duration("misfire.grace", grace)
        object.__setattr__(self, "catch_up", CatchUp(catch_up))
        object.__setattr__(self, "grace", length)
        object.__setattr__(self, "cap", cap)

    @property
    def most_at_once(self) -> int:
        """How many ticks may run together."""
        return 1 if self.catch_up is CatchUp.LATEST else self.cap

    def to_document(self) -> dict[str, Any]:
        """What is stored."""
        grace = None if self.grace is None else self.grace.total_seconds()
        return {"catch_up": self.catch_up.value, "grace": grace, "cap": self.cap}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Misfire:
        """The rule that `to_document` stored."""
        return cls(stored["catch_up"], stored["grace"], stored["cap"])
