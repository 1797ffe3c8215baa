import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from enfila.core.application.ports.wake_up import Hint
from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite import wake_up as sqlite_wake_up
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.wake_up import SqliteWakeUp
from enfila.testing import FrozenClock
from tests.contract.building import make_job

WRITE = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('create table t (a)')"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "enfila.db"


@pytest.fixture
async def wake_up(file: Path) -> AsyncIterator[SqliteWakeUp]:
    wake_up = SqliteWakeUp(str(file))
    await wake_up.open()
    yield wake_up
    await wake_up.close()


async def is_set(event: asyncio.Event) -> bool:
    async with asyncio.timeout(10):
        return await event.wait()


async def test_a_commit_of_another_process_wakes(wake_up: SqliteWakeUp, file: Path) -> None:
    event = wake_up.listen("q", Hint.JOBS)
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITE, file)
    assert await writer.wait() == 0
    assert await is_set(event)


async def test_a_job_that_another_repository_added_wakes(
    wake_up: SqliteWakeUp, sqlite_url: str
) -> None:
    repository = SqlAlchemyJobRepository(sqlite_url)
    await repository.open()
    event = wake_up.listen("q", Hint.JOBS)
    await repository.add([make_job("q", clock=FrozenClock())])
    assert await is_set(event)
    await repository.close()


async def test_everybody_is_woken_again_and_again(wake_up: SqliteWakeUp, file: Path) -> None:
    """The file says that something was written, and not what."""
    hints = (Hint.JOBS, Hint.SETTLED)
    events = [wake_up.listen(queue, hint) for queue in ("q", "r") for hint in hints]
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("create table t (a)")
        for number in range(5):
            for event in events:
                event.clear()
            writer.execute("insert into t values (?)", (number,))
            for event in events:
                assert await is_set(event)


async def test_on_a_busy_file_renewals_are_asked_for_now_and_then(
    wake_up: SqliteWakeUp, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would renew all the locks of a worker, whose own commits change the file too."""
    monkeypatch.setattr(sqlite_wake_up, "_SECONDS_BETWEEN_RATIONED", 60)
    jobs, control = wake_up.listen("q", Hint.JOBS), wake_up.listen("q", Hint.CONTROL)
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("create table t (a)")
        assert await is_set(jobs)
        assert await is_set(control)
        control.clear()
        for number in range(3):
            jobs.clear()
            writer.execute("insert into t values (?)", (number,))
            assert await is_set(jobs)
        assert not control.is_set()


async def test_a_renewal_that_was_kept_back_is_asked_for_in_the_end(
    wake_up: SqliteWakeUp, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_wake_up, "_SECONDS_BETWEEN_RATIONED", 0.1)
    control = wake_up.listen("q", Hint.CONTROL)
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("create table t (a)")
        assert await is_set(control)
        control.clear()
        writer.execute("insert into t values (1)")
        assert await is_set(control)


async def test_whoever_listens_later_hears_of_what_was_written_meanwhile(
    wake_up: SqliteWakeUp, file: Path
) -> None:
    """A hint too many does no harm, one too few costs a poll."""
    first = wake_up.listen("q", Hint.JOBS)
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("create table t (a)")
        assert await is_set(first)
        wake_up.ignore("q", Hint.JOBS, first)
        writer.execute("insert into t values (1)")
        assert await is_set(wake_up.listen("q", Hint.JOBS))


async def test_a_hint_of_the_own_process_arrives_at_once(wake_up: SqliteWakeUp) -> None:
    event = wake_up.listen("q", Hint.CONTROL)
    wake_up.hint("q", Hint.CONTROL)
    assert event.is_set()


async def test_a_database_in_memory_is_not_watched() -> None:
    wake_up = SqliteWakeUp(None)
    await wake_up.open()
    assert [task.get_name() for task in asyncio.all_tasks() if "enfila" in task.get_name()] == []
    event = wake_up.listen("q", Hint.JOBS)
    wake_up.hint("q", Hint.JOBS)
    assert event.is_set()
    await wake_up.close()


async def test_a_file_that_cannot_be_opened_is_watched_when_it_can(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    wake_up = SqliteWakeUp(str(folder / "enfila.db"))
    event = wake_up.listen("q", Hint.JOBS)
    await wake_up.open()
    await asyncio.to_thread(folder.mkdir)
    with closing(sqlite3.connect(folder / "enfila.db", isolation_level=None)) as writer:
        writer.execute("create table t (a)")
        assert await is_set(event)
    await wake_up.close()


async def test_it_is_opened_and_closed_twice_and_leaves_nothing(file: Path) -> None:
    wake_up = SqliteWakeUp(str(file))
    await wake_up.open()
    await wake_up.open()
    await wake_up.close()
    await wake_up.close()
    assert [task.get_name() for task in asyncio.all_tasks() if "enfila" in task.get_name()] == []
    wake_up.hint("q", Hint.JOBS)
