"""SQLite when the file cannot be written, the disk is full, or others hold the file.

What a process may write, and how much, is a setting of the whole process, so two of these tests run
in one of their own.
"""

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from enfila import AbstractQueue, ActiveJob, Enfila, RepositoryUnavailable, WorkerOptions
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite import file_database

NOBODY = 65534


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def app(file: Path) -> AsyncIterator[Enfila]:
    async with Enfila(f"sqlite:///{file}") as app:
        yield app


def is_whole(file: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    with closing(sqlite3.connect(file)) as connection:
        answer: tuple[str] = connection.execute("PRAGMA integrity_check").fetchone()
    return answer == ("ok",)


async def ids(app: Enfila) -> list[str]:
    """The jobs that are there, in their order."""
    return [job.id for job in await app.queue("work").get_jobs(limit=10_000)]


async def add_until_refused(
    queue: AbstractQueue[Any, Any],
) -> tuple[list[str], RepositoryUnavailable]:
    """Adds large jobs, five at a time; those that were accepted, and the refusal."""
    kept: list[str] = []
    while True:
        try:
            added = await queue.add_bulk([("large", "x" * 9_000)] * 5)
        except RepositoryUnavailable as refusal:
            return kept, refusal
        kept += [job.id for job in added]


# ── a file that cannot be opened ─────────────────────────────────────────────────────────────


async def refusal_of(url: str) -> str:
    """What opening says."""
    app = Enfila(url)
    with pytest.raises(RepositoryUnavailable) as refusal:
        await app.open()
    await app.close()
    return str(refusal.value)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    said = await refusal_of(f"sqlite:///{tmp_path}/no/where/jobs.db")
    assert f"the folder {tmp_path}/no/where does not exist" in said


def test_a_file_that_is_no_database_is_named(file: Path) -> None:
    letter = b"Dear grandmother, " * 500
    file.write_bytes(letter)
    said = asyncio.run(refusal_of(f"sqlite:///{file}"))
    assert str(file) in said
    assert "not a database" in said
    assert file.read_bytes() == letter


def test_a_folder_in_place_of_the_file_is_named(file: Path) -> None:
    file.mkdir()
    assert str(file) in asyncio.run(refusal_of(f"sqlite:///{file}"))


# ── a file that cannot be written ────────────────────────────────────────────────────────────


def run_alone(function: str, file: Path) -> None:
    """Runs a function of this module in a process of its own; what it raises fails the test."""
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import {function}; {function}({str(file)!r})"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def public_file() -> Iterator[Path]:
    """In a folder that everybody may enter, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="enfila-read-only-"))
    try:
        folder.chmod(0o755)
        yield folder / "jobs.db"
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def make_read_only(file: Path) -> None:
    file.chmod(0o444)
    file.parent.chmod(0o555)


async def test_a_file_that_may_only_be_read_is_named(public_file: Path) -> None:
    async with Enfila(f"sqlite:///{public_file}") as app:
        job = await app.queue("work").add("any")
    make_read_only(public_file)
    run_alone("add_to_a_file_that_may_only_be_read", public_file)
    async with Enfila(f"sqlite:///{public_file}") as app:
        assert await ids(app) == [job.id]


def add_to_a_file_that_may_only_be_read(file: str) -> None:
    app = Enfila(f"sqlite:///{file}")

    async def add() -> None:
        with pytest.raises(RepositoryUnavailable) as refusal:
            await app.queue("work").add("any")
        assert file in str(refusal.value)
        assert not refusal.value.uncertain
        await app.close()

    if os.geteuid() == 0:  # whom no permission stops; from here on nothing can be imported
        os.setresuid(NOBODY, NOBODY, NOBODY)
    asyncio.run(add())


def test_a_file_that_may_not_grow_takes_jobs_again_when_it_may(file: Path) -> None:
    """A quota, or a disk that is full: the system refuses in the middle of a transaction."""
    run_alone("fill_a_file_that_may_not_grow", file)
    assert is_whole(file)


def fill_a_file_that_may_not_grow(file: str) -> None:
    async def fill() -> None:
        async with Enfila(f"sqlite:///{file}") as app:
            queue = app.queue("work")
            with files_may_have(600_000):
                kept, refusal = await add_until_refused(queue)
            assert file in str(refusal)
            assert kept
            assert await ids(app) == kept
            kept.append((await queue.add("last")).id)
            assert await ids(app) == kept
            assert (await queue.counts()).waiting == len(kept)

    asyncio.run(fill())


@contextmanager
def files_may_have(size: int) -> Iterator[None]:
    """No file of this process may have more bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Databases have room for 150 pages; beyond it SQLite says what it says of a full disk."""

    def limit(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count=150")

    sa.event.listen(sa.Engine, "connect", limit)
    yield
    sa.event.remove(sa.Engine, "connect", limit)


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_is_named_and_room_that_is_made_is_used(file: Path) -> None:
    async with Enfila(f"sqlite:///{file}") as app:
        queue = app.queue("work")
        kept, refusal = await add_until_refused(queue)
        assert str(file) in str(refusal)
        assert "full" in str(refusal)
        assert not refusal.uncertain
        assert await ids(app) == kept
        assert await queue.drain() == len(kept)
        after = await queue.add("after")
        assert await ids(app) == [after.id]
    assert is_whole(file)


# ── a file that others hold ──────────────────────────────────────────────────────────────────

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(file: Path) -> Iterator[None]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == b"held\n"
            yield
        finally:
            holder.kill()


async def test_an_addition_waits_for_a_process_that_holds_the_file(app: Enfila, file: Path) -> None:
    queue = app.queue("work")
    with held_by_another_process(file):
        adding = asyncio.ensure_future(queue.add("any"))
        for _ in range(20):
            assert (await queue.counts()).total == 0  # looking waits for nobody
        assert not adding.done()
    job = await adding
    assert await ids(app) == [job.id]


async def test_a_file_that_is_held_for_too_long_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_database, "_BUSY_SECONDS", 0.05)
    monkeypatch.setattr(file_database, "_LOCKED_SECONDS", 0.1)
    async with Enfila(f"sqlite:///{file}") as app:
        queue = app.queue("work")
        with held_by_another_process(file):
            with pytest.raises(RepositoryUnavailable, match="locked") as refusal:
                await queue.add("any")
            assert str(file) in str(refusal.value)
            assert not refusal.value.uncertain
        job = await queue.add("any")
        assert await ids(app) == [job.id]


async def test_two_apps_of_one_process_share_a_file(file: Path) -> None:
    runs: Counter[str] = Counter()

    async def count(job: ActiveJob[Any]) -> None:
        runs[job.id] += 1

    url = f"sqlite:///{file}"
    async with Enfila(url) as one, Enfila(url) as other:
        queues = [one.queue("work"), other.queue("work")]
        jobs = await asyncio.gather(*(queue.add("any") for queue in queues * 50))
        options = WorkerOptions(concurrency=5, poll_interval=0.2)
        async with one.worker(queues[0], count, options), other.worker(queues[1], count, options):
            for job in jobs:
                await job.result(timeout=20)
        assert runs == {job.id: 1 for job in jobs}
        assert (await queues[0].counts()).completed == len(jobs)
