"""Linux tells when a file is written."""

import select
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.file_events import FileEvents

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jöbs.db"


@pytest.fixture
def events(file: Path) -> Iterator[FileEvents]:
    events = FileEvents.of(str(file), "-wal")
    assert events is not None
    yield events
    events.close()


def is_told(events: FileEvents) -> bool:
    """Whether something arrives that concerns the files."""
    while select.select([events.descriptor], [], [], 0.2)[0]:
        if events.read():
            return True
    return False


def test_a_commit_of_anybody_is_told(events: FileEvents, file: Path) -> None:
    assert not is_told(events)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("create table t (n)")
    connection.commit()
    assert is_told(events)
    while is_told(events):
        pass
    connection.execute("insert into t values (1)")
    connection.commit()
    assert is_told(events)
    connection.close()


def test_other_files_of_the_folder_are_no_concern(events: FileEvents, file: Path) -> None:
    file.with_name("other.db").write_text("something")
    assert not is_told(events)


def test_a_file_that_is_put_in_place_is_told(events: FileEvents, file: Path) -> None:
    other = file.with_name("other.db")
    other.write_text("something")
    assert not is_told(events)
    other.rename(file)
    assert is_told(events)


def test_a_folder_that_is_not_there_is_not_watched(tmp_path: Path) -> None:
    assert FileEvents.of(str(tmp_path / "nowhere" / "jobs.db")) is None
