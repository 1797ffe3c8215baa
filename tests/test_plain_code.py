"""Programs without an event loop, or with another one, and what is handed to other processes."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from enfila import ActiveJob, AlreadyClosed, Enfila, InvalidRequest, JobTypeRegistry
from tests.contract.adapters import SQL_ADAPTERS, url_of

on_every_database = pytest.mark.parametrize("adapter", ["memory", *SQL_ADAPTERS])


async def nothing(job: ActiveJob) -> None: ...


# ── closing ──────────────────────────────────────────────────────────────────────────────────

PROGRAM = """
import sys
from enfila import Enfila

url, prefix, how = sys.argv[1:]
if how == "with":
    with Enfila(url, table_prefix=prefix) as app:
        print(app.queue("a").add_sync("x").state.value)
else:
    app = Enfila(url, table_prefix=prefix)
    print(app.queue("a").add_sync("x").state.value)
    print(app.queue("b").add_sync("x").state.value)
    app.close_sync()
    app.close_sync()
import threading
left = {each.name for each in threading.enumerate()} - {"MainThread"}
assert not any("adds" in each for each in left), left
del app
import gc
gc.collect()
"""


@on_every_database
@pytest.mark.parametrize("how", ["with", "close_sync"])
def test_plain_code_leaves_nothing_open(
    adapter: str, how: str, request: pytest.FixtureRequest
) -> None:
    url = url_of(adapter, request)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, url, f"t{uuid4().hex[:9]}_", how],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split() == (["waiting"] if how == "with" else ["waiting", "waiting"])


def test_what_was_closed_in_plain_code_is_closed() -> None:
    types = JobTypeRegistry()
    with Enfila("memory://", job_types=types) as app:
        queue = app.queue("a")
        queue.add_sync("x")
    with pytest.raises(AlreadyClosed):
        queue.add_sync("x")
    with pytest.raises(AlreadyClosed), app:
        pass
    Enfila("memory://", job_types=types).close_sync()  # the registry was given back


async def test_on_an_event_loop_it_is_refused_with_what_to_write() -> None:
    app = Enfila("memory://")
    with pytest.raises(InvalidRequest, match=r"it would block the loop: write `async with`"), app:
        pass
    with pytest.raises(InvalidRequest, match=r"the loop: write `await app\.close\(\)`"):
        app.close_sync()
    await app.close()


# ── another library than asyncio ─────────────────────────────────────────────────────────────


def test_under_trio_one_sentence_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lowlevel:
        @staticmethod
        def in_trio_run() -> bool:
            return True

    class Trio:
        lowlevel = Lowlevel

    async def opened() -> None:
        async with Enfila("memory://"):
            pass

    async def counted() -> None:
        await Enfila("memory://").queue("a").counts()

    monkeypatch.setitem(sys.modules, "trio", Trio)
    for program in (opened, counted):
        with pytest.raises(InvalidRequest, match=r"^caller: it runs on trio; enfila needs"):
            program().send(None)  # as a loop of trio's would


# ── pickling ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
async def test_what_belongs_to_a_process_says_so(take: Callable[[Any], Any]) -> None:
    async with Enfila("memory://") as app:
        queue = app.queue("a")
        job = await queue.add("x")
        worker, scheduler = app.worker(queue, nothing), app.scheduler()
        for it in (app, queue, worker, scheduler):
            with pytest.raises(InvalidRequest, match="make one in the other process"):
                take(it)
        with pytest.raises(InvalidRequest, match=r"send its id, and find it with `await queue.get"):
            take({"job": job})
        assert take(job.as_dict()) is not None


# ── what is shown ────────────────────────────────────────────────────────────────────────────


async def test_what_is_shown_names_state_and_place_and_no_password() -> None:
    app = Enfila("postgresql+psycopg://me:s3cret@127.0.0.1:1/db?application_name=a")
    address = "postgresql://me:***@127.0.0.1:1/db?application_name=a"
    queue = app.queue("email")
    worker = app.worker(queue, nothing, concurrency=3)
    scheduler = app.scheduler()
    app.job("welcome")(nothing)
    assert repr(app) == f"<Enfila on {address}, new>"
    assert repr(queue) == "<queue 'email', open>"
    assert repr(worker) == f"<worker {worker.id} of queue 'email', new, 0 of 3 jobs>"
    assert repr(scheduler) == f"<scheduler on {address}, new>"
    assert repr(app.repository) == f"<SqlAlchemyJobRepository on {address}>"
    assert repr(app.storage) == f"<SqlAlchemyStorage on {address}>"
    assert repr(app.worker().queue) == "<queues ['default'] of job types>"
    await app.close()
    assert repr(app) == f"<Enfila on {address}, closed>"
    assert repr(queue) == "<queue 'email', closed>"
    assert ", closed, " in repr(worker)


async def test_a_running_app_says_so() -> None:
    async with Enfila("memory://") as app, app.worker("email", nothing) as worker:
        assert repr(app) == "<Enfila on memory://, open>"
        assert ", running, 0 of 1 jobs>" in repr(worker)


async def test_dir_has_what_users_call_and_not_what_enfila_does() -> None:
    async with Enfila("memory://") as app:
        queue, worker = app.queue("a"), app.worker("a", nothing)
    for meant in ("add", "add_bulk", "get_job", "cancel", "fetch_jobs_and_lock", "on", "name"):
        assert meant in dir(queue)
    for meant in ("run", "close", "concurrency", "id", "on", "once"):
        assert meant in dir(worker)
    for inside in ("publish", "report_error", "start_over", "emit"):
        assert inside not in {*dir(queue), *dir(worker)}
    for inside in ("attach_loop", "mark_job_as_active", "outcomes", "listen", "read_payload"):
        assert inside not in dir(queue)
    assert all(hasattr(queue, each) for each in type(queue)._INSIDE)  # noqa: SLF001
    assert all(hasattr(worker, each) for each in type(worker)._INSIDE)  # noqa: SLF001
