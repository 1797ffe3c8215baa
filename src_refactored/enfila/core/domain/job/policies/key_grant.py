"""To whom a deduplication key was given, and who holds it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.policies.deduplication import Deduplication, KeyHolder
from enfila.core.domain.job.state import JobState


class RetakenKey(NamedTuple):
    """Value object: the deduplication key of a finished job that goes back in line.

    Attributes:
        is_for_a_time: the key is held for a time from the addition, whatever becomes of the job.
    """

    queue: str
    key: str
    is_for_a_time: bool

    @classmethod
    def of(cls, queue: str, rule: Deduplication | None) -> RetakenKey | None:
        """The key of a job of this queue with this rule; None if it has none."""
        return None if rule is None else cls(queue, rule.key, rule.ttl is not None)


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """Value object: to whom a deduplication key was given, as it is stored.

    Whether the key is held follows from this and from the states of at most two jobs, so no write
    is needed to release it.

    Attributes:
        job_id: the job that got the key last.
        free_at: when it becomes free, whatever becomes of the job; None for no time.
        follows: the job behind which that one was added (`Deduplication.keep_last`): it holds the
            key while it is unfinished, should the one that follows it be gone.
        removed_as: the final state in which the job was removed; None while it is there, and if
            it was removed before its end.
    """

    job_id: JobId
    free_at: datetime | None = None
    follows: JobId | None = None
    removed_as: JobState | None = None

    @property
    def jobs(self) -> tuple[JobId, ...]:
        """The jobs whose states decide."""
        return (self.job_id,) if self.follows is None else (self.job_id, self.follows)

    def holder(self, states: Mapping[JobId, JobState], now: datetime) -> KeyHolder:
        """The job that holds the key, or held it last.

        Args:
            states: those of `jobs` that are there.
            now: the repository's present instant.
        """
        state = states.get(self.job_id, self.removed_as)
        # Removed before its end: what the key stands for did not happen, so its time is over too.
        last = KeyHolder(self.job_id, state, None if state is None else self.free_at)
        if self.follows is None or not last.is_free(now) or last.free_at is not None:
            return last
        before = KeyHolder(self.follows, states.get(self.follows), None)
        return last if before.is_free(now) else before

    def is_free(self, states: Mapping[JobId, JobState], now: datetime) -> bool:
        """Whether nobody holds the key; arguments as those of `holder`."""
        return self.holder(states, now).is_free(now)

    def lets_return(self, job_id: JobId, states: Mapping[JobId, JobState], now: datetime) -> bool:
        """Whether a finished job with this key may go back in line: nobody else is to run."""
        holder = self.holder(states, now)
        is_over = holder.is_free(now) or holder.state is None or holder.state.is_final
        return is_over or holder.job_id == job_id

    def after_return(
        self, job_id: JobId, retaken: RetakenKey, states: Mapping[JobId, JobState], now: datetime
    ) -> KeyGrant:
        """The grant when that job is back in line: it holds the key, unless that is for a time."""
        if not retaken.is_for_a_time and self.is_free(states, now):
            return KeyGrant(job_id)
        return replace(self, removed_as=None) if self.job_id == job_id else self
