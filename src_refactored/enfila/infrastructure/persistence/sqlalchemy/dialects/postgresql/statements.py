"""One builder per question. What each must do stands in `IJobRepository`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy.database.instants import Instants
from enfila.infrastructure.persistence.sqlalchemy.database.types import JobIdColumn
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    alike,
    few,
    record_set,
)
from enfila.infrastructure.persistence.sqlalchemy.jobs.eligibility import (
    ACTIVE,
    BLOCKED,
    DELAYED,
    FROM_QUEUE,
    WAITING,
    Eligibility,
    first_of_both,
    literal,
)
from enfila.infrastructure.persistence.sqlalchemy.jobs.row import claimed_columns
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_NOT_DELAYED = [literal(state) for state in JobState if state is not JobState.DELAYED]


_NEW_JOB: Final[Mapping[str, Any]] = {
    "id": JobIdColumn,
    "queue": sa.Text,
    "name": sa.Text,
    "state": sa.Text,
    "priority": sa.Integer,
    "lifo": sa.Boolean,
    "payload": sa.Text,
    "options": sa.Text,
    "max_attempts": sa.Integer,
    "run_at": postgresql.TIMESTAMP(timezone=True),
    "delay": sa.Double,
    "expires_in": sa.Double,
    "blocked_by": JobIdColumn,
    "schedule_id": sa.Text,
    "batch_id": sa.Text,
    "tenant": sa.Text,
}


def add_jobs(tables: Tables, instants: Instants) -> sa.Select[Any]:
    """Inserts the records; each one's id (as text), position and the instant."""
    return _add(tables, instants, record_set("new", **_NEW_JOB))


def add_alike(tables: Tables, instants: Instants) -> sa.Select[Any]:
    """As `add_jobs`, for jobs that differ in their ids and payloads only."""
    return _add(tables, instants, alike("new", _NEW_JOB, apart=("id", "payload")))


def _add(tables: Tables, instants: Instants, new: sa.FromClause) -> sa.Select[Any]:
    jobs = tables.jobs
    now = instants.expression
    place = tables.positions.next_value()
    written: dict[str, Any] = {
        "id": new.c.id,
        "queue": new.c.queue,
        "name": new.c.name,
        "state": new.c.state,
        "priority": new.c.priority,
        "position": sa.case((new.c.lifo, -place), else_=place),
        "payload": new.c.payload,
        "options": new.c.options,
        "attempt": sa.literal_column("0"),
        "max_attempts": new.c.max_attempts,
        "stalled_count": sa.literal_column("0"),
        "lock_token": sa.literal_column("0"),
        "created_at": now,
        "run_at": sa.func.coalesce(new.c.run_at, instants.later(new.c.delay)),
        "expires_at": instants.later(new.c.expires_in),
        "cancel_requested": sa.false(),
        "blocked_by": new.c.blocked_by,
        "followed": sa.false(),
        "own_retention": sa.false(),
        "schedule_id": new.c.schedule_id,
        "batch_id": new.c.batch_id,
        "tenant": new.c.tenant,
    }
    added = (
        postgresql.insert(jobs)
        .from_select(list(written), sa.select(*written.values()))
        # A write whose answer never arrived is tried again with the same ids.
        .on_conflict_do_nothing(index_elements=[jobs.c.id])
        .returning(jobs.c.id, jobs.c.queue, jobs.c.state, jobs.c.position, jobs.c.created_at)
        .cte("added")
    )
    counted = _count(
        tables,
        sa.select(added.c.queue, added.c.state, sa.func.count()).group_by(
            added.c.queue, added.c.state
        ),
    )
    return sa.select(_text(added.c.id), added.c.position, added.c.created_at, _notified()).add_cte(
        counted
    )


def _notified() -> sa.ColumnElement[Any]:
    """Sends a notification, once for the statement, unless its channel is null."""
    channel = sa.bindparam("channel", type_=sa.Text)
    sending = sa.func.pg_notify(channel, sa.bindparam("text", type_=sa.Text))
    return sa.select(sa.cast(sending, sa.Text)).where(channel.is_not(None)).scalar_subquery()


def find_places(tables: Tables) -> sa.Select[Any]:
    """What `add_jobs` answers, of jobs that are stored."""
    jobs = tables.jobs
    return sa.select(_text(jobs.c.id), jobs.c.position, jobs.c.created_at).where(
        jobs.c.id == sa.any_(sa.bindparam("ids", type_=ARRAY(JobIdColumn)))
    )


def claim_jobs(tables: Tables, instants: Instants, *, by_name: bool) -> sa.Select[Any]:
    """Locks the first eligible jobs of a queue; `claimed_columns` of each."""
    jobs = tables.jobs
    names = sa.any_(sa.bindparam("names", type_=ARRAY(sa.Text)))
    eligibility = Eligibility(
        tables, instants.expression, named=jobs.c.name == names if by_name else None
    )
    columns = (jobs.c.id, jobs.c.priority, jobs.c.position, jobs.c.state)
    waiting = eligibility.waiting(*columns).with_for_update(skip_locked=True).cte("waiting")
    # Still delayed once it is locked; said in a way that no partial index offers itself.
    still_due = sa.and_(
        jobs.c.id == sa.any_(_array(eligibility.due_ids())), jobs.c.state.not_in(_NOT_DELAYED)
    )
    due = eligibility.due(*columns, of=still_due).with_for_update(skip_locked=True).cte("due")
    picked = first_of_both(waiting, due).cte("picked")
    claimed = (
        sa.update(jobs)
        # An array of ids, so that the rows are found by primary key whatever the statistics say.
        .where(jobs.c.id == sa.any_(_array(sa.select(picked.c.id))))
        .values(
            state=ACTIVE,
            lock_token=jobs.c.lock_token + 1,
            attempt=jobs.c.attempt + 1,
            worker_id=sa.bindparam("claimant", type_=sa.Text),
            locked_until=instants.later(sa.bindparam("lock_seconds", type_=sa.Double)),
            started_at=instants.expression,
            expires_at=sa.null(),
        )
        .returning(*claimed_columns(jobs))
        .cte("claimed")
    )
    left = sa.select(FROM_QUEUE, picked.c.state, -sa.func.count()).group_by(picked.c.state)
    taken = (
        sa.select(FROM_QUEUE, ACTIVE, sa.func.count())
        .select_from(picked)
        .having(sa.func.count() > sa.literal_column("0"))
    )
    return sa.select(claimed).add_cte(_count(tables, sa.union_all(left, taken)))


_MOVE: Final[Mapping[str, Any]] = {
    "id": JobIdColumn,
    "token": sa.BigInteger,
    "source": sa.Text,
    "target": sa.Text,
    "final": sa.Boolean,
    "restarts": sa.Boolean,
    "attempt": sa.Integer,
    "max_attempts": sa.Integer,
    "stalled_count": sa.Integer,
    "run_after": sa.Double,
    "result": sa.Text,
    "error": sa.Text,
    "cancel_reason": sa.Text,
    "own_retention": sa.Boolean,
    "remove_after": sa.Double,
    "keep_newest": sa.Integer,
}
_RUN: Final[Mapping[str, Any]] = {
    "outcome": sa.Text,
    "number": sa.Integer,
    "worker_id": sa.Text,
    "started_at": postgresql.TIMESTAMP(timezone=True),
    "finished_at": postgresql.TIMESTAMP(timezone=True),
    "attempt_error": sa.Text,
}


def apply_transitions(
    tables: Tables, instants: Instants, *, with_followers: bool
) -> sa.Select[Any]:
    """Compare-and-set of the records; of each that was not stale the id (as text), token, instant.

    `with_followers` moves jobs that others wait for too. Those others must then be unblocked by a
    further statement of the same transaction: one that was added while this statement waited for
    its job's row is not in this statement's snapshot.
    """
    move = sa.select(record_set("record", **_MOVE, **_RUN)).cte("move")
    moved = _moved(tables, instants, move, with_followers=with_followers)
    recorded = _recorded(tables, instants, moved)
    counted = _count_moves(tables, moved)
    answer = sa.select(_text(moved.c.id), moved.c.token, instants.expression)
    return answer.add_cte(recorded, counted)


def apply_alike(tables: Tables, instants: Instants) -> sa.Select[Any]:
    """As `apply_transitions` without followers, for moves that differ in little.

    They leave no record of a run and have all but their ids, tokens and results in common, as a
    worker's completed jobs do.
    """
    # The source is one too, and yet a list: see `_moved`.
    apart = ("id", "token", "source", "result")
    move = sa.select(alike("record", _MOVE, apart=apart)).cte("move")
    moved = _moved(tables, instants, move, with_followers=False)
    answer = sa.select(_text(moved.c.id), moved.c.token, instants.expression)
    return answer.add_cte(_count_moves(tables, moved))


def _moved(tables: Tables, instants: Instants, move: sa.CTE, *, with_followers: bool) -> sa.CTE:
    jobs = tables.jobs
    now = instants.expression

    def unless_restart(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        return sa.case((move.c.restarts, sa.null()), else_=column)

    return (
        sa.update(jobs)
        # Rows by primary key; state and token compared with columns, never with constants: a
        # constant state lets the planner choose the partial index of that state, which it may
        # believe to be empty, and then the statement turns quadratic.
        .where(
            few(move),
            jobs.c.id == move.c.id,
            jobs.c.lock_token == move.c.token,
            jobs.c.state == move.c.source,
            *([] if with_followers else [sa.not_(sa.and_(move.c.final, jobs.c.followed))]),
        )
        .values(
            state=move.c.target,
            attempt=move.c.attempt,
            max_attempts=move.c.max_attempts,
            stalled_count=move.c.stalled_count,
            run_at=sa.func.coalesce(instants.later(move.c.run_after), jobs.c.run_at),
            result=move.c.result,
            error=move.c.error,
            cancel_reason=sa.func.coalesce(
                move.c.cancel_reason, unless_restart(jobs.c.cancel_reason)
            ),
            finished_at=sa.case((move.c.final, now), else_=sa.null()),
            locked_until=sa.null(),
            blocked_by=sa.null(),
            started_at=unless_restart(jobs.c.started_at),
            expires_at=unless_restart(jobs.c.expires_at),
            worker_id=unless_restart(jobs.c.worker_id),
            progress=unless_restart(jobs.c.progress),
            cancel_requested=sa.and_(jobs.c.cancel_requested, sa.not_(move.c.restarts)),
            own_retention=move.c.own_retention,
            remove_at=instants.later(move.c.remove_after),
            keep_newest=move.c.keep_newest,
        )
        .returning(jobs.c.queue, *move.c)
        .cte("moved")
    )


def _recorded(tables: Tables, instants: Instants, moved: sa.CTE) -> sa.CTE:
    """Adds the runs that the moves have ended to the list of attempts."""
    written: dict[str, Any] = {
        "job_id": moved.c.id,
        "token": moved.c.token,
        "number": moved.c.number,
        "worker_id": moved.c.worker_id,
        "started_at": moved.c.started_at,
        "finished_at": sa.func.coalesce(moved.c.finished_at, instants.expression),
        "outcome": moved.c.outcome,
        "error": moved.c.attempt_error,
    }
    ended = sa.select(*written.values()).where(moved.c.outcome.is_not(None))
    return sa.insert(tables.attempts).from_select(list(written), ended).cte("recorded")


def _count_moves(tables: Tables, moved: sa.CTE) -> sa.CTE:
    left = sa.select(moved.c.queue, moved.c.source.label("state"), -sa.func.count()).group_by(
        moved.c.queue, moved.c.source
    )
    reached = sa.select(moved.c.queue, moved.c.target, sa.func.count()).group_by(
        moved.c.queue, moved.c.target
    )
    return _count(tables, sa.union_all(left, reached))


def unblock_followers(tables: Tables, instants: Instants) -> sa.Select[Any]:
    """`Job.unblock` for the jobs behind the given ones, which have ended or are gone."""
    jobs = tables.jobs
    unblocked = (
        sa.update(jobs)
        .where(
            jobs.c.blocked_by == sa.any_(sa.bindparam("ended", type_=ARRAY(JobIdColumn))),
            jobs.c.state == BLOCKED,
        )
        .values(
            state=sa.case((jobs.c.run_at > instants.expression, DELAYED), else_=WAITING),
            blocked_by=sa.null(),
        )
        .returning(jobs.c.id, jobs.c.queue, jobs.c.state)
        .cte("unblocked")
    )
    left = sa.select(unblocked.c.queue, BLOCKED, -sa.func.count()).group_by(unblocked.c.queue)
    reached = sa.select(unblocked.c.queue, unblocked.c.state, sa.func.count()).group_by(
        unblocked.c.queue, unblocked.c.state
    )
    return sa.select(unblocked.c.id).add_cte(_count(tables, sa.union_all(left, reached)))


def extend_locks(tables: Tables, instants: Instants) -> sa.UpdateBase:
    """Extends the locks of the records whose token is right; those, and what was asked of them."""
    jobs = tables.jobs
    lock = record_set("held", id=JobIdColumn, token=sa.BigInteger, state=sa.Text)
    return (
        sa.update(jobs)
        .where(
            few(lock),
            jobs.c.id == lock.c.id,
            jobs.c.lock_token == lock.c.token,
            jobs.c.state == lock.c.state,
        )
        .values(locked_until=instants.later(sa.bindparam("lock_seconds", type_=sa.Double)))
        .returning(
            _text(jobs.c.id), jobs.c.lock_token, jobs.c.cancel_requested, jobs.c.cancel_reason
        )
    )


def store_progress(tables: Tables) -> sa.UpdateBase:
    """Stores the progress of the records whose token is right; their ids and tokens."""
    jobs = tables.jobs
    report = record_set(
        "report", id=JobIdColumn, token=sa.BigInteger, state=sa.Text, progress=sa.Text
    )
    return (
        sa.update(jobs)
        .where(
            few(report),
            jobs.c.id == report.c.id,
            jobs.c.lock_token == report.c.token,
            jobs.c.state == report.c.state,
        )
        .values(progress=sa.func.coalesce(report.c.progress, jobs.c.progress))
        .returning(jobs.c.id, jobs.c.lock_token)
    )


def remove_jobs(tables: Tables, selected: sa.Select[Any]) -> sa.Select[Any]:
    """Removes the selected jobs; their ids."""
    jobs = tables.jobs
    removed = (
        sa.delete(jobs)
        .where(jobs.c.id == sa.any_(_array(selected.with_for_update(skip_locked=True))))
        .returning(jobs.c.id, jobs.c.queue, jobs.c.state)
        .cte("removed")
    )
    gone = sa.select(removed.c.queue, removed.c.state, -sa.func.count()).group_by(
        removed.c.queue, removed.c.state
    )
    return sa.select(removed.c.id).add_cte(_count(tables, gone))


def _count(tables: Tables, changes: sa.Select[Any] | sa.CompoundSelect[Any]) -> sa.CTE:
    """Adds to the counters, as rows of their own: no two writers wait for each other."""
    return (
        sa.insert(tables.counter_changes)
        .from_select(["queue", "state", "change"], changes)
        .cte("counted")
    )


def _text(job_id: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    return sa.cast(job_id, sa.Text)


def _array(select: sa.Select[Any]) -> sa.ColumnElement[Any]:
    return sa.func.array(select.scalar_subquery())
