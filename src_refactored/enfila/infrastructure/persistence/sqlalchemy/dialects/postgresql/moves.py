"""Transitions to be applied, as the parameters of one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import seconds
from enfila.infrastructure.persistence.sqlalchemy.database.types import JobIdColumn
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    rows_parameter,
    uniform_parameters,
)
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.tables.moves import FIELDS, LENGTHS, RESULT

COLUMNS: Final[Mapping[str, Any]] = {
    "id": JobIdColumn,
    "token": sa.BigInteger,
    "source": sa.Text,
    **{field.name: field.kind for field in (*FIELDS, RESULT)},
    **{length.name: sa.Double for length in LENGTHS},
}
"""The columns of a record of a move, besides those of its effects."""
# The source is the same for all, and yet a list: a constant state would let the planner choose the
# partial index of that state (see `statements.moved`).
APART: Final = ("id", "token", "source", "result")
"""The columns that differ between uniform moves."""


def uniform_records(moves: Sequence[Transition]) -> dict[str, Any]:
    """The SQL parameters for transitions that differ in job and result only, without effects."""
    ordered = sorted(moves, key=attrgetter("job_id"))
    return uniform_parameters(
        {
            **_shared(ordered[0]),
            "id": [move.job_id for move in ordered],
            "token": [move.token for move in ordered],
            "source": [move.source.value for move in ordered],
            "result": [RESULT.value(move) for move in ordered],
        }
    )


def records(moves: Sequence[Transition], effects: Effects) -> dict[str, Any]:
    """Turns job transitions into the parameters of the statement that applies them."""
    rows = [_record(move, effects) for move in moves]
    rows.sort(key=itemgetter("id"))
    return {"rows": rows_parameter(rows)}


def _record(move: Transition, effects: Effects) -> dict[str, Any]:
    record = {
        "id": move.job_id,
        "token": move.token,
        "source": move.source.value,
        **_shared(move),
        "result": RESULT.value(move),
        **effects.values(move.effects),
    }
    # What is left out is null.
    return {name: value for name, value in record.items() if value is not None}


def _shared(move: Transition) -> dict[str, Any]:
    return {
        **{field.name: field.value(move) for field in FIELDS},
        **{length.name: seconds(length.value(move)) for length in LENGTHS},
    }
