"""Wrong calls that people make, in the order in which a program comes to them.

Each is Python as somebody would write it. `test_refusals.py` evaluates them and compares what they
say with `refusals.txt`, which is there to be read.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from enfila import ActiveJob


class Colour(enum.Enum):
    RED = 1


class Model(BaseModel):
    id: int


class User:
    def __repr__(self) -> str:
        return "<User ada>"


async def work(job: ActiveJob) -> None: ...


def args(*names: str) -> None: ...


def generator() -> Iterator[int]:
    yield 1


async def of_strange_payload(job: ActiveJob[User]) -> None: ...


def of_strange_payload_argument(user: User) -> None: ...


TABLE: Final[dict[str, list[str]]] = {
    "The app": [
        'Enfila("jobs.db")',
        'Enfila("mysql://me:secret@host/db")',
        'Enfila("postgresql+pg8000://me:secret@host/db")',
        'Enfila("sqlite://jobs.db")',
        'Enfila("sqlite:///jobs.db?mode=ro")',
        'Enfila("postgresql://me:se@cret@host/db")',
        'Enfila("postgresql://host")',
        'Enfila("postgresql://host:port/db")',
        'Enfila("postgresql+asyncpg://host/db?sslmod=require")',
        'Enfila("postgresql+asyncpg://host/db?sslmode=yes")',
        'Enfila("postgresql://host/db", schema="pg_jobs")',
        'Enfila("sqlite:///x.db", table_prefix="a-b")',
        'Enfila("sqlite:///x.db", synchronous="HALF")',
        'Enfila("postgresql://host/db", pool_size=0)',
        'Enfila("memory://", time_zone="Europe/Berlim")',
        'Enfila("memory://", clock=datetime.now)',
        'Enfila("memory://", job_types=[])',
        'Enfila("memory://", interceptors=[print])',
        'Enfila("memory://", container="a container")',
        'Enfila("memory://", container=Container())',
        'Enfila("sqlite:///x.db", listen_url="postgresql://host/db")',
        'Enfila("memory://", job_types=types)',
        "app.close(grace=-1)",
        'app.close(grace="soon")',
    ],
    "Queues": [
        'app.queue("")',
        'app.queue("q" * 256)',
        "app.queue(5)",
        'app.queue("email", default_job_options=JobOptions(priority=1))',
        'app.queue("other", default_job_options={"priority": 1})',
        'app.queue("other", retention=60)',
        'app.queue("another", payload_type=object()).add("a")',
        'QueueService("email", "sqlite:///jobs.db")',
    ],
    "Adding": [
        'queue.add("")',
        "queue.add(5)",
        'queue.add("a", datetime(2026, 1, 1, tzinfo=UTC))',
        'queue.add("a", {"at": date(2026, 1, 1)})',
        'queue.add("a", {"id": UUID(int=5)})',
        'queue.add("a", {"price": Decimal("1.5")})',
        'queue.add("a", {"file": b"text"})',
        'queue.add("a", {"path": Path("a")})',
        'queue.add("a", {"user": User()})',
        'queue.add("a", {"model": Model(id=5)})',
        'queue.add("a", {"tags": {"a"}})',
        'queue.add("a", {"size": (1, 2)})',
        'queue.add("a", {5: "five"})',
        'queue.add("a", {"share": float("nan")})',
        'queue.add("a", {"colour": Colour.RED})',
        'queue.add("a", {"call": print})',
        'queue.add("a", {"text": "x" * 1_100_000})',
        'numbers.add("a", "five")',
        'numbers.add("a", None)',
        'queue.add("a", {}, {"delay": 5})',
        'queue.add("a", {}, 5)',
        'queue.add("a", {}, dely=5)',
        'queue.add("a", session="postgresql://host/db")',
        'queue.add("a", session=object())',
        'queue.add_bulk("a")',
        'queue.add_bulk(["a"])',
        'queue.add_bulk([{"name": "a", "delay": 5}])',
        'queue.add_sync("a")',
        'typed.add("wellcome", {"to": "ada"})',
        'typed.add("welcome", {"too": "ada"})',
        'typed.add("welcome", {"to": 5})',
    ],
    "Options of jobs": [
        "JobOptions(attempts=0)",
        'JobOptions(attempts="3")',
        "JobOptions(delay=-1)",
        "JobOptions(delay=5, run_at=datetime(2026, 1, 1, tzinfo=UTC))",
        "JobOptions(run_at=datetime(2026, 1, 1))",
        'JobOptions(run_at="tomorrow")',
        'JobOptions(priority="high")',
        "JobOptions(timeout=0)",
        "JobOptions(expires_in=0)",
        'JobOptions(tags="a")',
        "JobOptions(tags=[5])",
        'JobOptions(metadata=["a"])',
        'JobOptions(deduplication="key")',
        "JobOptions(backoff=5)",
        'JobOptions(remove_on_complete="never")',
        "JobOptions(lifo=1)",
        "JobOptions(keep_logs=-1)",
        "Backoff.fixed(-1)",
        "Backoff.exponential(1, factor=0.5)",
        "Backoff.exponential(1, jitter=2)",
        'Backoff.custom("")',
        'Deduplication("")',
    ],
    "Looking at jobs and changing them": [
        "queue.get_job(5)",
        'queue.get_jobs("fialed")',
        "queue.get_jobs(5)",
        'queue.get_jobs(limit="all")',
        'queue.clean(state="waiting")',
        "queue.clean(older_than=-1)",
        'queue.retry("five")',
        'queue.drain(delayed="yes")',
        'handle.result(timeout="soon")',
        "handle.set_priority(1.5)",
        "handle.logs(limit=-1)",
        'queue.on("job.complete", print)',
        'queue.on("job.completed", 5)',
    ],
    "Workers": [
        'app.worker("email")',
        'app.worker("email", 5)',
        'app.worker("email", lambda: None)',
        'app.worker("email", {})',
        'app.worker("email", {5: print})',
        'app.worker("email", User)',
        "app.worker(5, work)",
        'app.worker("email", work, 10)',
        'app.worker("email", work, concurrency=0)',
        'app.worker("email", work, concurency=5)',
        'app.worker("email", work, lock_duration=5, lock_renewal=6)',
        'app.worker("email", work, grace=-1)',
        'app.worker("email", work, backoffs=[work])',
        'app.worker("email", work, prefetch=-1)',
        'Enfila("memory://").worker()',
        'app.worker(queues="email")',
        "app.worker(queues=[])",
        'app.worker("email", of_strange_payload)',
        'WorkerService("email", work)',
        "Snooze(-1)",
        "Cancel(5)",
    ],
    "Job types": [
        "types.job(lambda: None)",
        'types.job("")(work)',
        'types.job("welcome")(work)',
        'types.job("new")(5)',
        'types.job("new")(User)',
        'types.job("new")(args)',
        'types.job("new")(generator)',
        'types.job("new")(of_strange_payload_argument)',
        'types.job("new", max_concurrency=0)(work)',
        'types.job("new", options=5)(work)',
        "welcome.enqueue()",
        'welcome.enqueue("ada", "grace")',
        "welcome.enqueue(to=5)",
        'welcome.enqueue(too="ada")',
        'welcome.enqueue_sync("ada")',
        "welcome.with_options(priority='high')",
        "welcome.with_options(5)",
        "welcome.with_options(dely=5)",
        'JobTypeRegistry().job("a")(work).enqueue()',
        'JobTypeRegistry().job("a")(work).schedule("s", "* * * * *")()',
    ],
    "Schedules": [
        'Cron("* * * *")',
        'Cron("61 * * * *")',
        'Cron("30 25 * * *")',
        'Cron("every day")',
        "Interval(0)",
        "Interval('daily')",
        "Once('tomorrow')",
        "Once(datetime(2026, 1, 1))",
        "TimesOfDay('25:00')",
        "TimesOfDay('12:00', days=['mon', 'xyz'])",
        'app.schedules.define("", "a", "* * * * *")',
        'app.schedules.define("s", "a", 5)',
        'app.schedules.define("s", "a", "* * * * *", time_zone="Europe/Berlim", queue="email")',
        'app.schedules.create("s")',
        'app.schedules.sync("s")',
        "app.scheduler(batch=0)",
        "app.scheduler(pool=0)",
    ],
    "For tests": [
        "FrozenClock(datetime(2026, 1, 1))",
        "FrozenClock().advance(-1)",
        "FrozenClock().move_to('tomorrow')",
        "AcceleratedClock(datetime(2026, 1, 1, tzinfo=UTC), factor=0)",
    ],
}
