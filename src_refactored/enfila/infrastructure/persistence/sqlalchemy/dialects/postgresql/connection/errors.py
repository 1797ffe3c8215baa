"""What the errors of asyncpg and psycopg mean."""

from __future__ import annotations

from typing import Final

from sqlalchemy import exc

from enfila.core.domain.showing import class_name, message_of
from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import (
    DriverErrors,
    origin_of,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.advice import (
    UNAVAILABLE,
    advice_on,
)

# Serialization failure, deadlock, and a lock that was waited for too long: the transaction was
# rolled back and may be tried again.
_RETRYABLE_STATES: Final = frozenset({"40001", "40P01", "55P03"})
# Connection exception; operator intervention; idle or open for too long. And a read-only
# transaction: a server that became a standby, or was one for a while, leaves its old connections
# as they are.
_LOST_STATES: Final = ("08", "57P0", "25006", "25P03", "25P04")
# SQLSTATE classes: insufficient resources, operator intervention, I/O error, a conflict that came
# back at every try; and whatever people have to put right: rights, settings, missing tables.
_UNAVAILABLE_CLASSES: Final = (*_LOST_STATES, "53", "57", "58", "40", *UNAVAILABLE)
# After these a commit may have taken place: the connection broke, or the server crashed.
_UNKNOWN_OUTCOMES: Final = ("08", "40003", "57P02", "58", "XX")
# asyncpg, when it has read the server's farewell and not yet the end of the stream; both drivers,
# when they have.
_UNSENT: Final = ("another operation (2) is in progress", "connection is closed")
# asyncpg raises these outside of SQLAlchemy's wrapping while it connects.
_CONNECTION_ERRORS: Final = frozenset(
    {
        "ConnectionDoesNotExistError",
        "InterfaceError",
        "InternalClientError",
        "ClientConfigurationError",
        "TargetServerAttributeNotMatched",
        "CannotConnectNowError",
    }
)


class PostgresErrors(DriverErrors):
    """What errors of PostgreSQL's drivers mean, by SQLSTATE or by what the driver says."""

    def is_retryable(self, error: BaseException) -> bool:
        """See `DriverErrors.is_retryable`."""
        return sql_state(error) in _RETRYABLE_STATES

    def is_unsent(self, error: BaseException) -> bool:
        """See `DriverErrors.is_unsent`."""
        text = str(origin_of(error))
        return any(known in text for known in _UNSENT)

    def is_rolled_back(self, error: BaseException) -> bool:
        """See `DriverErrors.is_rolled_back`.

        A backend that is told to end (57P01) says so only where it can still roll back.
        """
        state = sql_state(error)
        return state is not None and not state.startswith(_UNKNOWN_OUTCOMES)

    def is_answer(self, error: BaseException) -> bool:
        """See `DriverErrors.is_answer`."""
        return sql_state(error) is not None

    def is_connection_lost(self, error: BaseException) -> bool:
        """See `DriverErrors.is_connection_lost`."""
        return self.is_unsent(error) or (sql_state(error) or "").startswith(_LOST_STATES)

    def message(self, origin: BaseException) -> str:
        """See `DriverErrors.message`: without psycopg's excerpt of the statement."""
        words: str | None = getattr(getattr(origin, "diag", None), "message_primary", None)
        return words or str(origin)

    def advice(self, error: BaseException) -> str | None:
        """See `DriverErrors.advice`."""
        if _is_unreadable(error):
            return "set DateStyle to ISO and IntervalStyle to postgres on this connection"
        return advice_on(sql_state(error) or "")

    def is_unavailability(self, error: BaseException) -> bool | None:
        """See `DriverErrors.is_unavailability`."""
        state = sql_state(error)
        if state is not None:
            return state.startswith(_UNAVAILABLE_CLASSES)
        if isinstance(error, exc.DBAPIError):
            return True if _is_connection_error(error.orig) else None
        return _is_connection_error(error) or _is_unreadable(error)


def _is_connection_error(error: BaseException | None) -> bool:
    """Whether the driver, or what SQLAlchemy makes of its error, says that it did not connect."""
    while error is not None:
        if class_name(type(error)) in _CONNECTION_ERRORS:
            return True
        error = error.__cause__
    return False


def _is_unreadable(error: BaseException) -> bool:
    """Whether psycopg cannot read times as a caller's own connection has them written."""
    return isinstance(error, NotImplementedError) and "can't parse" in message_of(error)


def sql_state(error: BaseException) -> str | None:
    """The SQLSTATE that the server gave; None when it gave none."""
    origin: BaseException | None = origin_of(error)
    while origin is not None:
        state = getattr(origin, "sqlstate", None) or getattr(origin, "pgcode", None)
        if isinstance(state, str):
            return state
        origin = origin.__cause__
    return None
