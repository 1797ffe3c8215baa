"""Working inside a transaction that belongs to the caller."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from enfila.core.domain.errors import InvalidRequest

T = TypeVar("T")

_ALLOWED: Final = "give a SQLAlchemy Session, AsyncSession, Connection or AsyncConnection"
_SECONDS_BETWEEN_LOOKS: Final = 0.005


async def run_within(transaction: Any, dialect: str, work: Callable[[sa.Connection], T]) -> T:
    """Runs `work` on the connection of a caller's transaction, sync or async.

    Raises:
        InvalidRequest: it is no transaction of SQLAlchemy's, or one on another kind of database.
    """
    if isinstance(transaction, Session | sa.Connection):
        return run_within_sync(transaction, dialect, work)
    run_sync = getattr(transaction, "run_sync", None)
    if run_sync is None:
        raise InvalidRequest("session", transaction, _ALLOWED)

    def on_thread(inner: Session | sa.Connection) -> T:
        return run_within_sync(inner, dialect, work)

    result: T = await run_sync(on_thread)
    return result


def run_within_sync(transaction: Any, dialect: str, work: Callable[[sa.Connection], T]) -> T:
    """As `run_within`, for a `Session` or a `Connection`."""
    match transaction:
        case Session():
            connection = transaction.connection()
        case sa.Connection():
            connection = transaction
        case _:
            raise InvalidRequest("session", transaction, "give a SQLAlchemy Session or Connection")
    if connection.dialect.name != dialect:
        raise InvalidRequest(
            "session", transaction, f"give one on {dialect}, the database of this queue's jobs"
        )
    return work(connection)


def after_commit(transaction: Any, callback: Callable[[], None]) -> None:
    """Calls back once after the caller's transaction has committed; never after a rollback."""
    inner = getattr(transaction, "sync_session", None) or getattr(
        transaction, "sync_connection", None
    )
    match inner or transaction:
        case Session() as session:
            _SessionWatch(session, callback)
        case sa.Connection() as connection:
            _ConnectionWatch(connection, callback)
        case _:
            raise InvalidRequest("session", transaction, _ALLOWED)


class _SessionWatch:
    """Waits for the end of a session's transaction, or of the savepoint that it is in now."""

    def __init__(self, session: Session, callback: Callable[[], None]) -> None:
        self._session = session
        self._callback = callback
        self._at_stake: list[SessionTransaction] = []
        level = session.get_nested_transaction() or session.get_transaction()
        while level is not None:
            self._at_stake.append(level)
            level = level.parent
        self._is_over = False
        event.listen(session, "after_commit", self._committed)
        event.listen(session, "after_soft_rollback", self._rolled_back)

    def _committed(self, session: Session) -> None:
        # Also told of released savepoints, which commit nothing yet.
        if not self._is_over and not session.in_nested_transaction():
            self._end()
            self._callback()

    def _rolled_back(self, _session: Session, transaction: SessionTransaction) -> None:
        if transaction in self._at_stake:
            self._end()

    def _end(self) -> None:
        self._is_over = True
        # SQLAlchemy forbids removing a listener while it is being called.
        _later(self._stop_listening)

    def _stop_listening(self) -> None:
        event.remove(self._session, "after_commit", self._committed)
        event.remove(self._session, "after_soft_rollback", self._rolled_back)


class _ConnectionWatch:
    """Waits for the end of a connection's transaction.

    A connection tells that it is about to commit, and not that it has. So from then on the
    transaction itself is looked at until it is no longer active.
    """

    def __init__(self, connection: sa.Connection, callback: Callable[[], None]) -> None:
        self._connection = connection
        self._transaction = connection.get_transaction()
        self._callback = callback
        self._is_over = False
        event.listen(connection, "commit", self._committing)
        event.listen(connection, "rollback", self._failed)
        event.listen(connection, "handle_error", self._failed)

    def _committing(self, _connection: sa.Connection) -> None:
        _later(self._look)

    def _failed(self, *_: object) -> None:
        self._end()

    def _look(self) -> None:
        if self._transaction is not None and self._transaction.is_active:
            _later(self._look)
        elif not self._is_over:
            self._end()
            self._callback()

    def _end(self) -> None:
        if not self._is_over:
            self._is_over = True
            _later(self._stop_listening)

    def _stop_listening(self) -> None:
        event.remove(self._connection, "commit", self._committing)
        event.remove(self._connection, "rollback", self._failed)
        event.remove(self._connection, "handle_error", self._failed)


def _later(callback: Callable[[], None]) -> None:
    timer = threading.Timer(_SECONDS_BETWEEN_LOOKS, callback)
    timer.daemon = True
    timer.start()
