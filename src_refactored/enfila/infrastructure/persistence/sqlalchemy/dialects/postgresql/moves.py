"""Transitions to be applied, as the parameters of one statement."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, itemgetter
from typing import Any

from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.instants import seconds
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    alike_parameters,
    rows_parameter,
)
from enfila.infrastructure.persistence.sqlalchemy.jobs.row import error_text

# All that is written of a transition besides its job's id, its token and its result.
_kind_of = attrgetter(
    "source",
    "target",
    "attempt",
    "max_attempts",
    "stalled_count",
    "run_after",
    "error",
    "cancel_reason",
    "retention",
    "restarts",
    "record",
)


def are_alike(transitions: Sequence[Transition]) -> bool:
    """Whether `statements.apply_alike` can apply them: most of what a worker settles."""
    if transitions[0].record is not None:
        return False
    kind = _kind_of(transitions[0])
    return all(_kind_of(transition) == kind for transition in transitions)


def alike_moves(transitions: Sequence[Transition]) -> dict[str, Any]:
    """The parameters of `statements.apply_alike`."""
    ordered = sorted(transitions, key=attrgetter("job_id"))
    return alike_parameters(
        {
            **_in_common(ordered[0]),
            "id": [transition.job_id for transition in ordered],
            "token": [transition.token for transition in ordered],
            "source": [transition.source.value for transition in ordered],
            "result": [_result(transition) for transition in ordered],
        }
    )


def moves(transitions: Sequence[Transition]) -> dict[str, Any]:
    """The parameters of `statements.apply_transitions`."""
    records = [_record(transition) for transition in transitions]
    records.sort(key=itemgetter("id"))
    return {"rows": rows_parameter(records)}


def _record(transition: Transition) -> dict[str, Any]:
    record = {
        "id": transition.job_id,
        "token": transition.token,
        **_in_common(transition),
        "result": _result(transition),
        **_run(transition),
    }
    # What is left out is null.
    return {name: value for name, value in record.items() if value is not None}


def _result(transition: Transition) -> str | None:
    return None if transition.result is None else transition.result.text


def _in_common(transition: Transition) -> dict[str, Any]:
    kept = transition.retention
    return {
        "source": transition.source.value,
        "target": transition.target.value,
        "final": transition.target.is_final,
        "restarts": transition.restarts,
        "attempt": transition.attempt,
        "max_attempts": transition.max_attempts,
        "stalled_count": transition.stalled_count,
        "run_after": seconds(transition.run_after),
        "error": error_text(transition.error),
        "cancel_reason": transition.cancel_reason,
        "own_retention": kept is not None,
        "remove_after": None if kept is None else seconds(kept.age),
        "keep_newest": None if kept is None else kept.newest,
    }


def _run(transition: Transition) -> dict[str, Any]:
    run = transition.record
    if run is None:
        return {}
    return {
        "outcome": run.outcome,
        "number": run.number,
        "worker_id": run.worker_id,
        "started_at": None if run.started_at is None else run.started_at.isoformat(),
        "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
        "attempt_error": error_text(run.error),
    }
