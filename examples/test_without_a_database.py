"""How to test your own code: without a database, and without waiting for the time to pass.

The container has a default for every port, and each can be overridden. Here the jobs live in
memory and the clock stands still until the test moves it, so that eleven days take no time.

    pytest examples/test_without_a_database.py    (with pytest-asyncio in its mode `auto`)
    python examples/test_without_a_database.py
"""

# ruff: noqa: S101 - tests assert

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from enfila import (
    AbstractQueue,
    ActiveJob,
    Backoff,
    Container,
    Deduplication,
    Enfila,
    InMemoryJobRepository,
    JobHandle,
    JobOptions,
    WorkerService,
)
from enfila.testing import FrozenClock

# ── Your code, in a module of its own ────────────────────────────────────────────────────────


class Mailbox:
    """Stands for whatever sends your mails."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.is_down = False

    def send(self, to: str) -> None:
        """Sends a mail, if it can."""
        if self.is_down:
            raise ConnectionError("no mail server")
        self.sent.append(to)


class TrialReminders:
    """Reminds users, once, that their trial of 14 days is about to end."""

    def __init__(self, queue: AbstractQueue[Any, Any], mailbox: Mailbox) -> None:
        self._queue = queue
        self._mailbox = mailbox

    async def trial_began(self, user: str) -> JobHandle[Any]:
        """To be called when a trial begins. More than once does no harm."""
        options = JobOptions(
            delay=timedelta(days=11),
            attempts=3,
            backoff=Backoff.fixed(timedelta(minutes=10)),
            deduplication=Deduplication.while_unfinished(user),
        )
        return await self._queue.add("remind", {"user": user}, options)

    async def remind(self, job: ActiveJob) -> None:
        """The processor."""
        self._mailbox.send(job.payload["user"])


# ── What its tests need ──────────────────────────────────────────────────────────────────────


@dataclass
class Bench:
    """Your code on a queue in memory, and the clock to move."""

    app: Enfila
    clock: FrozenClock
    queue: AbstractQueue[Any, Any]
    mailbox: Mailbox
    reminders: TrialReminders

    def worker(self) -> WorkerService[Any, Any]:
        """A worker for your processor. It runs once, so each stretch of work takes a new one."""
        return self.app.worker(self.queue, self.reminders.remind)


@contextlib.asynccontextmanager
async def open_bench() -> AsyncIterator[Bench]:
    """The container with two of its parts replaced; the rest is as in production.

    If the repository is all that you swap, `Enfila("memory://", clock=clock)` does the same.
    """
    clock = FrozenClock()
    container = Container()
    container.clock.override(clock)
    container.job_repository.override(InMemoryJobRepository(clock))
    async with Enfila(container=container) as app:
        queue, mailbox = app.queue("reminders"), Mailbox()
        yield Bench(app, clock, queue, mailbox, TrialReminders(queue, mailbox))


# ── The tests ────────────────────────────────────────────────────────────────────────────────


async def test_a_reminder_is_sent_after_eleven_days() -> None:
    """Nobody waits for it."""
    async with open_bench() as bench:
        job = await bench.reminders.trial_began("ada")
        assert job.run_at == bench.clock.now() + timedelta(days=11)

        bench.clock.advance(timedelta(days=11))
        async with bench.worker():
            await job.result(timeout=5)
        assert bench.mailbox.sent == ["ada"]


async def test_a_user_is_reminded_once() -> None:
    """However often the trial is said to begin."""
    async with open_bench() as bench:
        first = await bench.reminders.trial_began("ada")
        second = await bench.reminders.trial_began("ada")
        assert second.is_duplicate
        assert second.id == first.id
        assert (await bench.queue.counts()).total == 1


async def test_an_outage_of_the_mail_server_is_outlived() -> None:
    """The first attempt fails. The second one, ten minutes later, succeeds."""
    async with open_bench() as bench:
        job = await bench.reminders.trial_began("ada")
        bench.clock.advance(timedelta(days=11))

        bench.mailbox.is_down = True
        worker, has_failed = bench.worker(), asyncio.Event()
        worker.once("worker.job.errored", lambda _: has_failed.set())
        async with worker:
            await has_failed.wait()
        await job.refresh()
        assert job.state == "delayed"
        assert job.run_at == bench.clock.now() + timedelta(minutes=10)

        bench.mailbox.is_down = False
        bench.clock.advance(timedelta(minutes=10))
        async with bench.worker():
            await job.result(timeout=5)
        assert (job.attempt, bench.mailbox.sent) == (2, ["ada"])


def main() -> None:
    """Runs the tests without pytest."""
    for test in (
        test_a_reminder_is_sent_after_eleven_days,
        test_a_user_is_reminded_once,
        test_an_outage_of_the_mail_server_is_outlived,
    ):
        asyncio.run(test())
        print(f"passed: {test.__name__}")


if __name__ == "__main__":
    main()
