"""Which jobs a claim may take, said once for all databases (`IJobRepository.claim` lists it)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.infrastructure.persistence.sqlalchemy.tables.states import DELAYED, WAITING
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables

FROM_QUEUE: Final = sa.bindparam("from_queue", type_=sa.Text)
LIMIT: Final = sa.bindparam("limit", type_=sa.Integer)


# How many due jobs one claim weighs against each other. Promotion puts the due ones in line all
# the time; the limit only keeps a claim cheap when very many come due at the same moment.
_MOST_DUE_AT_ONCE: Final = 1_000


class Eligibility:
    """The conditions under which a job can be claimed, as parts of a query.

    Args:
        now: the instant of the claim, as an expression.
        named: that a job's name is one of those that are taken, which leaves out those of
            disabled types; None for all.
    """

    def __init__(
        self,
        tables: Tables,
        now: sa.ColumnElement[datetime],
        *,
        named: sa.ColumnElement[bool] | None,
    ) -> None:
        self._jobs = tables.jobs
        self._queues = tables.queues
        self._types = tables.job_types
        self._now = now
        self._named = named
        self.order = (self._jobs.c.priority, self._jobs.c.position)

    def waiting(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """The first waiting jobs, in the order to run them."""
        return self._first(columns, self._jobs.c.state == WAITING, *self._conditions())

    def due(self, *columns: sa.ColumnElement[Any], of: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """The first due jobs, in the order to run them, of those that `of` restricts to."""
        return self._first(columns, of)

    def due_ids(self) -> sa.Select[Any]:
        """The ids of delayed jobs whose time has come, the longest due first."""
        jobs = self._jobs
        return (
            sa.select(jobs.c.id)
            .where(jobs.c.state == DELAYED, *self._conditions())
            .order_by(jobs.c.run_at, jobs.c.position)
            .limit(sa.literal_column(str(_MOST_DUE_AT_ONCE)))
        )

    def _first(
        self, columns: tuple[sa.ColumnElement[Any], ...], *conditions: sa.ColumnElement[bool]
    ) -> sa.Select[Any]:
        return sa.select(*columns).where(*conditions).order_by(*self.order).limit(LIMIT)

    def _conditions(self) -> list[sa.ColumnElement[bool]]:
        jobs, queues = self._jobs, self._queues
        paused = sa.exists().where(queues.c.name == FROM_QUEUE, queues.c.paused_at.is_not(None))
        conditions = [
            jobs.c.queue == FROM_QUEUE,
            jobs.c.run_at <= self._now,
            sa.or_(
                jobs.c.expires_at.is_(None),
                jobs.c.started_at.is_not(None),
                jobs.c.expires_at > self._now,
            ),
            sa.not_(paused),
        ]
        if self._named is not None:
            types = self._types
            disabled = sa.select(types.c.name).where(sa.not_(types.c.enabled))
            # Asked once for a claim, not once for a row: the table is small.
            conditions += [self._named, jobs.c.name.not_in(disabled)]
        return conditions


def first_of_both(waiting: sa.FromClause, due: sa.FromClause) -> sa.Select[Any]:
    """The first of waiting and due jobs together, in the order to run them."""
    both = sa.union_all(sa.select(waiting), sa.select(due)).subquery("eligible")
    return sa.select(both).order_by(both.c.priority, both.c.position).limit(LIMIT)
