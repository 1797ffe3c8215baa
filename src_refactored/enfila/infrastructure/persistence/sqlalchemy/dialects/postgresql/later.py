"""Instants that lie a length of time ahead."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INTERVAL

from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock


def later(clock: DatabaseClock, seconds: sa.ColumnElement[Any]) -> sa.ColumnElement[datetime]:
    """The clock's instant plus a number of seconds, inside a statement."""
    return clock.expression + sa.cast(seconds * sa.literal_column("interval '1 second'"), INTERVAL)
