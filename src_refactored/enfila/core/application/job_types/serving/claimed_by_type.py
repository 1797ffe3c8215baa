"""Which jobs a worker holds, by queue and by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job

ClaimKey = tuple[JobId, LockToken]
"""What tells one claim of a job from another."""


class ClaimRequest(NamedTuple):
    """Value object: which jobs of a queue to claim next, and how many.

    Attributes:
        names: of these jobs only; None for all.
        most: at most so many; None for as many as there is room for.
    """

    queue: str
    names: frozenset[str] | None
    most: int | None = None


class ClaimedByType:
    """Counts the claimed jobs of each type, so that a type's own concurrency is kept.

    Args:
        limits: the `max_concurrency` of types that have one, by queue and name.
    """

    def __init__(self, limits: Mapping[tuple[str, str], int]) -> None:
        self._limits = limits
        self._limited = frozenset(name for _, name in limits)
        self._claimed: dict[ClaimKey, Job] = {}
        self._counts: Counter[str] = Counter()

    def take(self, jobs: Iterable[Job]) -> None:
        """Adds what was claimed."""
        for job in jobs:
            self._claimed[job.id, job.token] = job
            if job.name in self._limited:
                self._counts[job.name] += 1

    def let_go(self, keys: Iterable[ClaimKey]) -> bool:
        """Forgets jobs; whether that made room for others of a limited type."""
        gone = [job.name for key in keys if (job := self._claimed.pop(key, None)) is not None]
        limited = [name for name in gone if name in self._limited]
        self._counts.subtract(limited)
        return bool(limited)

    def claim_requests(
        self, queues: Iterable[str], names: frozenset[str] | None
    ) -> list[ClaimRequest]:
        """The claims that bring jobs of all types and no more of the limited ones than may be.

        Each limited type has a claim of its own, and is taken from its own queue only. Without
        names there are no limits: nobody knows the types.
        """
        served = list(queues)
        if names is None:
            return [ClaimRequest(queue, None) for queue in served]
        free = names - self._limited
        claim_requests = [ClaimRequest(queue, free) for queue in served if free]
        for (queue, name), limit in self._limits.items():
            room = limit - self._counts[name]
            if room > 0 and queue in served and name in names:
                claim_requests.append(ClaimRequest(queue, frozenset({name}), room))
        return claim_requests
