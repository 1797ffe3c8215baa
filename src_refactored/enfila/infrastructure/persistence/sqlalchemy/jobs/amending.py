"""Changing jobs that have not started."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Amendment
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class Amending:
    """Writes amendments of jobs that have not started, and requests to cancel running ones."""

    def __init__(self, tables: Tables) -> None:
        self._jobs = tables.jobs

    def amend(self, connection: sa.Connection, amendment: Amendment, now: datetime) -> bool:
        """Whether the job still stood as it was read."""
        jobs = self._jobs
        values: dict[str, Any] = {
            "priority": amendment.priority,
            "max_attempts": amendment.max_attempts,
            "payload": amendment.document.text,
            "options": amendment.options.to_text(),
        }
        if amendment.run_after is not None:
            values["run_at"] = now + amendment.run_after
        changed = connection.execute(
            sa.update(jobs)
            .where(
                jobs.c.id == amendment.job_id,
                jobs.c.state == amendment.source.value,
                jobs.c.lock_token == amendment.token,
            )
            .values(values)
        )
        return changed.rowcount == 1

    def expect_end(self, connection: sa.Connection, job_id: JobId) -> bool:
        """Marks a job like one that others depend on; whether it has not ended."""
        jobs = self._jobs
        marked = connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.finished_at.is_(None))
            .values(has_dependents=True)
        )
        return marked.rowcount == 1

    def request_cancellation(self, connection: sa.Connection, job_id: JobId, reason: str) -> bool:
        """Whether the job was active."""
        jobs = self._jobs
        asked = connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state == JobState.ACTIVE.value)
            .values(cancel_requested=True, cancel_reason=reason)
        )
        return asked.rowcount == 1
