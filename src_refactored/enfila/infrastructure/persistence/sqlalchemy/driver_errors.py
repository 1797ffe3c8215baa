"""What drivers raise, in enfila's words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import exc

from enfila.core.domain.errors import EnfilaError, RepositoryUnavailable

# Serialization failure and deadlock: the transaction was rolled back and may be tried again.
_RETRYABLE_STATES: Final = frozenset({"40001", "40P01"})
# SQLSTATE classes: connection exception, insufficient resources, operator intervention, I/O error,
# a conflict that came back at every try, wrong credentials, unknown database; and read-only
# transaction (a server that became a standby).
_UNAVAILABLE_CLASSES: Final = ("08", "53", "57", "58", "40", "28", "3D", "25006")
_SQLITE_UNAVAILABLE: Final = (
    "database is locked",
    "database or disk is full",
    "readonly database",
    "disk i/o error",
    "unable to open database file",
    "database disk image is malformed",
    "file is not a database",
)


def sql_state(error: BaseException) -> str | None:
    """The SQLSTATE that the server gave; None when it gave none."""
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    while origin is not None:
        state = getattr(origin, "sqlstate", None) or getattr(origin, "pgcode", None)
        if isinstance(state, str):
            return state
        origin = origin.__cause__
    return None


def is_retryable(error: BaseException) -> bool:
    """Whether the database rolled back for no fault of the transaction's own."""
    return sql_state(error) in _RETRYABLE_STATES


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached or cannot write, rather than disliked the SQL."""
    if isinstance(error, exc.TimeoutError | OSError | TimeoutError | asyncio.TimeoutError):
        return True
    state = sql_state(error)
    if state is not None:
        return state.startswith(_UNAVAILABLE_CLASSES)
    if isinstance(error, exc.DBAPIError):
        if error.connection_invalidated or isinstance(error, exc.InterfaceError):
            return True
        text = str(error.orig).lower()
        if isinstance(error, exc.OperationalError):
            return not _is_about_sql(text)
        return any(known in text for known in _SQLITE_UNAVAILABLE)
    return type(error).__name__ in _CONNECTION_ERRORS


# asyncpg raises these outside of SQLAlchemy's wrapping while it connects.
_CONNECTION_ERRORS: Final = frozenset(
    {
        "ConnectionDoesNotExistError",
        "InterfaceError",
        "InternalClientError",
        "CannotConnectNowError",
    }
)


def _is_about_sql(text: str) -> bool:
    # Not merely "no such": the socket of a server that is away is "no such file".
    return any(word in text for word in _WRONG_SQL)


_WRONG_SQL: Final = (
    "no such table",
    "no such column",
    "no such function",
    "syntax error",
    "has no column",
)


@contextmanager
def translating(target: str) -> Iterator[None]:
    """A context whose errors come out as the port promises them."""
    try:
        yield
    except Exception as error:
        answer = translated(error, target)
        if answer is error:
            raise
        raise answer from error


def translated(error: BaseException, target: str, *, uncertain: bool = False) -> BaseException:
    """The error as the port promises it; others stay what they are."""
    if isinstance(error, EnfilaError) or not is_outage(error):
        return error
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    reason = " ".join(str(origin).split()) or type(origin).__name__
    return RepositoryUnavailable(target, reason, uncertain=uncertain)
