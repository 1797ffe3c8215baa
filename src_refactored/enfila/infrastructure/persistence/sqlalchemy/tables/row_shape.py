"""One declaration for each kind of row: its table, its values and its reading are made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a row: its name, type, reader and writer.

    Attributes:
        name: in the database.
        kind: its SQLAlchemy type.
        field: the attribute of the entity, or the path to it; the name when it is empty.
        read: turns what is stored into the attribute; None if it is stored as it is.
        write: turns the attribute into what is stored; None likewise.
        is_optional: whether it may be null.
        is_key: whether it belongs to the primary key.
    """

    name: str
    kind: Any
    field: str = ""
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None
    is_optional: bool = False
    is_key: bool = False

    @property
    def attribute(self) -> str:
        """The attribute of the entity."""
        return self.field or self.name

    def values(self, entities: Iterable[object]) -> list[Any]:
        """What is stored of entities."""
        found = map(attrgetter(self.attribute), entities)
        return list(found if self.write is None else map(self.write, found))

    def declared(self, *constraints: sa.schema.SchemaItem) -> sa.Column[Any]:
        """The column for a table."""
        return sa.Column(
            self.name,
            self.kind,
            *constraints,
            primary_key=self.is_key,
            nullable=self.is_optional,
            autoincrement=False if self.is_key else "auto",
        )


class RowShape(Generic[E]):
    """The columns of an entity, in the order in which its class takes them."""

    def __init__(self, make: Callable[..., E], columns: Sequence[Column]) -> None:
        self._make = make
        self.columns = tuple(columns)
        self._readers = [
            (place, column.read)
            for place, column in enumerate(self.columns)
            if column.read is not None
        ]
        self._attributes = attrgetter(*(column.attribute for column in self.columns))

    def of(self, table: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """The columns to be selected for `entity`."""
        return [table.c[column.name] for column in self.columns]

    def entity(self, row: Sequence[Any]) -> E:
        """The entity that a row with these columns tells of."""
        values = list(row)
        for place, read in self._readers:
            values[place] = read(values[place])
        return self._make(*values)

    def values(self, entity: E) -> dict[str, Any]:
        """What is stored of an entity, by column."""
        return {
            column.name: found if column.write is None else column.write(found)
            for column, found in zip(self.columns, self._attributes(entity), strict=True)
        }
