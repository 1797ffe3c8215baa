"""Jobs to be added, as the parameters of one statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from enfila.core.application.runtime.garbage_collection import without_garbage_collection
from enfila.core.domain.job.job import Job
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import (
    DatabaseClock,
    seconds,
)
from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.later import later
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    uniform_parameters,
)
from enfila.infrastructure.persistence.sqlalchemy.tables.jobs import (
    CONSTANTS,
    NEW_COLUMNS,
    each_values,
    kind_of,
    shared_values,
)

_quoted = json.encoder.encode_basestring_ascii

COLUMNS: Final[Mapping[str, Any]] = {
    **NEW_COLUMNS,
    # What the computed columns are made of.
    "lifo": sa.Boolean,
    "run_at": Instant,
    "delay": sa.Double,
    "expires_in": sa.Double,
}
"""The columns of a record of a new job."""


def written(
    new: sa.FromClause, position: sa.ColumnElement[int], clock: DatabaseClock
) -> dict[str, sa.ColumnElement[Any]]:
    """The values that a statement inserts for a new job, by column."""
    now = clock.expression
    return {
        **{name: new.c[name] for name in NEW_COLUMNS},
        **{name: _constant(value) for name, value in CONSTANTS.items()},
        "position": sa.case((new.c.lifo, -position), else_=position),
        "created_at": now,
        "run_at": sa.func.coalesce(new.c.run_at, later(clock, new.c.delay)),
        "expires_at": later(clock, new.c.expires_in),
    }


def _constant(value: object) -> sa.ColumnElement[Any]:
    """A value as a part of the text of the statement."""
    if isinstance(value, bool):
        return sa.true() if value else sa.false()
    return sa.literal_column(str(value))


def uniform_records(jobs: Sequence[Job]) -> dict[str, Any]:
    """The SQL parameters for new jobs that differ in their ids and payloads only."""
    return uniform_parameters({**_shared(jobs[0]), **each_values(jobs)})


def records(jobs: Sequence[Job]) -> dict[str, Any]:
    """The SQL parameters for new jobs that may differ in every column.

    What jobs of a kind share is written as JSON once.
    """
    shared: dict[tuple[object, ...], str] = {}
    rows: list[str] = []
    with without_garbage_collection():
        for job in jobs:
            # Options by identity: to hash them costs more than to write them.
            kind = (id(job.options), *kind_of(job))
            rest = shared.get(kind)
            if rest is None:
                rest = shared[kind] = _shared_json(job)
            rows.append(f'{{"id":"{job.id}","payload":{_quoted(job.document.text)},{rest}')
    return {"rows": f"[{','.join(rows)}]"}


def _shared_json(job: Job) -> str:
    """`_shared` as JSON without the brace that opens the object."""
    return json.dumps(_shared(job), default=datetime.isoformat, separators=(",", ":"))[1:]


def _shared(job: Job) -> dict[str, Any]:
    options = job.options
    return {
        **shared_values(job),
        "lifo": options.lifo,
        "run_at": options.run_at,
        "delay": options.delay.total_seconds(),
        "expires_in": seconds(options.expires_in),
    }
