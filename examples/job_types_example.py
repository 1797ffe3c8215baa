"""Functions with a name and a signature: declared, added, run by one worker, switched off and on.

python examples/job_types_example.py
python examples/job_types_example.py --url postgresql://user@host/database
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from datetime import date
from pathlib import Path

from pydantic import BaseModel

from enfila import (
    ActiveJob,
    Backoff,
    Enfila,
    EnfilaError,
    InvalidRequest,
    JobState,
    JobTypeRegistry,
    WorkerOptions,
)

TABLE_PREFIX = "job_types_example_"

types = JobTypeRegistry()


class Order(BaseModel):
    """What a customer wants."""

    book: str
    copies: int = 1


class Total(BaseModel):
    """What became of a day."""

    day: date
    copies: int


@types.job("shop:confirm", queue="email", attempts=3, backoff=Backoff.fixed(0.1))
async def confirm(job: ActiveJob[object], order: Order, to: str) -> str:
    """Tells a customer that the order has arrived."""
    if job.attempt == 1:
        raise ConnectionError("the mail server does not answer")
    await job.log(f"{to} gets {order.copies} of {order.book}")
    return f"confirmed {order.book} to {to}"


@types.job("shop:total", queue="accounts", max_concurrency=1)
def total(day: date, orders: list[Order]) -> Total:
    """Adds up the orders of a day. Plain functions run in a thread."""
    return Total(day=day, copies=sum(order.copies for order in orders))


async def show(url: str) -> None:
    """Plays it on a database."""
    walden, ulysses = Order(book="Walden", copies=2), Order(book="Ulysses")
    day = date(2026, 5, 1)

    result = await total.call_now(day, [walden, ulysses])
    check("A test runs a type without a queue.", result == Total(day=day, copies=3))

    async with Enfila(url, table_prefix=TABLE_PREFIX, job_types=types) as app:
        try:
            await confirm.enqueue(walden, to=5)  # type: ignore[arg-type]  # that is the point
        except InvalidRequest as refused:
            check(f"Wrong arguments are refused: {refused}", holds=True)
        try:
            await app.queue("email").add("shop:confrim")
        except InvalidRequest as refused:
            check(f"So are unknown names: {refused}", holds=True)

        async with app.worker(options=WorkerOptions(concurrency=4)):
            confirmed = await confirm.enqueue(walden, to="ada")
            added = await total.with_options(priority=-1).enqueue(day, [walden])
            check(
                "One worker serves both queues, and results are rebuilt.",
                await confirmed.result(timeout=10) == "confirmed Walden to ada"
                and await added.result(timeout=10) == Total(day=day, copies=2),
            )

            await app.job_types.disable("shop:confirm")
            kept = await confirm.enqueue(ulysses, to="bob")
            await (await total.enqueue(day, [])).result(timeout=10)
            waits = (await kept.refresh()).state is JobState.WAITING
            check("A disabled type stays in line.", waits)
            await app.job_types.enable("shop:confirm")
            check("And runs once it is enabled.", "Ulysses" in await kept.result(timeout=10))

        for info in await app.job_types.all():
            runs = info.statistics
            print(
                f"  {info.name:14} {info.definition.queue:10} {runs.runs} runs, "
                f"{runs.successes} successes, {runs.failures} failures: "
                f"{info.definition.description}"
            )
        counted = (await app.job_types.get("shop:confirm")).statistics
        check("Runs are counted, the failed ones too.", counted.runs == 2 * counted.failures)
        for queue in types.queues:
            await app.queue(queue).obliterate(force=True)
        for each in types:
            await app.job_types.remove(each.name)


def check(claim: str, holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Says that something is true, or ends the program because it is not."""
    if not holds:
        sys.exit(f"Not true: {claim}")
    print(f"✓ {claim}")


def main() -> None:
    """Shows it on the database that was asked for, or on a file that is gone afterwards."""
    parser = argparse.ArgumentParser(description="Declares job types and runs them.")
    parser.add_argument("--url", help="a PostgreSQL; a temporary SQLite file when left out")
    url = parser.parse_args().url
    try:
        if url is not None:
            asyncio.run(show(url))
            return
        with tempfile.TemporaryDirectory(prefix="enfila-example-") as folder:
            asyncio.run(show(f"sqlite:///{Path(folder) / 'shop.db'}"))
    except EnfilaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
