"""Many records as the parameters of one statement."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant


def record_set(name: str, /, columns: Mapping[str, Any]) -> sa.TableValuedAlias:
    """The parameter `rows`, JSON text of a list of objects, as a table with these columns.

    One text parameter is cheaper to send than an array for each column, and keeps its order.
    """
    rows = sa.cast(sa.bindparam("rows", type_=sa.Text), postgresql.JSON)
    return (
        sa.func.json_to_recordset(rows)
        .table_valued(*(sa.column(column, _plain(kind)) for column, kind in columns.items()))
        .render_derived(name=name, with_types=True)
    )


def uniform_set(name: str, columns: Mapping[str, Any], *, apart: Collection[str]) -> sa.FromClause:
    """Records that differ in a few columns only, as a table inside a statement.

    There is a parameter for every column: a list for those in `apart`, one value for each of the
    others. It takes a fraction of what JSON does, here and on the server.
    """
    lists = {column: kind for column, kind in columns.items() if column in apart}
    arrays = [sa.bindparam(_named(column), type_=ARRAY(kind)) for column, kind in lists.items()]
    each = (
        sa.func.unnest(*arrays)
        .table_valued(*(sa.column(column, kind) for column, kind in lists.items()))
        .render_derived(name=f"each_{name}")
    )
    shared = [
        sa.cast(sa.bindparam(_named(column)), _plain(kind)).label(column)
        for column, kind in columns.items()
        if column not in apart
    ]
    return sa.select(*each.c, *shared).subquery(name)


def uniform_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `uniform_set`: a list for a column that varies, else one value."""
    return {_named(column): value for column, value in values.items()}


def _named(column: str) -> str:
    # Not as the column: SQLAlchemy would write a parameter of that name into the updated row.
    return f"new_{column}"


def _plain(kind: Any) -> Any:
    """The server's own type: a value in a record is not converted by us."""
    return postgresql.TIMESTAMP(timezone=True) if kind is Instant else kind


def few(record: Any) -> sa.ColumnElement[bool]:
    """A condition that is always true, and has the planner expect few records.

    It takes any JSON list for 100 rows. A plan that it keeps from when a table had fewer than that
    goes through the whole table and looks each row up in the list, however large the table grows.
    """
    same: sa.ColumnElement[bool] = record.c.token == record.c.token + sa.literal_column("0")
    return same


def rows_parameter(rows: Iterable[Mapping[str, Any]]) -> str:
    """Encodes records as the JSON text of the SQL parameter `rows`."""
    return json.dumps(list(rows), separators=(",", ":"))
