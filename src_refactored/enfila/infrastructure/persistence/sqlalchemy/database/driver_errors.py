"""What drivers raise, in enfila's words."""

from __future__ import annotations

import asyncio
import sqlite3
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
_SQLITE_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
# An extended result code of SQLite's has the primary one in its lowest byte.
_PRIMARY_CODE: Final = 0xFF


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


def is_unsent(error: BaseException) -> bool:
    """Whether the driver sent nothing, because it found its connection dead already."""
    text = str(error.orig if isinstance(error, exc.DBAPIError) else error)
    return any(known in text for known in _UNSENT)


def is_connection_lost(error: BaseException) -> bool:
    """Whether the connection is gone, though another one may work."""
    return is_unsent(error) or (sql_state(error) or "").startswith(_LOST_STATES)


# asyncpg, when it has read the server's farewell and not yet the end of the stream; both drivers,
# when they have.
_UNSENT: Final = ("another operation (2) is in progress", "connection is closed")
_LOST_STATES: Final = ("08", "57P0")


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached or cannot write, rather than disliked the SQL."""
    if isinstance(error, exc.TimeoutError | OSError | TimeoutError | asyncio.TimeoutError):
        return True
    state = sql_state(error)
    if state is not None:
        return state.startswith(_UNAVAILABLE_CLASSES)
    if isinstance(error, exc.DBAPIError):
        code: int | None = getattr(error.orig, "sqlite_errorcode", None)
        if code is not None:
            return code & _PRIMARY_CODE in _SQLITE_UNAVAILABLE
        return error.connection_invalidated or isinstance(
            error, exc.OperationalError | exc.InterfaceError
        )
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
