"""A statement that is compiled once, and one execution of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

T = TypeVar("T")
Row = Sequence[Any]


class PreparedStatement:
    """A statement of which only the parameters change, compiled once.

    A driver that is asked directly (`DirectExecution`) is given its text and answers with its own
    rows, so a uuid must be cast to text in it.
    """

    def __init__(self, statement: sa.Executable) -> None:
        self.statement = statement
        self._text = ""
        self._names: tuple[str, ...] = ()
        self._constants: dict[str, Any] = {}

    def on_driver(
        self, parameters: dict[str, Any], dialect: Dialect
    ) -> tuple[str, tuple[Any, ...]]:
        """Its text, and the parameters in their order, for a driver that is asked directly."""
        if not self._text:
            self._compile(dialect)
        given = self._constants | parameters
        return self._text, tuple([given[name] for name in self._names])

    def _compile(self, dialect: Dialect) -> None:
        compiled: Any = self.statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self._names = tuple(compiled.positiontup)
        self._constants = {
            name: bind.value for bind, name in compiled.bind_names.items() if not bind.required
        }
        self._text = compiled.string


@dataclass(frozen=True, slots=True)
class StatementCall(Generic[T]):
    """Value object: one execution of a statement that is atomic by itself.

    Attributes:
        read: what its rows mean; or the call that follows from them.
    """

    statement: PreparedStatement
    parameters: dict[str, Any]
    read: Callable[[Sequence[Row]], T | StatementCall[T]]

    def on(self, connection: sa.Connection) -> T:
        """The answer, in the transaction of `connection`."""
        return followed_up(self.read(self.rows(connection)), connection)

    def rows(self, connection: sa.Connection) -> Sequence[Row]:
        """The rows of the answer, not read yet."""
        return connection.execute(self.statement.statement, self.parameters).all()


def followed_up(read: T | StatementCall[T], connection: sa.Connection) -> T:
    """The answer of a statement, after the further statements that it may ask for."""
    return read.on(connection) if isinstance(read, StatementCall) else read
