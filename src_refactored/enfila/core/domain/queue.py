"""Names of queues and jobs, and the number of jobs per state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from enfila.core.domain.checking import text
from enfila.core.domain.job.state import JobState

LONGEST_NAME: Final = 255


def name(field: str, value: str) -> str:
    """Validates the name of a queue or job.

    Raises:
        InvalidRequest: not text of 1 to 255 characters, or with characters that cannot be stored.
    """
    return text(field, value, LONGEST_NAME, shortest=1)


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Value object: how many jobs of a queue are in each state."""

    waiting: int = 0
    delayed: int = 0
    blocked: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @classmethod
    def of(cls, counted: Mapping[JobState, int]) -> QueueCounts:
        """Makes the counts of a queue; states that are left out count 0."""
        return cls(**{state.value: counted.get(state, 0) for state in JobState})

    def __getitem__(self, state: JobState | str) -> int:
        count: int = getattr(self, JobState(state).value)
        return count

    @property
    def unfinished(self) -> int:
        """The number of jobs that are not in a final state."""
        return self.waiting + self.delayed + self.blocked + self.active

    @property
    def total(self) -> int:
        """The number of all stored jobs."""
        return self.unfinished + self.completed + self.failed + self.cancelled
