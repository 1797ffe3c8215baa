"""Working inside a transaction that belongs to the caller."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from enfila.core.domain.errors import InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.database.database import Work

T = TypeVar("T")

_ALLOWED: Final = "give a SQLAlchemy Session, AsyncSession, Connection or AsyncConnection"
_SECONDS_BETWEEN_LOOKS: Final = 0.005


async def run_within(transaction: Any, work: Work[T]) -> T:
    """Runs `work` on the connection of a caller's transaction, sync or async.

    Raises:
        InvalidRequest: it is no transaction of SQLAlchemy's.
    """
    if isinstance(transaction, Session | sa.Connection):
        return run_within_sync(transaction, work)
    run_sync = getattr(transaction, "run_sync", None)
    if run_sync is None:
        raise InvalidRequest("session", transaction, _ALLOWED)

    def on_thread(inner: Session | sa.Connection) -> T:
        return run_within_sync(inner, work)

    result: T = await run_sync(on_thread)
    return result


def run_within_sync(transaction: Any, work: Work[T]) -> T:
    """As `run_within`, for a `Session` or a `Connection`."""
    match transaction:
        case Session():
            return work(transaction.connection())
        case sa.Connection():
            return work(transaction)
        case _:
            raise InvalidRequest("session", transaction, "give a SQLAlchemy Session or Connection")


def after_commit(transaction: Any, callback: Callable[[], None]) -> None:
    """Calls back once after the caller's transaction has committed; never after a rollback."""
    inner = getattr(transaction, "sync_session", None) or getattr(
        transaction, "sync_connection", None
    )
    match inner or transaction:
        case Session() as session:
            _watch_of_session(session).call_after_commit(session, callback)
        case sa.Connection() as connection:
            _watch_of_connection(connection).call_after_commit(connection, callback)
        case _:
            raise InvalidRequest("session", transaction, _ALLOWED)


# ── sessions ─────────────────────────────────────────────────────────────────────────────────


class _SessionWatch:
    """Hears how the transactions of one session end.

    It stays, for listeners cannot be removed while they are called, and a session is often used
    again.
    """

    def __init__(self, session: Session) -> None:
        self._waiting: list[tuple[Callable[[], None], list[SessionTransaction]]] = []
        event.listen(session, "after_commit", self._committed)
        event.listen(session, "after_soft_rollback", self._rolled_back)
        event.listen(session, "after_transaction_end", self._ended)

    def call_after_commit(self, session: Session, callback: Callable[[], None]) -> None:
        """Calls back once after the end of the transaction that the session is in now."""
        at_stake: list[SessionTransaction] = []
        level = session.get_nested_transaction() or session.get_transaction()
        while level is not None:
            at_stake.append(level)
            level = level.parent
        self._waiting.append((callback, at_stake))

    def _committed(self, session: Session) -> None:
        # Also told of released savepoints, which commit nothing yet.
        if not session.in_nested_transaction():
            waiting, self._waiting = self._waiting, []
            for callback, _ in waiting:
                callback()

    def _rolled_back(self, _session: Session, transaction: SessionTransaction) -> None:
        self._waiting = [each for each in self._waiting if transaction not in each[1]]

    def _ended(self, session: Session, transaction: SessionTransaction) -> None:
        # A session that is closed rolls back without saying so.
        if transaction.parent is None:
            self._rolled_back(session, transaction)


def _watch_of_session(session: Session) -> _SessionWatch:
    watch: _SessionWatch | None = session.info.get(_SessionWatch)
    if watch is None:
        watch = session.info[_SessionWatch] = _SessionWatch(session)
    return watch


# ── connections ──────────────────────────────────────────────────────────────────────────────


class _ConnectionWatch:
    """Hears how the transactions of one connection end.

    A connection tells that it is about to commit, and not that it has. So from then on the
    transaction itself is looked at until it is no longer active.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._waiting: list[tuple[Callable[[], None], set[str]]] = []
        self._commit: _Commit | None = None
        event.listen(connection, "commit", self._commits)
        event.listen(connection, "rollback", self._rolls_back)
        event.listen(connection, "rollback_savepoint", self._rolls_back_savepoint)

    def call_after_commit(self, connection: sa.Connection, callback: Callable[[], None]) -> None:
        """Calls back once after the end of the transaction that the connection is in now."""
        self._waiting.append((callback, _open_savepoints(connection)))

    def has_failed(self) -> None:
        """Notes an error of the driver's; in a commit, it is a commit that failed."""
        if self._commit is not None and self._commit.is_under_way:
            self._commit.has_failed = True

    def _commits(self, connection: sa.Connection) -> None:
        waiting, self._waiting = self._waiting, []
        transaction = connection.get_transaction()
        if self._commit is not None:
            # The one before is over; its timer may not have noticed yet.
            self._commit.look()
        if waiting and transaction is not None:
            self._commit = _Commit(transaction, [callback for callback, _ in waiting])
            _later(self._commit.look)

    def _rolls_back(self, _connection: sa.Connection) -> None:
        self._waiting = []

    def _rolls_back_savepoint(
        self, _connection: sa.Connection, name: str, _context: object
    ) -> None:
        self._waiting = [each for each in self._waiting if name not in each[1]]


def _open_savepoints(connection: sa.Connection) -> set[str]:
    """The savepoints that the connection is in; its events name them, its public methods do not."""
    names: set[str] = set()
    level = connection.get_nested_transaction()
    while level is not None:
        names.add(level._savepoint)  # noqa: SLF001 - as above
        level = level._previous_nested  # noqa: SLF001 - as above
    return names


class _Commit:
    """A commit under way."""

    def __init__(self, transaction: sa.RootTransaction, then: list[Callable[[], None]]) -> None:
        self.has_failed = False
        # Weak: it knows its connection, which would then never be forgotten in `_watches`.
        self._transaction = weakref.ref(transaction)
        self._then = then
        self._looking = threading.Lock()

    @property
    def is_under_way(self) -> bool:
        """Whether the driver has not answered yet."""
        transaction = self._transaction()
        return transaction is not None and transaction.is_active

    def look(self) -> None:
        """Calls back if the commit is over and went well; looks again later while it goes on."""
        with self._looking:
            if self.has_failed:
                return
            if self.is_under_way:
                _later(self.look)
                return
            then, self._then = self._then, []
            for callback in then:
                callback()


_watches: WeakKeyDictionary[sa.Connection, _ConnectionWatch] = WeakKeyDictionary()


def _watch_of_connection(connection: sa.Connection) -> _ConnectionWatch:
    watch = _watches.get(connection)
    if watch is None:
        watch = _watches[connection] = _ConnectionWatch(connection)
        # Errors are told of by the dialect and not by the connection.
        if not event.contains(connection.dialect, "handle_error", _note_error):
            event.listen(connection.dialect, "handle_error", _note_error)
    return watch


def _note_error(context: sa.ExceptionContext) -> None:
    watch = None if context.connection is None else _watches.get(context.connection)
    if watch is not None:
        watch.has_failed()


def _later(callback: Callable[[], None]) -> None:
    timer = threading.Timer(_SECONDS_BETWEEN_LOOKS, callback)
    timer.daemon = True
    timer.start()
