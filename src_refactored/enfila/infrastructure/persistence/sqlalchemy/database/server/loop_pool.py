"""The connections that one event loop has to a server."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.util.concurrency import await_only, greenlet_spawn

from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.infrastructure.persistence.sqlalchemy.database.database import Work
from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import StatementCall
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_driver import (
    DirectExecution,
    ServerDriver,
)
from enfila.infrastructure.persistence.sqlalchemy.database.server.silence import (
    Attempt,
    SilenceWatch,
)

T = TypeVar("T")

_IDLE_BEFORE_PING: Final = 1.0
_PING_SECONDS: Final = 5.0
_BUSY_SECONDS: Final = 0.005
"""A connection that was used so short a time ago is taken as it is."""
_MOST_KEPT: Final = 2
_SUSPICIOUS_SECONDS: Final = 1.0
_SECONDS_TO_DISPOSE: Final = 1.0


class LoopPool:
    """The pool of one event loop, and the tasks that use it.

    For single statements a connection or two are kept beside the pool: to check one out and in
    takes a third of the time of a small statement.
    """

    def __init__(self, engine: sa.Engine, driver: ServerDriver, *, pool_size: int) -> None:
        self._driver = driver
        self._errors = driver.errors
        self._autocommit = engine
        # The drivers' own connections: all that are open, and those that lie in the pool.
        self._opened: weakref.WeakSet[Any] = weakref.WeakSet()
        self._idle: weakref.WeakSet[Any] = weakref.WeakSet()
        _ping_after_idling(engine, driver, self._idle)
        # The first to hear of one, before SQLAlchemy sets it up, which takes statements.
        event.listen(engine, "connect", self._note_opened, insert=True)
        event.listen(engine, "connect", self._note_set_up)
        self.silence = SilenceWatch(driver.is_answered, self._break_all)
        self._kept: list[tuple[sa.Connection, float]] = []
        self._discarded: list[sa.Connection] = []
        self._times_dropped = 0
        # One is left to the pool: those that wait for a connection there are not told of this one.
        self._most_kept = min(pool_size - 1, _MOST_KEPT)
        self._transactional = engine.execution_options(isolation_level="READ COMMITTED")
        event.listen(self._transactional, "after_cursor_execute", _note_answer)
        self._pooled = engine.execution_options()
        event.listen(self._pooled, "after_cursor_execute", _note_answer)
        self._life = self._until_the_loop_ends()
        self.tasks = OwnedTasks()

    async def tie_to_loop(self) -> None:
        """Ties the pool to the running loop: it is closed before the loop is."""
        await anext(self._life)

    async def run(self, work: Coroutine[Any, Any, T], *, name: str) -> T:
        """Runs work to its end, though its caller be cancelled."""
        began = time.monotonic()
        try:
            return await self.tasks.run(work, name=name)
        except asyncio.CancelledError:
            # Perhaps its caller has lost patience; whoever comes next gets a new connection.
            if time.monotonic() - began > _SUSPICIOUS_SECONDS:
                self.distrust_all()
            raise

    async def close(self) -> None:
        """Ends work under way in good order, if the server answers; releases the connections."""
        await self.silence.finish(self.tasks)
        await self._dispose()
        await self._life.aclose()

    def distrust_all(self) -> None:
        """Has every connection replaced that is open now, once it is free."""
        self._times_dropped += 1
        for idle in list(self._idle):
            self._driver.break_off(idle)
        for connection, _ in self._kept:
            self._driver.break_off(connection.connection.driver_connection)
            self._discarded.append(connection)
        self._kept.clear()
        self._autocommit.pool._invalidate_time = time.time()  # noqa: SLF001 - as a lost one does

    async def in_autocommit(self, work: Work[T], attempt: Attempt) -> T:
        if self._driver.is_pooled:
            return await self._behind_pooler(work, attempt)

        def run() -> T:
            times_dropped = self._times_dropped
            connection = self._take()
            try:
                attempt.may_be_committed = True
                result = work(connection)
                connection.rollback()  # SQLAlchemy's own notion of a transaction; nothing is sent
            except BaseException as error:
                connection.close()
                self._notice(error)
                raise
            self._keep(connection, times_dropped)
            return result

        return await greenlet_spawn(run)

    async def on_connection(self, call: StatementCall[T], attempt: Attempt) -> T:
        """Executes it through SQLAlchemy."""
        if self._driver.is_pooled:
            return await self._behind_pooler(call.on, attempt)

        def work(connection: sa.Connection) -> T:
            answer: T | StatementCall[T] = call
            while isinstance(answer, StatementCall):
                answer = answer.read(answer.rows(connection))
                attempt.is_partly_committed = True
            return answer

        return await self.in_autocommit(work, attempt)

    async def on_driver(
        self, direct: DirectExecution, call: StatementCall[T], attempt: Attempt
    ) -> T:
        """Executes it on the driver's own connection."""
        if self._driver.is_pooled:
            return await self._behind_pooler(call.on, attempt)
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
                attempt.may_be_committed = True
                answer = answer.read(await direct.fetch(driver, text, values))
                attempt.is_partly_committed = True
        except BaseException as error:
            await greenlet_spawn(self._give_up, direct, connection, error)
            raise
        if len(self._kept) < self._most_kept and times_dropped == self._times_dropped:
            self._keep(connection, times_dropped)
        else:
            await greenlet_spawn(self._keep, connection, times_dropped)
        return answer

    async def in_transaction(self, work: Work[T], attempt: Attempt) -> T:
        if self._driver.is_pooled:
            return await self._behind_pooler(work, attempt)

        def run() -> T:
            try:
                with self._transactional.connect() as connection:
                    _ = connection.execution_options(attempt=attempt)
                    result = work(connection)
                    attempt.may_be_committed = True
                    connection.commit()
                    return result
            except exc.DBAPIError as error:
                self._notice(error)
                raise

        return await greenlet_spawn(run)

    async def _behind_pooler(self, work: Work[T], attempt: Attempt) -> T:
        """Runs work, be it a single read, in a transaction with the settings that it needs.

        Without it the two messages that prepare and execute a statement might reach two servers.
        SQLAlchemy is not told: its own ways to begin would need a round trip more.
        """

        def run() -> T:
            with self._pooled.connect() as connection:
                _ = connection.execution_options(attempt=attempt)
                try:
                    self._say(connection, self._driver.beginning)
                    attempt.touched = time.monotonic()
                    result = work(connection)
                    attempt.may_be_committed = True
                    self._say(connection, "COMMIT")
                except BaseException as error:
                    self._leave(connection, error)
                    raise
                return result

        return await greenlet_spawn(run)

    def _say(self, connection: sa.Connection, text: str) -> None:
        driver: Any = connection.connection.driver_connection
        try:
            await_only(self._driver.say(driver, text))
        except Exception as error:
            lost = self._driver.is_closed(driver) or self._errors.is_connection_lost(error)
            raise exc.DBAPIError(text, None, error, connection_invalidated=lost) from error

    def _leave(self, connection: sa.Connection, error: BaseException) -> None:
        """Rolls back, or gives up a connection on which that cannot be done."""
        try:
            if not was_connection_lost(error, self._errors) and isinstance(error, Exception):
                self._say(connection, "ROLLBACK")
                return
        except exc.DBAPIError:
            pass
        if not connection.invalidated:
            connection.invalidate()
        self.distrust_all()

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
        if self._discarded:
            self._drop_kept()
        if not self._kept:
            return self._autocommit.connect()
        connection, _ = self._kept.pop()
        if _is_alive(connection, self._driver):
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
            connection.invalidate()
            self._drop_kept()
        connection.close()

    def _notice(self, error: BaseException) -> None:
        """What has happened to one connection may have happened to the others."""
        if was_connection_lost(error, self._errors):
            self._drop_kept()

    def _drop_kept(self) -> None:
        self.distrust_all()
        while self._discarded:
            connection = self._discarded.pop()
            connection.invalidate()
            connection.close()

    # ── all connections together ─────────────────────────────────────────────────────────────

    def _note_opened(self, connection: Any, _record: object) -> None:
        self._opened.add(connection.driver_connection)
        if self._driver.is_pooled:
            await_only(self._driver.begin_set_up(connection))

    def _note_set_up(self, connection: Any, _record: object) -> None:
        if self._driver.is_pooled:
            await_only(self._driver.end_set_up(connection))

    async def _break_all(self) -> None:
        """Breaks every connection; whoever waits on one gets an error."""
        self.distrust_all()
        for connection in list(self._opened):
            self._driver.break_off(connection)
        await greenlet_spawn(self._drop_kept)

    async def _dispose(self) -> None:
        disposing = asyncio.ensure_future(self._close_all())
        _, unfinished = await asyncio.wait([disposing], timeout=_SECONDS_TO_DISPOSE)
        if unfinished:
            for connection in list(self._opened):
                self._driver.break_off(connection)
        await disposing

    async def _close_all(self) -> None:
        kept, self._kept = self._kept, []
        for connection in [*self._discarded, *(connection for connection, _ in kept)]:
            await greenlet_spawn(connection.close)
        self._discarded.clear()
        await greenlet_spawn(self._autocommit.dispose)


def was_connection_lost(error: BaseException, errors: DriverErrors) -> bool:
    """Whether an error, wrapped or not, says that its connection is of no use any more."""
    if isinstance(error, exc.DBAPIError):
        return error.connection_invalidated
    return errors.is_connection_lost(error)


def _note_answer(connection: sa.Connection, *_: object) -> None:
    connection.get_execution_options()["attempt"].touched = time.monotonic()


def _is_alive(connection: sa.Connection, driver: ServerDriver) -> bool:
    inner = connection.connection.dbapi_connection
    if inner is None:
        return False
    try:
        return _ping(connection.dialect, inner, driver)
    except Exception:  # noqa: BLE001 - drivers raise many kinds; the answer is one
        return False


def _ping(dialect: sa.Dialect, connection: Any, driver: ServerDriver) -> bool:
    """Asks the server anything; a connection that gets no answer for a while is broken off."""
    timer = asyncio.get_running_loop().call_later(
        _PING_SECONDS, driver.break_off, connection.driver_connection
    )
    try:
        return dialect.do_ping(connection)
    finally:
        timer.cancel()


def _ping_after_idling(engine: sa.Engine, driver: ServerDriver, idle: weakref.WeakSet[Any]) -> None:
    """Tests a pooled connection before use if it lay idle, at no cost to a busy one.

    So a restarted server is noticed before a write is sent and not in the middle of it.

    While they lie in the pool, the drivers' own connections are in `idle`.
    """

    def note_idle(connection: Any, record: Any) -> None:
        record.info["idle since"] = time.monotonic()
        if connection is not None:
            idle.add(connection.driver_connection)

    def ping(connection: Any, record: Any, _proxy: Any) -> None:
        idle.discard(connection.driver_connection)
        idle_since = record.info.get("idle since")
        if idle_since is None or time.monotonic() - idle_since < _IDLE_BEFORE_PING:
            return
        if driver.is_pooled:
            return  # each transaction begins with a round trip, before anything is at stake
        try:
            alive = _ping(engine.dialect, connection, driver)
        except Exception as error:
            raise exc.DisconnectionError from error
        if not alive:
            raise exc.DisconnectionError

    event.listen(engine.pool, "checkin", note_idle)
    event.listen(engine.pool, "checkout", ping)
