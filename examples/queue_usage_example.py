"""A night in a bookshop: enfila from top to bottom, in six acts and about ten seconds.

    make demo
    python examples/queue_usage_example.py --url postgresql://user@host/database

The jobs only pretend to work. How they are queued, retried, recovered and reported is real, and in
the end the script checks what became of each. It needs `pip install 'enfila[rich]'`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from enfila import (
    AbstractQueue,
    ActiveJob,
    AttemptOutcome,
    Backoff,
    Deduplication,
    Enfila,
    EnfilaError,
    JobHandle,
    JobOptions,
    JobState,
    MaintenanceOptions,
    NewJob,
    Snooze,
    SyncActiveJob,
    Unrecoverable,
    WorkerOptions,
    WorkerService,
)
from enfila.core.domain.events import Event

QUEUE = "bookshop"
TABLE_PREFIX = "enfila_demo_"
PATIENCE = 15.0  # seconds, for what takes one

# ── The work ─────────────────────────────────────────────────────────────────────────────────


async def send_mail(job: ActiveJob) -> str:
    """A function gets a job and does it. What it returns becomes the job's result."""
    await asyncio.sleep(0.2)
    return f"sent to {job.payload['to']}"


async def count_books(job: ActiveJob) -> dict[str, int]:
    """Payloads and results are JSON."""
    await asyncio.sleep(0.2)
    return {"books": 250 * job.payload["shelves"]}


async def print_pages(job: ActiveJob) -> dict[str, int]:
    """Reports as it goes. Log and progress are stored with the job, for everybody to see."""
    pages: int = job.payload["pages"]
    for page in range(1, pages + 1):
        await asyncio.sleep(0.3)
        await job.log(f"page {page} is dry")
        await job.update_progress(100 * page // pages)
    return {"pages": pages}


def draw_cover(job: SyncActiveJob) -> str:
    """A plain function runs in a thread, so it may block."""
    time.sleep(0.4)
    job.update_progress("sketched")
    time.sleep(0.4)
    return f"{job.payload['title']}.png"


async def read_aloud(_job: ActiveJob) -> None:
    """Would take an hour if nobody cancelled it."""
    await asyncio.sleep(3600)


async def call_the_bank(job: ActiveJob) -> str:
    """Any exception fails the attempt. The job's options say whether another one follows."""
    await asyncio.sleep(0.1)
    if job.attempt <= job.payload["outages"]:
        raise ConnectionError("the bank does not answer")
    return "paid"


async def import_prices(job: ActiveJob) -> None:
    """Knows that another attempt would not help, and says so."""
    raise Unrecoverable(f"{job.payload['file']} is no price list")


async def hand_over(job: ActiveJob) -> str | Snooze:
    """Being early is no failure: a snooze costs no attempt."""
    if time.time() < job.payload["courier_comes_at"]:
        return Snooze(0.6)
    return "on its way"


# The name of a job says which function is to do it.
WORK: dict[str, Callable[[Any], Any]] = {
    "newsletter": send_mail,
    "receipt": send_mail,
    "password": send_mail,
    "reminder": send_mail,
    "survey": send_mail,
    "invitation": send_mail,
    "index": count_books,
    "stock": count_books,
    "catalogue": print_pages,
    "poster": print_pages,
    "cover": draw_cover,
    "audiobook": read_aloud,
    "payment": call_the_bank,
    "refund": call_the_bank,
    "prices": import_prices,
    "parcel": hand_over,
}


# ── The shop ─────────────────────────────────────────────────────────────────────────────────


@dataclass
class Shop:
    """What the acts work with, and what they note for the reckoning at the end."""

    queue: AbstractQueue[Any, Any]
    worker: WorkerService[Any, Any]
    other_worker: asyncio.subprocess.Process
    stage: Stage
    promises: list[Promise] = field(default_factory=list)
    checks: dict[str, bool] = field(default_factory=dict)

    def promise(
        self, job: JobHandle[Any], state: JobState, *, attempts: int = 1, says: str = ""
    ) -> None:
        """Notes what is to become of a job."""
        self.promises.append(Promise(job, state, attempts, says))

    def check(self, claim: str, *, holds: bool) -> None:
        """Notes something else that is to be true."""
        self.checks[claim] = holds


@contextlib.asynccontextmanager
async def open_shop(url: str) -> AsyncIterator[Shop]:
    """One app, one queue, one worker that does not run yet, and another one in a process apart."""
    async with Enfila(url, table_prefix=TABLE_PREFIX) as app:
        three_times = JobOptions(attempts=3, backoff=Backoff.exponential(0.3))
        queue = app.queue(QUEUE, default_job_options=three_times)
        await queue.obliterate(force=True)  # what an interrupted demo left in this database
        # Lost jobs are looked for every 10 s. Nobody wants to watch that for so long.
        maintenance = MaintenanceOptions(stalled_interval=timedelta(seconds=0.5))
        worker = app.worker(queue, WORK, WorkerOptions(concurrency=1, maintenance=maintenance))
        stage = Stage()
        stage.listen_to(queue, worker)
        async with worker_process(url) as other_worker:
            yield Shop(queue, worker, other_worker, stage)


async def play(url: str) -> bool:
    """The whole piece; whether everything came as it should."""
    async with open_shop(url) as shop:
        await perform(the_shop_is_closed, shop)
        async with shop.worker:
            await perform(a_worker_begins, shop)
            await perform(many_hands, shop)
            await perform(things_go_wrong, shop)
            await perform(a_worker_is_killed, shop)
            await perform(closing_time, shop)
        await perform(the_reckoning, shop)
        return all(shop.checks.values()) and all(each.is_kept for each in shop.promises)


async def perform(act: Callable[[Shop], Awaitable[None]], shop: Shop) -> None:
    """Plays an act. Its docstring is read out before."""
    title, _, story = (act.__doc__ or "").partition("\n")
    shop.stage.announce(title.rstrip("."), " ".join(story.split()))
    await act(shop)


# ── The acts ─────────────────────────────────────────────────────────────────────────────────


async def the_shop_is_closed(shop: Shop) -> None:
    """1. The shop is closed, its queue is open.

    No worker runs, so jobs wait: they are rows in a database. One is for later, one is added twice
    under the same key, and one is cancelled again.
    """
    newsletter, receipt, password = await shop.queue.add_bulk(
        [
            NewJob("newsletter", {"to": "everybody"}, JobOptions(priority=10)),
            NewJob("receipt", {"to": "ada@example.org"}),
            NewJob("password", {"to": "bob@example.org"}, JobOptions(priority=-10)),
        ]
    )
    reminder = await shop.queue.add("reminder", {"to": "eve@example.org"}, JobOptions(delay=1.5))
    once = JobOptions(deduplication=Deduplication.while_unfinished("index of today"))
    index = await shop.queue.add("index", {"shelves": 4}, once)
    again = await shop.queue.add("index", {"shelves": 4}, once)
    survey = await shop.queue.add("survey", {"to": "dan@example.org"}, JobOptions(delay=3600))
    await survey.cancel("Dan has moved")

    shop.check("The second index was not added.", holds=again.is_duplicate and again.id == index.id)
    shop.promise(newsletter, JobState.COMPLETED, says="sent to everybody")
    shop.promise(receipt, JobState.COMPLETED, says="sent to ada")
    shop.promise(password, JobState.COMPLETED, says="sent to bob")
    shop.promise(reminder, JobState.COMPLETED, says="sent to eve")
    shop.promise(index, JobState.COMPLETED, says="1000")
    shop.promise(survey, JobState.CANCELLED, attempts=0, says="Dan has moved")
    shop.stage.say("Now a worker begins.")


async def a_worker_begins(shop: Shop) -> None:
    """2. First things first.

    The worker has one slot. Lower numbers go first: the password (-10), then receipt and index (0)
    in the order in which they came, then the newsletter (10). The reminder has its time.
    """
    jobs = [promise.job for promise in shop.promises]
    await all_over(shop.queue, *jobs)

    newsletter, receipt, password, *_ = jobs
    sent = sorted([newsletter, receipt, password], key=lambda job: str(job.finished_at))
    shop.check("Mails were sent by priority.", holds=sent == [password, receipt, newsletter])


async def many_hands(shop: Shop) -> None:
    """3. Many hands.

    Four slots from now on. One job reports as it goes, one is a plain function in a thread, and one
    is cancelled while it runs.
    """
    shop.worker.concurrency = 4
    catalogue = await shop.queue.add("catalogue", {"pages": 3})
    cover = await shop.queue.add("cover", {"title": "Walden"})
    begins = next_event(shop.queue, "job.active", of="audiobook")
    audiobook = await shop.queue.add("audiobook")
    await begins
    await audiobook.cancel("the reader has a cold")
    await all_over(shop.queue, catalogue, cover, audiobook)

    lines = [each.line for each in await catalogue.logs()]
    shop.check("The log of the catalogue is kept.", holds=lines[-1:] == ["page 3 is dry"])
    shop.promise(catalogue, JobState.COMPLETED, says="3")
    shop.promise(cover, JobState.COMPLETED, says="Walden.png")
    shop.promise(audiobook, JobState.CANCELLED, says="a cold")


async def things_go_wrong(shop: Shop) -> None:
    """4. Things go wrong.

    Jobs of this queue are tried three times, with waits of 0.3 s and 0.6 s. The bank is back in
    time for the payment, and not for the refund, which is tried only twice. The price list is
    hopeless, and known to be. The parcel is just early.
    """
    payment = await shop.queue.add("payment", {"outages": 2})
    refund = await shop.queue.add("refund", {"outages": 9}, JobOptions(attempts=2))
    prices = await shop.queue.add("prices", {"file": "cat.jpg"})
    parcel = await shop.queue.add("parcel", {"courier_comes_at": time.time() + 0.4})
    await all_over(shop.queue, payment, refund, prices, parcel)

    shop.promise(payment, JobState.COMPLETED, attempts=3, says="paid")
    shop.promise(refund, JobState.FAILED, attempts=2, says="the bank does not answer")
    shop.promise(prices, JobState.FAILED, attempts=1, says="cat.jpg is no price list")
    shop.promise(parcel, JobState.COMPLETED, attempts=1, says="on its way")


async def a_worker_is_killed(shop: Shop) -> None:
    """5. A worker is killed.

    Our worker pauses, so the one in the other process takes the next job. In the middle of it that
    process gets SIGKILL, and can tell nobody. But its lock on the job runs out after a second. Then
    the job waits again, and the lost run is not counted as an attempt.
    """
    shop.worker.pause()
    stock = await shop.queue.add("stock", {"shelves": 8})
    held = await first_line(shop.other_worker)
    shop.stage.say(f"kill -9 {shop.other_worker.pid}")
    status = await killed(shop.other_worker)
    shop.worker.resume()
    await all_over(shop.queue, stock)

    was_killed = held == stock.id and status == -signal.SIGKILL
    shop.check("A process was killed in mid-job.", holds=was_killed)
    shop.check("Its job was found stalled, once.", holds=stock.stalled_count == 1)
    shop.promise(stock, JobState.COMPLETED, attempts=1, says="2000")


async def closing_time(shop: Shop) -> None:
    """6. Closing time.

    One slot again, and two jobs. A worker that is closed takes nothing new and finishes what it has
    begun. The other job stays in the queue for tomorrow.
    """
    shop.worker.concurrency = 1
    begins = next_event(shop.queue, "job.active", of="poster")
    poster = await shop.queue.add("poster", {"pages": 2})
    invitation = await shop.queue.add("invitation", {"to": "flo@example.org"})
    await begins
    shop.stage.say("The worker is to close.")
    await shop.worker.close()

    shop.check("The worker is closed.", holds=not shop.worker.is_running)
    shop.promise(poster, JobState.COMPLETED, says="2")
    shop.promise(invitation, JobState.WAITING, attempts=0)


async def the_reckoning(shop: Shop) -> None:
    """How the jobs ended.

    As it stands in the database, and whether it is what was promised.
    """
    table = Table("", "job", "state", "attempts", "waited", "result or reason", box=None)
    for promise in shop.promises:
        job = await promise.job.refresh()
        table.add_row(
            mark(is_good=promise.is_kept),
            job.name,
            Text(job.state, STATE_STYLES[job.state]),
            f"{job.attempt} of {job.max_attempts}" + (", stalled" if job.stalled_count else ""),
            await waits_of(job),
            Text(outcome_of(job)),
        )
    console.print(table)
    console.print()
    for claim, holds in shop.checks.items():
        console.print("", mark(is_good=holds), "", claim)
    for promise in shop.promises:
        if not promise.is_kept:
            console.print(Text(str(promise), "bold red"))


@dataclass(frozen=True)
class Promise:
    """What is to become of a job: its state, its attempts, and words of its result or reason."""

    job: JobHandle[Any]
    state: JobState
    attempts: int
    says: str

    @property
    def is_kept(self) -> bool:
        """Whether the job is what was promised, as it was when it was last looked at."""
        is_there = (self.job.state, self.job.attempt) == (self.state, self.attempts)
        return is_there and self.says in outcome_of(self.job)

    def __str__(self) -> str:
        return (
            f"{self.job.name} should be {self.state} after {self.attempts} attempt(s), "
            f"and say {self.says!r}"
        )


def outcome_of(job: JobHandle[Any]) -> str:
    """The result of a job, or why there is none."""
    match job.state:
        case JobState.COMPLETED:
            return json.dumps(job.snapshot.result)
        case JobState.CANCELLED:
            return job.snapshot.cancel_reason or ""
        case JobState.FAILED:
            return job.error.message if job.error else ""
        case _:
            return ""


async def waits_of(job: JobHandle[Any]) -> str:
    """How long a job waited before each of its runs."""
    waits, idle_since = [], job.created_at
    for run in await job.attempt_history():
        # A job can be fetched ahead of its turn, and then be given back without having run.
        if run.started_at is not None and run.outcome is not AttemptOutcome.RELEASED:
            waits.append(f"{(run.started_at - idle_since).total_seconds():.1f}")
        idle_since = run.finished_at or idle_since
    return " + ".join(waits) + " s" if waits else ""


# ── A worker to be killed ────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def worker_process(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """This script again, with `--abandon`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--abandon", "--url", url),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us
    )
    try:
        yield process
    finally:
        await killed(process)


async def killed(process: asyncio.subprocess.Process) -> int:
    """The exit status of a process that gets SIGKILL, unless it has ended before."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    return await process.wait()


async def first_line(process: asyncio.subprocess.Process) -> str:
    """What a process prints first; empty if there is nothing."""
    line = b""
    if process.stdout is not None:
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(process.stdout.readline(), timeout=PATIENCE)
    return line.decode().strip()


async def take_a_job_and_abandon_it(url: str) -> None:
    """What the other process does: it serves the same queue, and holds what it gets."""

    async def hold(job: ActiveJob) -> None:
        print(job.id, flush=True)
        await asyncio.sleep(60)

    one_second = WorkerOptions(lock_duration=1)
    async with (
        Enfila(url, table_prefix=TABLE_PREFIX) as app,
        app.worker(QUEUE, {"stock": hold}, one_second),
    ):
        await asyncio.sleep(60)


# ── Waiting ──────────────────────────────────────────────────────────────────────────────────


async def all_over(queue: AbstractQueue[Any, Any], *jobs: JobHandle[Any]) -> None:
    """Waits until jobs are final and the queue has told that it is empty.

    `result` raises when a job failed or was cancelled. Here that is looked at in the end.
    """
    drained = next_event(queue, "queue.drained")
    await asyncio.gather(*(job.result(timeout=PATIENCE) for job in jobs), return_exceptions=True)
    await asyncio.wait([drained], timeout=1)


def next_event(
    queue: AbstractQueue[Any, Any], name: str, *, of: str | None = None
) -> asyncio.Future[None]:
    """Done as soon as the queue tells of such an event, of a job with the name `of`."""
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def listen(event: Event) -> None:
        if not told.done() and of in {None, getattr(event, "job_name", None)}:
            told.set_result(None)

    queue.add_listener(name, listen)
    told.add_done_callback(lambda _: queue.off(name, listen))
    return told


# ── The stage ────────────────────────────────────────────────────────────────────────────────

# For each event a style, and what there is to say about it. The worker tells of its runs too
# (`worker.job.active` and so on), for those who watch one worker and not the queue.
EVENTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "job.added": ("cyan", lambda event: event.state),
    "job.delayed": ("yellow", lambda event: f"for {seconds(event.run_at - event.at)}"),
    "job.active": ("blue", lambda event: f"attempt {event.attempt}"),
    "job.progress": ("blue", lambda event: f"{event.progress}"),
    "job.log": ("blue", lambda event: event.line),
    "job.completed": ("green", lambda event: json.dumps(event.result)),
    "job.retrying": ("yellow", lambda event: f"after {event.error}"),
    "job.failed": ("red", lambda event: f"{event.error}"),
    "job.cancelled": ("magenta", lambda event: event.reason),
    "job.stalled": ("red", lambda event: f"its worker vanished, it is {event.state} again"),
    "queue.drained": ("dim", lambda _: "nothing left to do"),
    "worker.ready": ("dim", lambda _: "takes jobs"),
    "worker.lock.lost": ("red", lambda _: "another worker has the job"),
    "worker.error": ("red", lambda event: f"{event.during}: {event.error}"),
    "worker.closed": ("dim", lambda _: "holds nothing any more"),
}

STATE_STYLES = {
    JobState.WAITING: "cyan",
    JobState.DELAYED: "yellow",
    JobState.BLOCKED: "yellow",
    JobState.ACTIVE: "blue",
    JobState.COMPLETED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}

console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)


class Stage:
    """Shows what happens, with the seconds since it began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def listen_to(self, queue: AbstractQueue[Any, Any], worker: WorkerService[Any, Any]) -> None:
        """Shows the events of a queue and a worker as they are told."""
        for name, (style, describe) in EVENTS.items():
            emitter = worker if name.startswith("worker.") else queue
            emitter.add_listener(name, partial(self._show, style, describe))

    def announce(self, title: str, story: str) -> None:
        """Shows the heading of an act."""
        console.print()
        console.rule(f"[bold]{title}", align="left", style="dim")
        console.print(Text(story, "italic"))
        console.print()

    def say(self, line: str) -> None:
        """Shows a line of our own among the events."""
        self._print((line, "bold"))

    def _show(self, style: str, describe: Callable[[Any], str], event: Event) -> None:
        job_name = getattr(event, "job_name", "")
        self._print(
            (f"{event.name:<15}", style), (f"{job_name:<12}", "bold"), (describe(event), style)
        )

    def _print(self, *parts: tuple[str, str]) -> None:
        now = f"{time.monotonic() - self._began:6.2f}  "
        console.print(Text.assemble((now, "dim"), *parts), overflow="ellipsis", no_wrap=True)


def mark(*, is_good: bool) -> Text:
    """A tick or a cross."""
    return Text("✓", "green") if is_good else Text("✗", "bold red")


def seconds(length: timedelta) -> str:
    """A length of time for people."""
    return f"{round(length.total_seconds(), 1):g} s"


# ── The command line ─────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def database(url: str | None) -> Iterator[str]:
    """The database that was asked for, or a file that is gone afterwards."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="enfila-demo-") as folder:
        yield f"sqlite:///{Path(folder) / 'jobs.db'}"


def main() -> int:
    """Plays the piece; the exit code is 0 if all was well."""
    parser = argparse.ArgumentParser(description="A night in a bookshop, told by its job queue.")
    parser.add_argument("--url", help="the database; a temporary SQLite file when left out")
    parser.add_argument("--abandon", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        with database(given.url) as url:
            if given.abandon:
                asyncio.run(take_a_job_and_abandon_it(url))
                return 0
            is_good = asyncio.run(play(url))
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    except EnfilaError as error:
        console.print(Text(str(error), "bold red"))
        return 2
    console.print()
    console.print("All is well." if is_good else "Something went wrong.", style="bold")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
