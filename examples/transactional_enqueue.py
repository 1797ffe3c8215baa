"""An order and the job that confirms it: both are stored, or neither.

A program that stores an order and then sends a job to a queue elsewhere will one day stop between
the two. Here the job is a row in the same database, written in the same transaction.

    python examples/transactional_enqueue.py
    python examples/transactional_enqueue.py --url postgresql://user@host/database

On SQLite this uses SQLAlchemy's `Session`, on PostgreSQL its `AsyncSession`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from sqlalchemy import create_engine, make_url, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from enfila import ActiveJob, Enfila, EnfilaError, SyncActiveJob

TABLE_PREFIX = "enfila_example_"


class Base(DeclarativeBase):
    """Your tables. Those of enfila lie beside them, and are no business of yours."""


class Order(Base):
    """Somebody bought a book."""

    __tablename__ = "example_orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    book: Mapped[str]
    is_confirmed: Mapped[bool] = mapped_column(default=False)


class OutOfStockError(Exception):
    """The last copy has just been sold."""


async def with_a_session(url: str) -> None:
    """`queue.add(…, session=session)` with a `Session`."""
    engine = create_engine(url)
    Base.metadata.create_all(engine)

    def confirm(job: SyncActiveJob) -> str:
        with Session(engine) as session, session.begin():
            order = session.get_one(Order, job.payload["order"])
            order.is_confirmed = True
            return f"confirmed {order.book}"

    async with Enfila(url, table_prefix=TABLE_PREFIX) as app:
        queue = app.queue("orders")
        async with app.worker(queue, confirm):
            with Session(engine) as session, session.begin():
                order = Order(book="Walden")
                session.add(order)
                session.flush()  # gives the order its id
                job = await queue.add("confirm", {"order": order.id}, session=session)
                check("Before the commit there is no job.", await queue.get_job(job.id) is None)
            result = await job.result(timeout=10)
            check("After it the job runs, and finds its order.", result == "confirmed Walden")

            with contextlib.suppress(OutOfStockError), Session(engine) as session, session.begin():
                order = Order(book="Ulysses")
                session.add(order)
                session.flush()
                job = await queue.add("confirm", {"order": order.id}, session=session)
                raise OutOfStockError
            check("After a rollback there is no job.", await queue.get_job(job.id) is None)
            with Session(engine) as session:
                kept = session.scalar(select(Order).where(Order.book == "Ulysses"))
                check("And no order.", kept is None)

    Base.metadata.drop_all(engine)
    engine.dispose()


async def with_an_async_session(url: str) -> None:
    """The same with an `AsyncSession`."""
    # These need greenlet, which comes with `enfila[postgres]`.
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine  # noqa: PLC0415

    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)

    async def confirm(job: ActiveJob) -> str:
        async with AsyncSession(engine) as session, session.begin():
            order = await session.get_one(Order, job.payload["order"])
            order.is_confirmed = True
            return f"confirmed {order.book}"

    async with Enfila(url, table_prefix=TABLE_PREFIX) as app:
        queue = app.queue("orders")
        async with app.worker(queue, confirm):
            async with AsyncSession(engine) as session, session.begin():
                order = Order(book="Walden")
                session.add(order)
                await session.flush()  # gives the order its id
                job = await queue.add("confirm", {"order": order.id}, session=session)
                check("Before the commit there is no job.", await queue.get_job(job.id) is None)
            result = await job.result(timeout=10)
            check("After it the job runs, and finds its order.", result == "confirmed Walden")

            with contextlib.suppress(OutOfStockError):
                async with AsyncSession(engine) as session, session.begin():
                    order = Order(book="Ulysses")
                    session.add(order)
                    await session.flush()
                    job = await queue.add("confirm", {"order": order.id}, session=session)
                    raise OutOfStockError
            check("After a rollback there is no job.", await queue.get_job(job.id) is None)
            async with AsyncSession(engine) as session:
                kept = await session.scalar(select(Order).where(Order.book == "Ulysses"))
                check("And no order.", kept is None)

    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await engine.dispose()


def check(claim: str, holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Says that something is true, or ends the program because it is not."""
    if not holds:
        sys.exit(f"Not true: {claim}")
    print(f"✓ {claim}")


def main() -> None:
    """Tries it on the database that was asked for, or on a file that is gone afterwards."""
    parser = argparse.ArgumentParser(description="Adds jobs inside of transactions.")
    parser.add_argument("--url", help="a PostgreSQL; a temporary SQLite file when left out")
    url = parser.parse_args().url
    try:
        if url is not None:
            asyncio.run(with_an_async_session(url))
            return
        with tempfile.TemporaryDirectory(prefix="enfila-example-") as folder:
            asyncio.run(with_a_session(f"sqlite:///{Path(folder) / 'shop.db'}"))
    except EnfilaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
