"""Two interceptors: one says whose job it is, the other what a log line belongs to.

    python examples/interceptors.py

Neither the code that adds jobs nor the processors know of them.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from enfila import ActiveJob, Enfila, Interceptor, Job, Proceed, RunningJob, SyncActiveJob

TENANT: ContextVar[str | None] = ContextVar("TENANT", default=None)
RUNNING: ContextVar[str] = ContextVar("RUNNING", default="no job")

log = logging.getLogger("shop")


class Tenants(Interceptor):
    """A job belongs to the tenant of the request that adds it, and runs for that tenant."""

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        tenant = TENANT.get()
        if tenant is None:
            raise PermissionError("no job without a tenant")
        yield [job.annotated(tenant=tenant) for job in jobs]

    async def running(self, job: RunningJob, proceed: Proceed) -> object:
        TENANT.set(job.tenant)  # for this run alone: the next one does not see it
        return await proceed()


class LogContext(Interceptor):
    """Log lines of a processor name its job."""

    async def running(self, job: RunningJob, proceed: Proceed) -> object:
        RUNNING.set(f"{job.name}, attempt {job.attempt}")
        try:
            return await proceed()
        except Exception:
            log.warning("failed")
            raise


async def invoice(job: ActiveJob) -> str:
    """A processor on the event loop."""
    log.info("invoice %s for %s", job.payload, TENANT.get())
    return f"invoice {job.payload} of {TENANT.get()}"


def print_label(job: SyncActiveJob) -> str:
    """A processor in a thread."""
    log.info("label %s for %s", job.payload, TENANT.get())
    return f"label {job.payload} of {TENANT.get()}"


async def main() -> None:
    """Adds jobs for two tenants, and one for nobody."""
    async with Enfila("memory://", interceptors=[Tenants()]) as app:
        app.intercept(LogContext())
        queue = app.queue("shop")
        with requested_by("acme"):
            first = await queue.add("invoice", 1)
        with requested_by("globex"):
            second, third = await queue.add_bulk([("invoice", 2), ("label", 3)])
        try:
            await queue.add("invoice", 4)
        except PermissionError as refusal:
            print(f"refused: {refusal}")

        async with app.worker(queue, {"invoice": invoice, "label": print_label}):
            results = [await job.result(timeout=10) for job in (first, second, third)]
        check("Each job ran for the tenant that added it.", results == EXPECTED)
        check("A job without a tenant was not added.", (await queue.counts()).total == len(results))


EXPECTED = ["invoice 1 of acme", "invoice 2 of globex", "label 3 of globex"]


@contextmanager
def requested_by(name: str) -> Iterator[None]:
    """What the middleware of a web framework does around a request."""
    before = TENANT.set(name)
    try:
        yield
    finally:
        TENANT.reset(before)


def name_the_job(record: logging.LogRecord) -> bool:
    """Puts the running job into each record."""
    record.job = RUNNING.get()
    return True


def check(claim: str, holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Says that something is true, or ends the program because it is not."""
    if not holds:
        sys.exit(f"Not true: {claim}")
    print(f"✓ {claim}")


if __name__ == "__main__":
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(name_the_job)
    logging.basicConfig(level=logging.INFO, format="[%(job)s] %(message)s", handlers=[handler])
    asyncio.run(main())
