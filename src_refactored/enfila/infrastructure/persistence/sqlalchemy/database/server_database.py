"""Transactions on a database server, through an async engine."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.util.concurrency import greenlet_spawn

from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.errors import AlreadyClosed, InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database, Work
from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import StatementCall
from enfila.infrastructure.persistence.sqlalchemy.database.server_driver import (
    DirectExecution,
    ServerDriver,
)
from enfila.infrastructure.persistence.sqlalchemy.database.urls import shown

T = TypeVar("T")

_MOST_TRIES: Final = 5
_MOST_TRIES_ON_NEW_CONNECTIONS: Final = 2
_IDLE_BEFORE_PING: Final = 1.0
_BUSY_SECONDS: Final = 0.005
"""A connection that was used so short a time ago is taken as it is."""
_MOST_KEPT: Final = 2


class ServerDatabase(Database):
    """A `Database` on a server, over an async driver, with a pool of connections.

    All work runs in tasks of its own: a task that is cancelled while the driver is in the middle of
    a statement would leave a broken connection in the pool.

    Each event loop that it is used on has a pool of its own, because an async connection lives and
    dies with its loop; threads that add without a loop do so on private ones.
    """

    def __init__(self, url: URL, driver: ServerDriver, *, pool_size: int) -> None:
        if isinstance(pool_size, bool) or not isinstance(pool_size, int) or pool_size < 1:
            raise InvalidRequest("pool_size", pool_size, "give a whole number of 1 or more")
        self._driver = driver
        self._errors = driver.errors
        self._target = shown(url)
        self._pool_size = pool_size
        self._pools: dict[asyncio.AbstractEventLoop, _LoopPool] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        # Whatever is wrong with the URL shall be said now, not at first use.
        self._first_engine: sa.Engine | None = self._make_engine()

    async def write(self, work: Work[T]) -> T:
        """See `Database.write`."""
        pool = await self._pool_here()
        return await pool.tasks.run(self._retrying(pool.in_transaction, work), name="enfila write")

    async def execute(self, call: StatementCall[T]) -> T:
        """See `Database.execute`."""
        pool = await self._pool_here()
        direct = self._driver.direct
        if direct is None:
            executing = self._retrying(pool.on_connection, call)
        else:
            executing = self._retrying(partial(pool.on_driver, direct), call)
        return await pool.tasks.run(executing, name="enfila execute")

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""
        pool = await self._pool_here()
        return await pool.tasks.run(
            self._retrying(pool.in_autocommit, work, is_write=False), name="enfila read"
        )

    async def close(self) -> None:
        """See `Database.close`."""
        self._is_closed = True
        here = asyncio.get_running_loop()
        with self._lock:
            pools, self._pools = self._pools, {}
        for loop, pool in pools.items():
            if loop is here:
                await pool.close()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(pool.close(), loop)
                await asyncio.wrap_future(closing)

    async def _pool_here(self) -> _LoopPool:
        """What belongs to the running event loop."""
        if self._is_closed:
            raise AlreadyClosed(f"the repository on {self._target}")
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            with self._lock:
                for ended in [other for other in self._pools if other.is_closed()]:
                    del self._pools[ended]
                engine, self._first_engine = self._first_engine or self._make_engine(), None
                pool = self._pools[loop] = _LoopPool(
                    engine, self._driver, pool_size=self._pool_size
                )
            await pool.tie_to_loop()
        return pool

    def _make_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self._driver.engine_url(),
            # Most work is one statement, which then costs one round trip instead of three.
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            pool_size=self._pool_size,
            max_overflow=self._pool_size,
            pool_timeout=30,
            connect_args=self._driver.connect_arguments(),
        )
        _ping_after_idling(engine)
        # So that SQLAlchemy drops the pool's other connections too, which died with this one.
        event.listen(engine, "handle_error", self._note_lost_connection)
        return engine

    def _note_lost_connection(self, context: ExceptionContext) -> None:
        if self._errors.is_connection_lost(context.original_exception):
            context.is_disconnect = True

    async def _retrying(self, attempt: Any, work: Any, *, is_write: bool = True) -> Any:
        times_lost = 0
        for number in range(1, _MOST_TRIES + 1):
            progress = _AttemptProgress()
            try:
                return await attempt(work, progress)
            except Exception as error:
                is_unknown = (
                    is_write
                    and progress.may_be_committed
                    and not self._errors.is_unsent(error)
                    and not self._errors.is_rolled_back(error)
                )
                # A connection of the pool may have died since it was used last; a new one will do.
                is_stale = _was_connection_lost(error, self._errors) and not is_unknown
                times_lost += is_stale
                if number < _MOST_TRIES and (
                    self._errors.is_retryable(error)
                    or (is_stale and times_lost <= _MOST_TRIES_ON_NEW_CONNECTIONS)
                ):
                    await asyncio.sleep(random.uniform(0.001, 0.01) * 2**number)
                    continue
                uncertain = is_unknown or (is_write and progress.is_partly_committed)
                answer = self._errors.translated(error, self._target, uncertain=uncertain)
                if answer is error:
                    raise
                raise answer from error
        raise AssertionError("the last try returns or raises")


class _LoopPool:
    """The pool of one event loop, and the tasks that use it.

    For single statements a connection or two are kept beside the pool: to check one out and in
    takes a third of the time of a small statement.
    """

    def __init__(self, engine: sa.Engine, driver: ServerDriver, *, pool_size: int) -> None:
        self._errors = driver.errors
        self._autocommit = engine
        self._kept: list[tuple[sa.Connection, float]] = []
        self._times_dropped = 0
        # One is left to the pool: those that wait for a connection there are not told of this one.
        self._most_kept = min(pool_size - 1, _MOST_KEPT)
        self._transactional = engine.execution_options(isolation_level="READ COMMITTED")
        self._life = self._until_the_loop_ends()
        self.tasks = OwnedTasks()

    async def tie_to_loop(self) -> None:
        """Ties the pool to the running loop: it is closed before the loop is."""
        await anext(self._life)

    async def close(self) -> None:
        """Ends work under way in good order and releases the connections."""
        await self.tasks.wait()
        await self._dispose()
        await self._life.aclose()

    async def in_autocommit(self, work: Work[T], progress: _AttemptProgress) -> T:
        def attempt() -> T:
            times_dropped = self._times_dropped
            connection = self._take()
            try:
                progress.may_be_committed = True
                result = work(connection)
                connection.rollback()  # SQLAlchemy's own notion of a transaction; nothing is sent
            except BaseException as error:
                connection.close()
                self._notice(error)
                raise
            self._keep(connection, times_dropped)
            return result

        return await greenlet_spawn(attempt)

    async def on_connection(self, call: StatementCall[T], progress: _AttemptProgress) -> T:
        """Executes it through SQLAlchemy."""

        def work(connection: sa.Connection) -> T:
            answer: T | StatementCall[T] = call
            while isinstance(answer, StatementCall):
                answer = answer.read(answer.rows(connection))
                progress.is_partly_committed = True
            return answer

        return await self.in_autocommit(work, progress)

    async def on_driver(
        self, direct: DirectExecution, call: StatementCall[T], progress: _AttemptProgress
    ) -> T:
        """Executes it on the driver's own connection."""
        await self._notice_closed_connections()
        times_dropped = self._times_dropped
        connection = self._take_fresh()
        if connection is None:
            connection = await greenlet_spawn(self._take)
        try:
            driver: Any = connection.connection.driver_connection
            answer: T | StatementCall[T] = call
            while isinstance(answer, StatementCall):
                text, values = answer.statement.on_driver(answer.parameters, connection.dialect)
                progress.may_be_committed = True
                answer = answer.read(await direct.fetch(driver, text, values))
                progress.is_partly_committed = True
        except BaseException as error:
            await greenlet_spawn(self._give_up, direct, connection, error)
            raise
        if len(self._kept) < self._most_kept and times_dropped == self._times_dropped:
            self._keep(connection, times_dropped)
        else:
            await greenlet_spawn(self._keep, connection, times_dropped)
        return answer

    async def in_transaction(self, work: Work[T], progress: _AttemptProgress) -> T:
        def attempt() -> T:
            try:
                with self._transactional.connect() as connection:
                    result = work(connection)
                    progress.may_be_committed = True
                    connection.commit()
                    return result
            except exc.DBAPIError as error:
                self._notice(error)
                raise

        return await greenlet_spawn(attempt)

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        # `asyncio.run` closes generators that are left, which tells programs that forgot to close.
        try:
            yield
        finally:
            await self._dispose()

    # ── kept connections ─────────────────────────────────────────────────────────────────────

    async def _notice_closed_connections(self) -> None:
        """Has the loop read what came in while nothing was asked, if that is any time.

        A server that has closed the connection has said so; whoever sends a statement before that
        is read cannot know whether it took place.
        """
        if self._kept and time.monotonic() - self._kept[-1][1] > _BUSY_SECONDS:
            for _ in range(2):  # what is to be read comes behind the first turn
                await asyncio.sleep(0)

    def _take_fresh(self) -> sa.Connection | None:
        """One that was in use a moment ago, if there is one."""
        if self._kept and time.monotonic() - self._kept[-1][1] < _IDLE_BEFORE_PING:
            return self._kept.pop()[0]
        return None

    def _take(self) -> sa.Connection:
        connection = self._take_fresh()
        if connection is not None:
            return connection
        if not self._kept:
            return self._autocommit.connect()
        connection, _ = self._kept.pop()
        if _is_alive(connection):
            return connection
        connection.invalidate()
        connection.close()
        self._drop_kept()
        return self._autocommit.connect()

    def _keep(self, connection: sa.Connection, times_dropped: int) -> None:
        """Keeps one after use, unless all that are as old as it were given up meanwhile."""
        if times_dropped != self._times_dropped:
            connection.close()  # the pool knows its age
        elif len(self._kept) < self._most_kept:
            self._kept.append((connection, time.monotonic()))
        else:
            connection.close()

    def _give_up(
        self, direct: DirectExecution, connection: sa.Connection, error: BaseException
    ) -> None:
        """What SQLAlchemy does after an error, for one that it does not see."""
        driver: Any = connection.connection.driver_connection
        # A statement that was not answered may still be under way.
        if (
            direct.is_closed(driver)
            or self._errors.is_connection_lost(error)
            or not self._errors.is_answer(error)
        ):
            # With all that are as old as it: what has happened to one may have happened to all.
            pool = self._autocommit.pool
            pool._invalidate(connection.connection, _checkin=False)  # noqa: SLF001 - as `execute` does
            connection.invalidate()
            self._drop_kept()
        connection.close()

    def _notice(self, error: BaseException) -> None:
        """What has happened to one connection may have happened to the others."""
        if _was_connection_lost(error, self._errors):
            self._drop_kept()

    def _drop_kept(self) -> None:
        self._times_dropped += 1
        while self._kept:
            connection, _ = self._kept.pop()
            connection.invalidate()
            connection.close()

    async def _dispose(self) -> None:
        kept, self._kept = self._kept, []
        for connection, _ in kept:
            await greenlet_spawn(connection.close)
        await greenlet_spawn(self._autocommit.dispose)


def _was_connection_lost(error: BaseException, errors: DriverErrors) -> bool:
    if isinstance(error, exc.DBAPIError):
        return error.connection_invalidated
    return errors.is_connection_lost(error)


def _is_alive(connection: sa.Connection) -> bool:
    driver = connection.connection.dbapi_connection
    try:
        return driver is not None and connection.dialect.do_ping(driver)
    except Exception:  # noqa: BLE001 - drivers raise many kinds; the answer is one
        return False


class _AttemptProgress:
    """How far an attempt came before it failed.

    Attributes:
        may_be_committed: something was sent that commits.
        is_partly_committed: of several statements that commit one by one, the first was answered.
    """

    may_be_committed = False
    is_partly_committed = False


def _ping_after_idling(engine: sa.Engine) -> None:
    """Tests a pooled connection before use if it lay idle, at no cost to a busy one.

    So a restarted server is noticed before a write is sent and not in the middle of it.
    """

    def note_idle(_connection: Any, record: Any) -> None:
        record.info["idle since"] = time.monotonic()

    def ping(connection: Any, record: Any, _proxy: Any) -> None:
        idle_since = record.info.get("idle since")
        if idle_since is None or time.monotonic() - idle_since < _IDLE_BEFORE_PING:
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except Exception as error:
            raise exc.DisconnectionError from error
        if not alive:
            raise exc.DisconnectionError

    event.listen(engine.pool, "checkin", note_idle)
    event.listen(engine.pool, "checkout", ping)
