"""Connection poolers such as PgBouncer: how one is noticed, and what is done differently then.

In transaction mode a pooler lends a connection to the server for one transaction at a time. What
was set or prepared before is somewhere else at the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.errors import (
    sql_state,
)

SERVERS_DATESTYLE: Final = "ISO, YMD"
"""How a server repeats the DateStyle `ISO,YMD` that is asked of it when a connection begins.

A pooler answers for a server that was connected before: it repeats the words as they came, or
names the server's own setting.
"""
_REFUSALS: Final = (
    "unsupported startup parameter",  # PgBouncer
    "RDS Proxy currently doesn",  # options
)
# A prepared statement that does not exist, or exists already.
_STATES: Final = frozenset({"26000", "42P05"})
# `begin` says it; the name of an application is sent at the start, as poolers know it.
_NOT_SET: Final = frozenset({"default_transaction_isolation", "application_name"})


class PoolerFoundError(Exception):
    """A connection that was made as if to a server leads to a pooler."""


def is_sign_of_pooler(error: BaseException | None) -> bool:
    """Whether an error comes from what only fails behind a pooler."""
    while error is not None:
        if (
            isinstance(error, PoolerFoundError)
            or sql_state(error) in _STATES
            or any(refusal in str(error) for refusal in _REFUSALS)
        ):
            return True
        error = error.__cause__
    return False


def beginning(settings: Mapping[str, str]) -> str:
    """The text that begins a transaction with these settings, in one round trip."""
    calls = [
        f"set_config({_literal(name)}, {_literal(value)}, true)"
        for name, value in settings.items()
        if name not in _NOT_SET
    ]
    return f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT {', '.join(calls)}"


def without_names(adapter: Any) -> None:
    """Has SQLAlchemy's adapter of asyncpg give no statement a name, and keep none."""
    adapter._prepared_statement_cache = None  # noqa: SLF001 - only `connect` could say so
    adapter._prepared_statement_name_func = str  # noqa: SLF001 - as above


def _literal(text: str) -> str:
    # Right whatever standard_conforming_strings is.
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
