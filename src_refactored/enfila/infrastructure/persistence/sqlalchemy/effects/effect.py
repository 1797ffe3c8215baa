"""What an effect is made of, for databases that write sets and for those that write rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa

from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock


@dataclass(frozen=True, slots=True)
class ChangedSet:
    """SQL for the jobs that a statement has added, moved or removed; effects read it.

    Attributes:
        rows: the part of the statement that returns them.
        queue: the queue of each.
        source: the state that each had; None where they are new.
        target: the state that each has now; None where they are gone.
    """

    rows: sa.CTE
    queue: sa.ColumnElement[str]
    source: sa.ColumnElement[str] | None = None
    target: sa.ColumnElement[str] | None = None


class ChangedRow(NamedTuple):
    """Value object: what a transaction changed of one job, for counters and records.

    Attributes: as those of `ChangedSet`.
    """

    job_id: JobId
    queue: str
    source: str | None
    target: str | None


class SqlEffect(ABC):
    """Base of effects that follow from any change of jobs, such as the counters.

    It has two forms: a part of the statement for databases that write whole sets in one, and
    statements of its own for those that write row by row. It declares the tables that it alone
    writes.
    """

    @abstractmethod
    def of_set(self, changed: ChangedSet) -> sa.CTE | None:
        """The part of a statement that writes the consequence of a changed set, if it has any."""

    @abstractmethod
    def of_rows(
        self, connection: sa.Connection, changed: Sequence[ChangedRow], now: datetime
    ) -> None:
        """Writes the consequence of changed rows."""


class SqlMoveEffect(ABC):
    """Base of effects that the domain has put into a job's transition, such as an attempt.

    Attributes:
        kind: of which effects.
        columns: what the record of a move carries for it, with types. Where a move has no such
            effect they are null.
    """

    kind: ClassVar[type[Effect]]
    columns: ClassVar[Mapping[str, Any]]

    @abstractmethod
    def values(self, effect: Any) -> dict[str, Any]:
        """The values of `columns`, as JSON has them."""

    @abstractmethod
    def of_moves(self, moved: sa.CTE, clock: DatabaseClock) -> sa.CTE:
        """The part of the statement that stores the effects of moves that were applied.

        `moved` has the columns of the record, and the `queue` of the job.
        """

    @abstractmethod
    def store(
        self,
        connection: sa.Connection,
        effects: Sequence[tuple[Transition, Any]],
        now: datetime,
    ) -> None:
        """Stores effects, row by row, of moves that were applied."""
