"""The states of a job inside statements."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from enfila.core.domain.job.state import JobState


def literal(state: JobState) -> sa.ColumnElement[str]:
    """A job's state as SQL text and not as a parameter, so that its partial index is used."""
    return sa.literal_column(f"'{state.value}'", sa.Text)


ACTIVE: Final = literal(JobState.ACTIVE)
WAITING: Final = literal(JobState.WAITING)
DELAYED: Final = literal(JobState.DELAYED)
BLOCKED: Final = literal(JobState.BLOCKED)
