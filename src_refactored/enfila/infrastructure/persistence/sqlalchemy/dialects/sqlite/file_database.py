"""Transactions on SQLite: one writer thread, readers beside it."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool, QueuePool

from enfila.core.application.runtime.forks import ForkAware, ForkGate, leave_to_parent
from enfila.core.domain.errors import AlreadyClosed, InvalidRequest
from enfila.core.domain.showing import message_of
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database, Work
from enfila.infrastructure.persistence.sqlalchemy.database.urls import shown
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.errors import SqliteErrors

T = TypeVar("T")

_MOST_TOGETHER: Final = 256
_BUSY_SECONDS: Final = 5.0
_LOCKED_SECONDS: Final = 30.0
_READERS: Final = 4
_ERRORS: Final = SqliteErrors()
_SYNCHRONOUS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")

_Request = tuple[Work[Any], "Future[Any]"]


class FileDatabase(Database, ForkAware):
    """A `Database` in one SQLite file: one thread of this process writes, and a few others read.

    Group commit: whatever was asked for while a transaction was being committed shares the next
    one, each request in a savepoint of its own, so that one fsync serves them all. Requests fail
    alone; only a failed commit fails its whole group.

    Args:
        synchronous: SQLite's setting: FULL survives a power cut, NORMAL may lose the last commits
            in one but not in a crash of the process.
    """

    def __init__(self, url: URL, *, synchronous: str) -> None:
        if synchronous not in _SYNCHRONOUS:
            # SQLite takes what it does not know for NORMAL, and says nothing.
            raise InvalidRequest("synchronous", synchronous, f"give {', '.join(_SYNCHRONOUS)}")
        self._url = url
        self._target = shown(url)
        self._in_memory = path_of(url) is None
        self._synchronous = synchronous
        chosen = url.query.get("timeout")
        self._patience = _LOCKED_SECONDS if chosen is None else float(str(chosen))
        # SQLite keeps in the process who has which lock: a child would inherit it for ever.
        self._gate = ForkGate(_BUSY_SECONDS)
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._write_engine = self._make_engine(self._url, poolclass=NullPool)
        _begin_with(self._write_engine, "BEGIN IMMEDIATE")
        self._read_engine = self._make_engine(self._url, poolclass=QueuePool, pool_size=_READERS)
        _begin_with(self._read_engine, "BEGIN")
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="enfila-read")
        self._writer: threading.Thread | None = None
        self._door = threading.Lock()

    def start_over(self) -> None:
        """See `ForkAware`. The writer and its connection are the parent's."""
        leave_to_parent((self._write_engine, self._read_engine, self._readers, self._requests))
        self._begin()

    async def write(self, work: Work[T]) -> T:
        """See `Database.write`."""
        return await asyncio.shield(asyncio.wrap_future(self.submit(work)))

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""
        if self._in_memory:
            return await self.write(work)
        self._check_open()
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._readers, self._read, work))

    def submit(self, work: Work[T]) -> Future[T]:
        """Hands `work` to the writer thread; for code without an event loop."""
        answer: Future[T] = Future()
        # What comes behind the end of the requests would never be answered.
        with self._door:
            self._check_open()
            if self._writer is None:
                # A daemon, so that a program that forgot to close can end; SQLite survives that.
                self._writer = threading.Thread(
                    target=self._write_until_closed, name="enfila-write", daemon=True
                )
                self._writer.start()
            self._requests.put((work, answer))
        return answer

    async def close(self) -> None:
        """See `Database.close`."""
        with self._door:
            if self._closed:
                return
            self._closed = True
            self._requests.put(None)
        loop = asyncio.get_running_loop()
        if self._writer is not None:
            await loop.run_in_executor(None, self._writer.join)
        await loop.run_in_executor(None, self._readers.shutdown)
        self._read_engine.dispose()
        self._write_engine.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise AlreadyClosed(f"the repository on {self._target}")

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _read(self, work: Work[T]) -> T:
        with (
            self._gate,
            _ERRORS.translating(self._target),
            self._read_engine.connect() as connection,
        ):
            return work(connection)

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    def _write_until_closed(self) -> None:
        """The writer thread."""
        connection: sa.Connection | None = None
        while (group := self._next_group()) is not None:
            try:
                with self._gate:
                    if connection is None:
                        connection = self._write_engine.connect()
                    self._write_group(connection, group)
            except Exception as error:  # noqa: BLE001 - the group learns of it, the thread goes on
                _refuse(group, _ERRORS.translated(error, self._target))
                # A database in memory is gone with its connection.
                if connection is not None and not self._in_memory:
                    with contextlib.suppress(Exception):
                        connection.close()
                    connection = None
        if connection is not None:
            connection.close()

    def _next_group(self) -> list[_Request] | None:
        """Waits for a request; takes along those that wait already. None at the end."""
        first = self._requests.get()
        if first is None:
            return None
        group = [first]
        with contextlib.suppress(queue.Empty):
            while len(group) < _MOST_TOGETHER:
                request = self._requests.get_nowait()
                if request is None:
                    self._requests.put(None)
                    break
                group.append(request)
        return group

    def _write_group(self, connection: sa.Connection, group: list[_Request]) -> None:
        transaction = self._begin_transaction(connection)
        try:
            answers = [_attempt(connection, work, alone=len(group) == 1) for work, _ in group]
            transaction.commit()
        except BaseException:
            transaction.rollback()
            raise
        for (_, future), (result, error) in zip(group, answers, strict=True):
            _answer(
                future, result, None if error is None else _ERRORS.translated(error, self._target)
            )

    def _begin_transaction(self, connection: sa.Connection) -> sa.RootTransaction:
        """Waits for the file's write lock, which another process may hold."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return connection.begin()
            except exc.OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.001, 0.01))

    def _make_engine(self, url: URL, **pool: Any) -> sa.Engine:
        arguments: dict[str, Any] = {"check_same_thread": False}
        if "timeout" not in url.query:
            arguments["timeout"] = _BUSY_SECONDS
        engine = sa.create_engine(url, connect_args=arguments, **pool)
        event.listen(engine, "connect", self._configure)
        return engine

    def _configure(self, connection: sqlite3.Connection, _record: object) -> None:
        # Transactions are begun by us and not by the driver, whose implicit ones are deferred.
        connection.isolation_level = None
        cursor = connection.cursor()
        _choose_wal(cursor, self._patience)
        for pragma in (
            f"synchronous={self._synchronous}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-16000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _choose_wal(cursor: sqlite3.Cursor, patience: float) -> None:
    """Turns write-ahead logging on, unless it is; several processes may try on a new file."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # Changing the mode does not wait for locks as other statements do.
            if "locked" not in message_of(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.001, 0.01))
        else:
            return


def path_of(url: URL) -> str | None:
    """The path of a SQLite database; None when it lives in memory."""
    in_memory = url.database in {None, "", ":memory:"} or "mode=memory" in str(url.query)
    return None if in_memory else url.database


def _begin_with(engine: sa.Engine, statement: str) -> None:
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(statement))


def _attempt(
    connection: sa.Connection, work: Callable[[sa.Connection], Any], *, alone: bool
) -> tuple[Any, Exception | None]:
    """One request's result or error, its writes undone if it failed."""
    if alone:
        return work(connection), None
    savepoint = connection.begin_nested()
    try:
        result = work(connection)
    except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
        savepoint.rollback()
        return None, error
    savepoint.commit()
    return result, None


def _refuse(group: list[_Request], error: BaseException) -> None:
    for _, future in group:
        _answer(future, None, error)


def _answer(future: Future[Any], result: Any, error: BaseException | None) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
