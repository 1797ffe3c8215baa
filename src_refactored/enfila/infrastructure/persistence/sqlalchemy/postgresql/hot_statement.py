"""Executing the few statements that make up nearly all of the traffic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPICursor

Row = Sequence[Any]


class HotStatement:
    """A statement with the same parameters each time, sent to asyncpg as the text it compiles to.

    SQLAlchemy's own execution of it, with a result and rows of its own, costs a quarter of what a
    small statement takes. So its answers are the driver's: a uuid must be cast to text in it.
    """

    def __init__(self, statement: sa.Executable) -> None:
        self._statement = statement
        self._text = ""
        self._names: tuple[str, ...] = ()
        self._constants: dict[str, Any] = {}

    def rows(self, connection: sa.Connection, parameters: dict[str, Any]) -> Sequence[Row]:
        """All rows of its answer."""
        if connection.dialect.driver != "asyncpg":
            return connection.execute(self._statement, parameters).all()
        if not self._text:
            self._compile(connection.dialect)
        if not connection.in_transaction():
            # As `execute` does: without it a later `commit` would have nothing to commit.
            connection.begin()
        given = self._constants | parameters
        values = tuple([given[name] for name in self._names])
        return _fetched(connection, self._text, values)

    def _compile(self, dialect: Dialect) -> None:
        compiled: Any = self._statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self._names = tuple(compiled.positiontup)
        self._constants = {
            name: bind.value for bind, name in compiled.bind_names.items() if not bind.required
        }
        self._text = compiled.string


def _fetched(connection: sa.Connection, text: str, values: tuple[Any, ...]) -> Sequence[Row]:
    cursor: DBAPICursor | None = None
    try:
        cursor = connection.connection.cursor()
        cursor.execute(text, values)
        return cursor.fetchall()
    except BaseException as error:  # noqa: BLE001 - what `execute` does with whatever is raised
        # Wraps the error, and drops the connection, and the pool's others, if it is lost.
        connection._handle_dbapi_exception(error, text, None, cursor, None)  # noqa: SLF001
    finally:
        if cursor is not None:
            cursor.close()
