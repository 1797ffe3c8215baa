"""What a transition writes into the row of its job, declared once for all databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from enfila.core.domain.job.policies.retention import Retention
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.tables.text import document_text, error_text


class MoveField(NamedTuple):
    """One value that a job's transition gives to its SQL statement."""

    name: str
    kind: Any
    value: Callable[[Transition], Any]


class MoveLength(NamedTuple):
    """A length of time that a transition gives; SQL adds it to the present instant."""

    name: str
    value: Callable[[Transition], timedelta | None]


FIELDS: Final = (
    MoveField("target", sa.Text, lambda move: move.target.value),
    MoveField("final", sa.Boolean, lambda move: move.target.is_final),
    MoveField("restarts", sa.Boolean, attrgetter("restarts")),
    MoveField("attempt", sa.Integer, attrgetter("attempt")),
    MoveField("max_attempts", sa.Integer, attrgetter("max_attempts")),
    MoveField("stalled_count", sa.Integer, attrgetter("stalled_count")),
    MoveField("error", sa.Text, lambda move: error_text(move.error)),
    MoveField("cancel_reason", sa.Text, attrgetter("cancel_reason")),
    MoveField("own_retention", sa.Boolean, lambda move: move.retention is not None),
    MoveField("keep_newest", sa.Integer, lambda move: _kept(move.retention).newest),
)
LENGTHS: Final = (
    MoveLength("run_after", attrgetter("run_after")),
    MoveLength("remove_after", lambda move: _kept(move.retention).age),
)
RESULT: Final = MoveField("result", sa.Text, lambda move: document_text(move.result))
"""What differs between moves that are uniform otherwise."""

_NOT_KEPT: Final = Retention()

_kind_of: Final = attrgetter(
    *(
        name
        for name in Transition._fields
        # The reason is told to listeners, not stored.
        if name not in {"job_id", "token", "result", "reason"}
    )
)


def are_uniform(moves: Sequence[Transition]) -> bool:
    """Whether transitions differ in job, token and result only, as completions mostly do."""
    kind = _kind_of(moves[0])
    return all(_kind_of(move) == kind for move in moves)


def assignments(
    jobs: sa.Table,
    given: Callable[[str], sa.ColumnElement[Any]],
    later: Callable[[str], sa.ColumnElement[Any]],
    now: sa.ColumnElement[Any],
) -> dict[str, sa.ColumnElement[Any]]:
    """The columns that a move writes, with their values; see `Job.after` for its meaning.

    Args:
        jobs: the table.
        given: the value of a field of the move.
        later: the instant that is so far ahead as a length of the move says.
        now: the instant of the move.
    """
    restarts = given("restarts")

    def unless_restart(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        return sa.case((restarts, sa.null()), else_=column)

    return {
        "state": given("target"),
        "attempt": given("attempt"),
        "max_attempts": given("max_attempts"),
        "stalled_count": given("stalled_count"),
        "run_at": sa.func.coalesce(later("run_after"), jobs.c.run_at),
        "result": given("result"),
        "error": given("error"),
        "cancel_reason": sa.func.coalesce(
            given("cancel_reason"), unless_restart(jobs.c.cancel_reason)
        ),
        "finished_at": sa.case((given("final"), now), else_=sa.null()),
        "locked_until": sa.null(),
        "pending_dependencies": sa.literal_column("0"),
        "started_at": unless_restart(jobs.c.started_at),
        "expires_at": unless_restart(jobs.c.expires_at),
        "worker_id": unless_restart(jobs.c.worker_id),
        "progress": unless_restart(jobs.c.progress),
        "cancel_requested": sa.and_(jobs.c.cancel_requested, sa.not_(restarts)),
        "own_retention": given("own_retention"),
        "remove_at": later("remove_after"),
        "keep_newest": given("keep_newest"),
    }


def _kept(retention: Retention | None) -> Retention:
    return _NOT_KEPT if retention is None else retention
