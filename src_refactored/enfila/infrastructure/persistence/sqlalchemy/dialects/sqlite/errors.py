"""What SQLite's errors mean."""

from __future__ import annotations

import sqlite3
from typing import Final

from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import (
    DriverErrors,
    origin_of,
)

_UNAVAILABLE: Final = frozenset(
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
# An extended result code has the primary one in its lowest byte.
_PRIMARY_CODE: Final = 0xFF


class SqliteErrors(DriverErrors):
    """What errors of SQLite mean, by result code."""

    def is_retryable(self, error: BaseException) -> bool:
        """See `DriverErrors.is_retryable`: whoever writes holds the lock already."""
        del error
        return False

    def is_unsent(self, error: BaseException) -> bool:
        """See `DriverErrors.is_unsent`."""
        del error
        return False

    def is_rolled_back(self, error: BaseException) -> bool:
        """See `DriverErrors.is_rolled_back`: it answers in this process."""
        del error
        return True

    def is_answer(self, error: BaseException) -> bool:
        """See `DriverErrors.is_answer`."""
        del error
        return True

    def is_connection_lost(self, error: BaseException) -> bool:
        """See `DriverErrors.is_connection_lost`."""
        del error
        return False

    def is_unavailability(self, error: BaseException) -> bool | None:
        """See `DriverErrors.is_unavailability`."""
        code: int | None = getattr(origin_of(error), "sqlite_errorcode", None)
        return None if code is None else code & _PRIMARY_CODE in _UNAVAILABLE
