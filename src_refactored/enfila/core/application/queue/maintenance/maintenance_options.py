"""How a queue looks after itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from enfila.core.domain.checking import instance, whole
from enfila.core.domain.duration import Duration, duration
from enfila.core.domain.job.policies.retention import RetentionPolicy

MOST_IN_A_BATCH: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceOptions:
    """Value object: the settings of a queue's maintenance.

    Lengths of time are seconds or a `timedelta`.

    Attributes:
        stalled_interval: between two looks for stalled, expired and due jobs. A killed worker's
            jobs run again within its lock duration plus this plus one poll.
        max_stalled_count: a job that stalls more often than this fails. 0 fails it at once.
        retention_interval: between two removals of old finished jobs.
        batch: at most so many rows in one statement.
        silent_worker: a worker not heard of for so long is forgotten.
    """

    stalled_interval: Duration = timedelta(seconds=10)
    max_stalled_count: int = 1
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    retention_interval: Duration = timedelta(seconds=60)
    batch: int = 10_000
    silent_worker: Duration = timedelta(minutes=5)

    def __post_init__(self) -> None:
        whole("max_stalled_count", self.max_stalled_count)
        whole("batch", self.batch, 1, MOST_IN_A_BATCH)
        instance("retention", self.retention, RetentionPolicy, "a RetentionPolicy")
        for name in ("stalled_interval", "retention_interval", "silent_worker"):
            length = duration(name, getattr(self, name), allow_zero=False)
            object.__setattr__(self, name, length)
