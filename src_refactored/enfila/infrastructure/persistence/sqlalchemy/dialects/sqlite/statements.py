"""The statements about jobs, one builder each, in SQL that SQLite knows."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite import values
from enfila.infrastructure.persistence.sqlalchemy.jobs.eligibility import (
    Eligibility,
    first_of_both,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import job_columns
from enfila.infrastructure.persistence.sqlalchemy.tables.moves import assignments
from enfila.infrastructure.persistence.sqlalchemy.tables.states import ACTIVE
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

_NOW = sa.bindparam("now", type_=Instant)


def given_ids() -> sa.Select[tuple[str]]:
    """SQL for the ids in a parameter that is a JSON list: one parameter, however many there are."""
    each = sa.func.json_each(sa.bindparam("ids", type_=sa.Text)).table_valued("value")
    return sa.select(sa.type_coerce(each.c.value, sa.Text))


def next_positions(tables: Tables) -> sa.UpdateBase:
    """Reserves `count` numbers for the order of new jobs, and returns the last of them."""
    counter = tables.position_counter
    return (
        sa.update(counter)
        .values(last=counter.c.last + sa.bindparam("count", type_=sa.Integer))
        .returning(counter.c.last)
    )


def add_jobs(tables: Tables) -> sa.UpdateBase:
    """Statement: inserts new jobs; one that is there already stays as it is."""
    return sqlite.insert(tables.jobs).on_conflict_do_nothing(index_elements=[tables.jobs.c.id])


def places(tables: Tables) -> sa.Select[Any]:
    """Statement: where new jobs stand in the order of their queue, and when they were added."""
    jobs = tables.jobs
    return sa.select(jobs.c.id, jobs.c.position, jobs.c.created_at).where(
        jobs.c.id.in_(given_ids())
    )


def eligible_jobs(tables: Tables, *, by_name: bool) -> sa.Select[Any]:
    """The first `limit` eligible jobs of a queue in the order to run them; `job_columns`."""
    jobs = tables.jobs
    columns = job_columns(jobs)
    names = sa.bindparam("names", expanding=True, type_=sa.Text)
    eligibility = Eligibility(tables, _NOW, named=jobs.c.name.in_(names) if by_name else None)
    waiting = eligibility.waiting(*columns).subquery("waiting")
    is_due = jobs.c.id.in_(eligibility.due_ids())
    due = eligibility.due(*columns, of=is_due).subquery("due")
    return first_of_both(waiting, due)


def take_jobs(tables: Tables) -> sa.UpdateBase:
    """Statement: makes the given jobs active."""
    jobs = tables.jobs
    return (
        sa.update(jobs)
        .where(jobs.c.id.in_(given_ids()))
        .values(
            state=ACTIVE,
            lock_token=jobs.c.lock_token + 1,
            attempt=jobs.c.attempt + 1,
            worker_id=sa.bindparam("worker", type_=sa.Text),
            locked_until=sa.bindparam("until", type_=Instant),
            started_at=_NOW,
            expires_at=sa.null(),
        )
    )


def job_states(tables: Tables) -> sa.Select[Any]:
    """Statement: state, token and what else a move is compared with, of the given jobs.

    Each with id, queue, state, token, whether and why it is to be cancelled, and whether others
    depend on it.
    """
    jobs = tables.jobs
    return sa.select(
        jobs.c.id,
        jobs.c.queue,
        jobs.c.state,
        jobs.c.lock_token,
        jobs.c.cancel_requested,
        jobs.c.cancel_reason,
        jobs.c.has_dependents,
    ).where(jobs.c.id.in_(given_ids()))


def move_job(tables: Tables) -> sa.UpdateBase:
    """Writes one transition, whose job was compared before under the same lock."""
    jobs = tables.jobs
    now = sa.bindparam(values.NOW, type_=Instant)
    return (
        sa.update(jobs)
        .where(jobs.c.id == sa.bindparam(values.JOB, type_=jobs.c.id.type))
        .values(assignments(jobs, values.given, values.later, now))
    )


def extend_locks(tables: Tables) -> sa.UpdateBase:
    """Statement: makes the locks of the given jobs hold until the parameter `until`."""
    jobs = tables.jobs
    return (
        sa.update(jobs)
        .where(jobs.c.id.in_(given_ids()))
        .values(locked_until=sa.bindparam("until", type_=Instant))
    )


def store_progress(tables: Tables) -> sa.UpdateBase:
    """Statement: stores the progress of one job."""
    jobs = tables.jobs
    return (
        sa.update(jobs)
        .where(jobs.c.id == sa.bindparam("job", type_=jobs.c.id.type))
        .values(progress=sa.bindparam("latest"))
    )


def remove_jobs(tables: Tables) -> sa.UpdateBase:
    """Statement: deletes the given jobs, and returns what counters and dependents need of them."""
    jobs = tables.jobs
    return (
        sa.delete(jobs)
        .where(jobs.c.id.in_(given_ids()))
        .returning(jobs.c.id, jobs.c.queue, jobs.c.state, jobs.c.has_dependents)
    )
