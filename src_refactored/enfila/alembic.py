"""For projects that use Alembic themselves, on the database in which enfila's tables are.

`alembic revision --autogenerate` compares a database with the project's own tables, and proposes to
drop all others. In `env.py` this leaves enfila's alone:

    from enfila.alembic import include_name

    context.configure(..., include_name=include_name)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import DEFAULT_PREFIX, build_tables

IncludeName = Callable[[str | None, str, Mapping[str, str | None]], bool]
"""What Alembic's `include_name` takes: a name, of what, and the names around it."""


def leaving_out(
    *,
    schema: str | None = None,
    table_prefix: str = DEFAULT_PREFIX,
    also: IncludeName | None = None,
) -> IncludeName:
    """An `include_name` for an installation with a schema or a prefix of its own.

    Args:
        schema: as that of `Enfila`.
        table_prefix: as that of `Enfila`.
        also: an `include_name` of the project's own, asked about everything else.

    Raises:
        InvalidRequest: not a name of a schema, or not a prefix.
    """
    tables = build_tables(schema, table_prefix)
    _ = Effects(tables)  # they declare tables of their own
    ours = {table.name for table in tables.metadata.tables.values()}
    ours.add(f"{table_prefix}schema_version")

    def include_name(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:
        place = parent_names.get("schema_name")
        if type_ == "table" and name in ours and (schema is None or place in {schema, None}):
            return False
        return also is None or also(name, type_, parent_names)

    return include_name


include_name: IncludeName = leaving_out()
"""Leaves out enfila's tables, under the default prefix, in the schema where they are."""
