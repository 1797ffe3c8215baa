"""The statements about jobs, one builder each. What each must do stands in `IJobRepository`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.types import JobIdColumn
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql import moves, new_jobs
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.later import later
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    few,
    record_set,
    uniform_set,
)
from enfila.infrastructure.persistence.sqlalchemy.effects.effect import ChangedSet
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.jobs.eligibility import (
    FROM_QUEUE,
    Eligibility,
    first_of_both,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import EACH_NEW, claimed_columns
from enfila.infrastructure.persistence.sqlalchemy.tables.moves import assignments
from enfila.infrastructure.persistence.sqlalchemy.tables.states import ACTIVE, BLOCKED, literal
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_NOT_DELAYED: Final = [literal(state) for state in JobState if state is not JobState.DELAYED]


class Statements:
    """Builds the SQL statements about jobs for PostgreSQL, composed with the effects that apply."""

    def __init__(self, tables: Tables, clock: DatabaseClock, effects: Effects) -> None:
        self._tables = tables
        self._jobs = tables.jobs
        self._clock = clock
        self._effects = effects

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    def add(self) -> sa.Select[Any]:
        """Inserts the records; each one's id (as text), position and the instant."""
        return self._add(record_set("new", new_jobs.COLUMNS))

    def add_uniform(self) -> sa.Select[Any]:
        """As `add`, for jobs that differ in their ids and payloads only."""
        return self._add(uniform_set("new", new_jobs.COLUMNS, apart=EACH_NEW))

    def _add(self, new: sa.FromClause) -> sa.Select[Any]:
        jobs = self._jobs
        written = new_jobs.written(new, self._tables.positions.next_value(), self._clock)
        added = (
            postgresql.insert(jobs)
            .from_select(list(written), sa.select(*written.values()))
            # A write whose answer never arrived is tried again with the same ids.
            .on_conflict_do_nothing(index_elements=[jobs.c.id])
            .returning(jobs.c.id, jobs.c.queue, jobs.c.state, jobs.c.position, jobs.c.created_at)
            .cte("added")
        )
        changed = ChangedSet(added, added.c.queue, target=added.c.state)
        answer = sa.select(_text(added.c.id), added.c.position, added.c.created_at, _notified())
        return answer.add_cte(*self._effects.of_set(changed))

    def find_places(self) -> sa.Select[Any]:
        """What `add` answers, of jobs that are stored."""
        jobs = self._jobs
        return sa.select(_text(jobs.c.id), jobs.c.position, jobs.c.created_at).where(
            jobs.c.id == sa.any_(sa.bindparam("ids", type_=ARRAY(JobIdColumn)))
        )

    # ── claiming ─────────────────────────────────────────────────────────────────────────────

    def claim(self, *, by_name: bool) -> sa.Select[Any]:
        """Locks the first eligible jobs of a queue; `claimed_columns` of each."""
        jobs, clock = self._jobs, self._clock
        names = sa.any_(sa.bindparam("names", type_=ARRAY(sa.Text)))
        eligibility = Eligibility(
            self._tables, clock.expression, named=jobs.c.name == names if by_name else None
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
            # An array of ids, so that rows are found by primary key whatever the statistics say.
            .where(jobs.c.id == sa.any_(_array(sa.select(picked.c.id))))
            .values(
                state=ACTIVE,
                lock_token=jobs.c.lock_token + 1,
                attempt=jobs.c.attempt + 1,
                worker_id=sa.bindparam("claimant", type_=sa.Text),
                locked_until=later(clock, sa.bindparam("lock_seconds", type_=sa.Double)),
                started_at=clock.expression,
                expires_at=sa.null(),
            )
            .returning(*claimed_columns(jobs))
            .cte("claimed")
        )
        changed = ChangedSet(picked, FROM_QUEUE, source=picked.c.state, target=ACTIVE)
        return sa.select(claimed).add_cte(*self._effects.of_set(changed))

    # ── moving ───────────────────────────────────────────────────────────────────────────────

    def apply(self, kinds: Collection[type[Effect]], *, with_dependents: bool) -> sa.Select[Any]:
        """Compare-and-set of the records; the id (as text), token and instant of those applied.

        `with_dependents` moves jobs that others depend on too. Those must then be released by a
        further statement of the same transaction: one that was added while this statement waited
        for its job's row is not in this statement's snapshot.

        Args:
            kinds: the effects that the records carry.
            with_dependents: whether jobs that others depend on are moved, when they end.
        """
        columns = {**moves.COLUMNS, **self._effects.columns(kinds)}
        move = sa.select(record_set("record", columns)).cte("move")
        moved = self._moved(move, with_dependents=with_dependents)
        stored = self._effects.of_moves(kinds, moved, self._clock)
        return self._answer(moved).add_cte(*stored)

    def apply_uniform(self) -> sa.Select[Any]:
        """As `apply`, for uniform moves that carry no effects, as a worker's completed jobs."""
        move = sa.select(uniform_set("record", moves.COLUMNS, apart=moves.APART)).cte("move")
        return self._answer(self._moved(move, with_dependents=False))

    def _answer(self, moved: sa.CTE) -> sa.Select[Any]:
        changed = ChangedSet(moved, moved.c.queue, source=moved.c.source, target=moved.c.target)
        answer = sa.select(_text(moved.c.id), moved.c.token, self._clock.expression)
        return answer.add_cte(*self._effects.of_set(changed))

    def _moved(self, move: sa.CTE, *, with_dependents: bool) -> sa.CTE:
        jobs, clock = self._jobs, self._clock
        others_wait = sa.and_(move.c.final, jobs.c.has_dependents)
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
                *([] if with_dependents else [sa.not_(others_wait)]),
            )
            .values(
                assignments(
                    jobs,
                    given=lambda name: move.c[name],
                    later=lambda name: later(clock, move.c[name]),
                    now=clock.expression,
                )
            )
            .returning(jobs.c.queue, *move.c)
            .cte("moved")
        )

    def release(self) -> sa.Select[Any]:
        """Meets the dependencies on the jobs `ended`; how many jobs were looked at."""
        ended = sa.bindparam("ended", type_=ARRAY(JobIdColumn))
        looked_at, unblocked = self._effects.dependencies.released_set(self._clock, ended)
        changed = ChangedSet(unblocked, unblocked.c.queue, source=BLOCKED, target=unblocked.c.state)
        answer = sa.select(sa.func.count()).select_from(looked_at)
        return answer.add_cte(*self._effects.of_set(changed))

    # ── what holders of locks write ──────────────────────────────────────────────────────────

    def extend_locks(self) -> sa.UpdateBase:
        """Extends the locks of the records whose token is right; those, and what is asked of them.

        Each with id (as text), token, and whether and why it is to be cancelled.
        """
        jobs = self._jobs
        held = record_set("held", {"id": JobIdColumn, "token": sa.BigInteger, "state": sa.Text})
        return (
            sa.update(jobs)
            .where(*self._is_held(held))
            .values(locked_until=later(self._clock, sa.bindparam("lock_seconds", type_=sa.Double)))
            .returning(
                _text(jobs.c.id), jobs.c.lock_token, jobs.c.cancel_requested, jobs.c.cancel_reason
            )
        )

    def store_progress(self) -> sa.UpdateBase:
        """Stores the progress of the records whose token is right; their ids and tokens."""
        jobs = self._jobs
        update = record_set(
            "update",
            {"id": JobIdColumn, "token": sa.BigInteger, "state": sa.Text, "progress": sa.Text},
        )
        return (
            sa.update(jobs)
            .where(*self._is_held(update))
            .values(progress=sa.func.coalesce(update.c.progress, jobs.c.progress))
            .returning(jobs.c.id, jobs.c.lock_token)
        )

    def _is_held(self, record: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        jobs = self._jobs
        return [
            few(record),
            jobs.c.id == record.c.id,
            jobs.c.lock_token == record.c.token,
            jobs.c.state == record.c.state,
        ]

    # ── removing ─────────────────────────────────────────────────────────────────────────────

    def remove(self, selected: sa.Select[Any]) -> sa.Select[Any]:
        """Removes the selected jobs; their ids, and whether others depended on them."""
        jobs = self._jobs
        removed = (
            sa.delete(jobs)
            .where(jobs.c.id == sa.any_(_array(selected.with_for_update(skip_locked=True))))
            .returning(jobs.c.id, jobs.c.queue, jobs.c.state, jobs.c.has_dependents)
            .cte("removed")
        )
        changed = ChangedSet(removed, removed.c.queue, source=removed.c.state)
        answer = sa.select(removed.c.id, removed.c.has_dependents)
        return answer.add_cte(*self._effects.of_set(changed))

    def remove_ended(self) -> sa.Select[Any]:
        """Deletes jobs by records with the right state and token, unless somebody waits for them.

        The id (as text), token and instant of those that are gone.
        """
        jobs = self._jobs
        columns = {"id": JobIdColumn, "token": sa.BigInteger, "state": sa.Text}
        ended = uniform_set("ended", columns, apart=("id", "token"))
        removed = (
            sa.delete(jobs)
            .where(*self._is_held(ended), sa.not_(jobs.c.has_dependents))
            .returning(jobs.c.id, jobs.c.lock_token, jobs.c.queue, jobs.c.state)
            .cte("removed")
        )
        changed = ChangedSet(removed, removed.c.queue, source=removed.c.state)
        answer = sa.select(_text(removed.c.id), removed.c.lock_token, self._clock.expression)
        return answer.add_cte(*self._effects.of_set(changed))


def _notified() -> sa.ColumnElement[Any]:
    """Sends a notification, once for the statement, unless its channel is null."""
    channel = sa.bindparam("channel", type_=sa.Text)
    sending = sa.func.pg_notify(channel, sa.bindparam("text", type_=sa.Text))
    return sa.select(sa.cast(sending, sa.Text)).where(channel.is_not(None)).scalar_subquery()


def _text(job_id: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    return sa.cast(job_id, sa.Text)


def _array(select: sa.Select[Any]) -> sa.ColumnElement[Any]:
    return sa.func.array(select.scalar_subquery())
