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
_ADVICE: Final = {
    sqlite3.SQLITE_PERM: "give this user the right to write the file",
    sqlite3.SQLITE_READONLY: "give this user the right to write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "give the path of a file, in a folder that this user may write to",
    sqlite3.SQLITE_NOTADB: "give another path, or remove the file if nobody needs it",
    sqlite3.SQLITE_CORRUPT: "restore the file from a backup",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_BUSY: "find the process that keeps a write transaction open",
    sqlite3.SQLITE_LOCKED: "find the process that keeps a write transaction open",
}
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

    def advice(self, error: BaseException) -> str | None:
        """See `DriverErrors.advice`."""
        return _ADVICE.get(_code(error) or 0)

    def is_unavailability(self, error: BaseException) -> bool | None:
        """See `DriverErrors.is_unavailability`."""
        code = _code(error)
        return None if code is None else code in _UNAVAILABLE


def _code(error: BaseException) -> int | None:
    """The primary result code; None without one."""
    code: int | None = getattr(origin_of(error), "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY_CODE
