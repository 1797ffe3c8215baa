"""The runs that moves have ended, as records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.types import TIMESTAMP

from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.running.attempt import Attempt, AttemptOutcome
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant, JobIdColumn
from enfila.infrastructure.persistence.sqlalchemy.effects.effect import SqlMoveEffect
from enfila.infrastructure.persistence.sqlalchemy.tables.row_shape import Column, RowShape
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables
from enfila.infrastructure.persistence.sqlalchemy.tables.text import error_of, error_text

_SHAPE: Final = RowShape(
    Attempt,
    (
        Column("number", sa.Integer),
        Column("token", sa.BigInteger, is_key=True),
        Column("worker_id", sa.String(36), is_optional=True),
        Column("started_at", Instant, is_optional=True),
        Column("finished_at", Instant, is_optional=True),
        Column("outcome", sa.Text, read=AttemptOutcome, write=attrgetter("value")),
        Column("error", sa.Text, read=error_of, write=error_text, is_optional=True),
    ),
)
_PREFIX: Final = "attempt_"
_IN_A_RECORD: Final = {Instant: TIMESTAMP(timezone=True), sa.BigInteger: sa.BigInteger}


class Attempts(SqlMoveEffect):
    """Effect: records the runs that moves have ended, and reads the records."""

    kind: ClassVar[type[Effect]] = Attempt
    columns: ClassVar[Mapping[str, Any]] = {
        f"{_PREFIX}{column.name}": _IN_A_RECORD.get(column.kind, column.kind)
        for column in _SHAPE.columns
    }

    def __init__(self, tables: Tables) -> None:
        self.table = sa.Table(
            f"{tables.prefix}attempts",
            tables.metadata,
            sa.Column(
                "job_id",
                JobIdColumn,
                sa.ForeignKey(tables.jobs.c.id, ondelete="CASCADE"),
                primary_key=True,
            ),
            *(column.declared() for column in _SHAPE.columns),
        )

    def values(self, effect: Attempt) -> dict[str, Any]:
        """See `SqlMoveEffect.values`."""
        return {
            f"{_PREFIX}{name}": value.isoformat() if isinstance(value, datetime) else value
            for name, value in _SHAPE.values(effect).items()
        }

    def of_moves(self, moved: sa.CTE, clock: DatabaseClock) -> sa.CTE:
        """See `SqlMoveEffect.of_moves`."""
        written: dict[str, Any] = {"job_id": moved.c.id}
        for column in _SHAPE.columns:
            written[column.name] = moved.c[f"{_PREFIX}{column.name}"]
        # A run that ends with the move ends at the instant of the move.
        written["finished_at"] = sa.func.coalesce(written["finished_at"], clock.expression)
        ended = sa.select(*written.values()).where(written["outcome"].is_not(None))
        return sa.insert(self.table).from_select(list(written), ended).cte("recorded")

    def store(
        self,
        connection: sa.Connection,
        effects: Sequence[tuple[Transition, Attempt]],
        now: datetime,
    ) -> None:
        """See `SqlMoveEffect.store`."""
        rows = [
            {
                "job_id": move.job_id,
                **_SHAPE.values(attempt),
                "finished_at": attempt.finished_at or now,
            }
            for move, attempt in effects
        ]
        connection.execute(sa.insert(self.table), rows)

    def read(self, connection: sa.Connection, job_id: JobId) -> list[Attempt]:
        """The recorded runs of a job, the oldest first."""
        attempts = self.table
        rows = connection.execute(
            sa.select(*_SHAPE.of(attempts))
            .where(attempts.c.job_id == job_id)
            .order_by(attempts.c.token)
        )
        return [_SHAPE.entity(row) for row in rows]
