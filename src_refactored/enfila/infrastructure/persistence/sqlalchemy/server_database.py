"""Transactions on a database server, through an async engine."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Final, TypeVar

from sqlalchemy import event, exc
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from enfila.core.application.tasks import OwnedTasks
from enfila.infrastructure.persistence.sqlalchemy.database import Database, Work
from enfila.infrastructure.persistence.sqlalchemy.driver_errors import is_retryable, translated
from enfila.infrastructure.persistence.sqlalchemy.urls import shown

T = TypeVar("T")

_MOST_TRIES: Final = 5
_IDLE_BEFORE_PING: Final = 1.0
_CONNECT_SECONDS: Final = 10
_STATEMENT_SECONDS: Final = 60


class ServerDatabase(Database):
    """PostgreSQL over asyncpg or psycopg, with a pool of connections.

    All work runs in tasks of its own: a task that is cancelled while asyncpg is in the middle of a
    statement would leave a broken connection in the pool.
    """

    def __init__(self, url: URL, *, pool_size: int) -> None:
        self._target = shown(url)
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=30,
            connect_args=_connect_arguments(url),
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        _ping_after_idling(self._engine)
        self._tasks = OwnedTasks()

    @property
    def engine(self) -> AsyncEngine:
        """The engine, for the one who listens to notifications."""
        return self._engine

    async def write(self, work: Work[T], *, autocommit: bool = False) -> T:
        """See `Database.write`."""
        attempt = self._in_autocommit if autocommit else self._in_transaction
        return await self._tasks.run(self._retrying(attempt, work), name="enfila write")

    async def read(self, work: Work[T]) -> T:
        """See `Database.read`."""
        return await self._tasks.run(
            self._retrying(self._in_autocommit, work, is_write=False), name="enfila read"
        )

    async def close(self) -> None:
        """See `Database.close`."""
        await self._tasks.wait()
        await self._engine.dispose()

    async def _retrying(self, attempt: Any, work: Work[T], *, is_write: bool = True) -> T:
        for tries_left in range(_MOST_TRIES - 1, -1, -1):
            progress = _Progress()
            try:
                result: T = await attempt(work, progress)
            except Exception as error:
                if tries_left and is_retryable(error):
                    await asyncio.sleep(random.uniform(0.001, 0.02))
                    continue
                uncertain = is_write and progress.may_be_committed
                raise translated(error, self._target, uncertain=uncertain) from error
            else:
                return result
        raise AssertionError("the last try returns or raises")

    async def _in_autocommit(self, work: Work[T], progress: _Progress) -> T:
        async with self._autocommit.connect() as connection:
            progress.may_be_committed = True
            return await connection.run_sync(work)

    async def _in_transaction(self, work: Work[T], progress: _Progress) -> T:
        async with self._engine.connect() as connection:
            result = await connection.run_sync(work)
            progress.may_be_committed = True
            await connection.commit()
            return result


class _Progress:
    """How far an attempt came before it failed."""

    may_be_committed = False


# A plan that PostgreSQL caches while the table is small must still be right when it has grown, so
# whatever visits the whole table is ruled out: rows are found by index, one by one. JIT never pays
# for statements of milliseconds.
_PLANNER: Final = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "TimeZone": "UTC",
}


def _connect_arguments(url: URL) -> dict[str, Any]:
    if url.get_driver_name() == "asyncpg":
        return {
            "timeout": _CONNECT_SECONDS,
            "command_timeout": _STATEMENT_SECONDS,
            "server_settings": {"application_name": "enfila", **_PLANNER},
        }
    settings = {**_PLANNER, "statement_timeout": str(_STATEMENT_SECONDS * 1000)}
    return {
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": "enfila",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }


def _ping_after_idling(engine: AsyncEngine) -> None:
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

    event.listen(engine.sync_engine.pool, "checkin", note_idle)
    event.listen(engine.sync_engine.pool, "checkout", ping)
