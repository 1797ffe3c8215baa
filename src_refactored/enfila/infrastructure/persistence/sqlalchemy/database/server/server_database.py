"""Transactions on a database server, through an async engine."""

from __future__ import annotations

import asyncio
import random
import threading
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext

from enfila.core.application.runtime.forks import ForkAware, leave_to_parent
from enfila.core.application.runtime.tasks import run_on
from enfila.core.domain.errors import AlreadyClosed, InvalidRequest, RepositoryUnavailable
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database, Work
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import StatementCall
from enfila.infrastructure.persistence.sqlalchemy.database.server.loop_pool import (
    LoopPool,
    was_connection_lost,
)
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_driver import ServerDriver
from enfila.infrastructure.persistence.sqlalchemy.database.server.silence import (
    LONG_WORK,
    SHORT_WORK,
    Attempt,
)
from enfila.infrastructure.persistence.sqlalchemy.database.urls import shown

T = TypeVar("T")

_MOST_TRIES: Final = 5
_MOST_TRIES_ON_NEW_CONNECTIONS: Final = 2


class ServerDatabase(Database, ForkAware):
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
        self._pools: dict[asyncio.AbstractEventLoop, LoopPool] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        # Whatever is wrong with the URL shall be said now, not at first use.
        self._first_engine: sa.Engine | None = self._make_engine()

    def start_over(self) -> None:
        """See `ForkAware`. The connections are the parent's."""
        leave_to_parent((self._pools, self._first_engine))
        self._pools, self._lock = {}, threading.Lock()
        self._first_engine = None

    async def write(self, work: Work[T]) -> T:
        """See `Database.write`."""
        pool = await self._pool_here()
        writing = self._retrying(pool, pool.in_transaction, work, longest=LONG_WORK)
        return await pool.run(writing, name="enfila write")

    async def execute(self, call: StatementCall[T]) -> T:
        """See `Database.execute`."""
        pool = await self._pool_here()
        direct = self._driver.direct
        if direct is None:
            executing = self._retrying(pool, pool.on_connection, call)
        else:
            executing = self._retrying(pool, partial(pool.on_driver, direct), call)
        return await pool.run(executing, name="enfila execute")

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""
        pool = await self._pool_here()
        reading = self._retrying(pool, pool.in_autocommit, work, is_write=False)
        return await pool.run(reading, name="enfila read")

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
                await run_on(loop, pool.close)

    async def _pool_here(self) -> LoopPool:
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
                pool = self._pools[loop] = LoopPool(engine, self._driver, pool_size=self._pool_size)
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
        # So that SQLAlchemy drops the pool's other connections too, which died with this one.
        event.listen(engine, "handle_error", self._note_lost_connection)
        return engine

    def _note_lost_connection(self, context: ExceptionContext) -> None:
        if self._errors.is_connection_lost(context.original_exception):
            context.is_disconnect = True

    async def _retrying(
        self,
        pool: LoopPool,
        perform: Any,
        work: Any,
        *,
        is_write: bool = True,
        longest: float | None = None,
    ) -> Any:
        times_lost = 0
        for number in range(1, _MOST_TRIES + 1):
            attempt = Attempt(longest or SHORT_WORK)
            try:
                return await pool.silence.run(attempt, perform(work, attempt))
            except Exception as error:
                if (
                    number < _MOST_TRIES
                    and not attempt.is_partly_committed
                    and self._driver.notices_pooler(error)
                ):
                    pool.distrust_all()
                    continue
                is_unknown = (
                    is_write
                    and attempt.may_be_committed
                    and not self._errors.is_unsent(error)
                    and not self._errors.is_rolled_back(error)
                )
                # A connection of the pool may have died since it was used last; a new one will do.
                is_stale = was_connection_lost(error, self._errors) and not is_unknown
                times_lost += is_stale
                if (
                    number < _MOST_TRIES
                    and not attempt.is_given_up
                    and (
                        self._errors.is_retryable(error)
                        or (is_stale and times_lost <= _MOST_TRIES_ON_NEW_CONNECTIONS)
                    )
                ):
                    await asyncio.sleep(random.uniform(0.001, 0.01) * 2**number)
                    continue
                uncertain = is_unknown or (is_write and attempt.is_partly_committed)
                if attempt.is_given_up:
                    reason = f"there was no answer for {monotonic() - attempt.touched:.0f} s"
                    raise RepositoryUnavailable(
                        self._target, reason, uncertain=uncertain
                    ) from error
                answer = self._errors.translated(error, self._target, uncertain=uncertain)
                if answer is error:
                    raise
                raise answer from error
        raise AssertionError("the last try returns or raises")
