"""What a transition writes into a job's row and into the list of its runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.jobs.row import error_text


def move_values(transition: Transition, now: datetime) -> dict[str, Any]:
    """The parameters of `statements.move_job`; see `Job.after` for their meaning."""
    retention = transition.retention
    run_after = transition.run_after
    return {
        "job": transition.job_id,
        "target": transition.target.value,
        "restarts": transition.restarts,
        "next_attempt": transition.attempt,
        "most_attempts": transition.max_attempts,
        "stalls": transition.stalled_count,
        "next_run_at": None if run_after is None else now + run_after,
        "outcome_result": None if transition.result is None else transition.result.text,
        "outcome_error": error_text(transition.error),
        "reason": transition.cancel_reason,
        "finished": now if transition.target.is_final else None,
        "own": retention is not None,
        "remove_from": None if retention is None or retention.age is None else now + retention.age,
        "newest": None if retention is None else retention.newest,
    }


def attempt_row(transition: Transition, now: datetime) -> dict[str, Any]:
    """The row for the run that a transition with a `record` ends."""
    run = transition.record
    if run is None:
        return {}
    return {
        "job_id": transition.job_id,
        "token": run.token,
        "number": run.number,
        "worker_id": run.worker_id,
        "started_at": run.started_at,
        "finished_at": run.finished_at or now,
        "outcome": run.outcome.value,
        "error": error_text(run.error),
    }
