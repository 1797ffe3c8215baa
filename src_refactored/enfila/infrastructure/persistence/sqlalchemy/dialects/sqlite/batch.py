"""One statement, executed for many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from enfila.infrastructure.persistence.sqlalchemy.database.types import Instant, microseconds


class Batch:
    """A statement of SQLite whose rows are handed to the driver as they are.

    SQLAlchemy compiles it; its handling of every single value would take longer than SQLite takes
    to write the row. Only instants are converted, by their own type. An insert names the columns
    that its first row has.
    """

    def __init__(self, statement: sa.UpdateBase) -> None:
        self._statement = statement
        self._sql = ""
        self._names: list[str] = []
        self._instants: list[int] = []
        self._values_of: Callable[[Mapping[str, Any]], Iterable[Any]] = Mapping.values

    def execute(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Executes it for all rows; how many rows it wrote."""
        if not self._sql:
            self._compile(connection.dialect, rows[0])
        values = [tuple(self._stored(row)) for row in rows]
        return connection.exec_driver_sql(self._sql, values).rowcount

    def execute_uniform(
        self,
        connection: sa.Connection,
        row: Mapping[str, Any],
        apart: Mapping[str, Sequence[Any]],
    ) -> int:
        """As `execute`, for rows that are as `row` but for the columns in `apart`."""
        row = {**row, **dict.fromkeys(apart)}
        if not self._sql:
            self._compile(connection.dialect, row)
        columns = [
            apart[name] if name in apart else repeat(value)
            for name, value in zip(self._names, self._stored(row), strict=True)
        ]
        return connection.exec_driver_sql(self._sql, list(zip(*columns, strict=False))).rowcount

    def _stored(self, row: Mapping[str, Any]) -> list[Any]:
        """The values of a row as the driver takes them, in their order."""
        values = list(self._values_of(row))
        for place in self._instants:
            if values[place] is not None:
                values[place] = microseconds(values[place])
        return values

    def _compile(self, dialect: sa.Dialect, row: Mapping[str, Any]) -> None:
        columns = list(row) if self._statement.is_insert else None
        compiled = self._statement.compile(dialect=dialect, column_keys=columns)
        if not isinstance(compiled, sa.sql.compiler.SQLCompiler) or compiled.positiontup is None:
            raise TypeError("the driver takes no positional parameters")
        self._names = names = compiled.positiontup
        self._instants = [
            place
            for place, name in enumerate(names)
            if isinstance(compiled.binds[name].type, Instant)
        ]
        self._values_of = itemgetter(*names)
        self._sql = str(compiled)
