"""Transactions of callers, sync and async, under one set of verbs."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

KINDS: dict[str, Any] = {
    "Session": Session,
    "Connection": sa.Connection,
    "AsyncSession": AsyncSession,
    "AsyncConnection": AsyncConnection,
}


async def done(answer: Any) -> Any:
    """The answer of a method, whether it is a coroutine or not."""
    return await answer if inspect.isawaitable(answer) else answer


class Caller:
    """A program with a table `orders` of its own, in one transaction after the other.

    Attributes:
        session: what it gives as `session=`.
    """

    def __init__(self, engine: Any, kind: str, orders: sa.Table) -> None:
        self._engine = engine
        self._kind = kind
        self._orders = orders
        self.session: Any = None

    @property
    def is_async(self) -> bool:
        return self._kind.startswith("Async")

    async def open(self) -> None:
        is_session = self._kind.endswith("Session")
        self.session = (
            KINDS[self._kind](self._engine) if is_session else await done(self._engine.connect())
        )

    async def order(self, number: int, parent: int | None = None) -> None:
        """Writes a row; a parent that does not exist fails the commit, not this."""
        values = {"id": number, "parent": parent}
        await done(self.session.execute(sa.insert(self._orders).values(values)))

    async def orders(self) -> list[int]:
        found = await done(self.session.execute(sa.select(self._orders.c.id)))
        return sorted(found.scalars())

    async def savepoint(self) -> Any:
        return await done(self.session.begin_nested())

    async def commit(self) -> None:
        await done(self.session.commit())

    async def rollback(self) -> None:
        await done(self.session.rollback())

    async def reopen(self) -> None:
        """Goes on with a new connection: SQLAlchemy leaves SQLite's open when a commit failed."""
        await self.close()
        await done(self._engine.dispose())
        await self.open()

    async def close(self) -> None:
        await done(self.session.close())


@asynccontextmanager
async def caller(url: str, kind: str, table: str) -> AsyncIterator[Caller]:
    """A caller whose table is empty."""
    orders = sa.Table(
        table,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("parent", sa.ForeignKey(f"{table}.id", deferrable=True, initially="DEFERRED")),
    )
    makes_tables = sa.create_engine(url.replace("+asyncpg", "+psycopg"))
    orders.metadata.create_all(makes_tables)
    is_async = kind.startswith("Async")
    engine: Any = create_async_engine(url) if is_async else sa.create_engine(makes_tables.url)
    if makes_tables.dialect.name == "sqlite":
        sa.event.listen(
            engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON")
        )
    program = Caller(engine, kind, orders)
    await program.open()
    try:
        yield program
    finally:
        await program.close()
        await done(engine.dispose())
        with makes_tables.begin() as connection:
            connection.execute(sa.delete(orders))
        makes_tables.dispose()
