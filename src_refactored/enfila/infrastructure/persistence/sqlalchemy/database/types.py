"""Column types that read the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A column type: an aware UTC instant to the microsecond.

    `timestamptz` where the database has it. SQLite has no such type: there it is the number of
    microseconds since 1970, which sorts, compares and fits in 64 bits.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = sa.DateTime(timezone=True)
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """A big integer on SQLite, the native type elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.BigInteger())
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database."""
        if value is None or dialect.name != "sqlite":
            return value
        return microseconds(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """None where the driver's own answer is right already: most columns of a claim are."""
        if dialect.driver == "asyncpg":
            return None
        return super().result_processor(dialect, coltype)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return _EPOCH + timedelta(microseconds=value)
        instant: datetime = value if value.tzinfo is UTC else value.astimezone(UTC)
        return instant


def microseconds(instant: datetime) -> int:
    """An instant as a number of microseconds since 1970, as SQLite stores it."""
    return (instant - _EPOCH) // _MICROSECOND


JobIdColumn = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
"""A UUID in canonical text form; a native uuid where the database has it."""

BigIdentity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A number that the database gives; SQLite does so only for its INTEGER."""

OrderedText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that is compared by code points, as SQLite does, and not by the rules of a language."""
