"""The runs that moves have ended, as records."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.attempt import Attempt
from enfila.infrastructure.persistence.memory.tables.data import Store


def add_attempt(store: Store, job: Job, attempt: Attempt, now: datetime) -> None:
    """Adds the run that a move has ended to the list of the job's attempts."""
    store.attempts[job.id].append(replace(attempt, finished_at=attempt.finished_at or now))
