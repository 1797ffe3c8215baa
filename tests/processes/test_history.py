"""The history that processes write outside of the database."""

from pathlib import Path

from tests.processes.history import (
    Added,
    Ending,
    Finished,
    Journal,
    Ready,
    Started,
    journal_path,
    only,
    read_history,
    read_journal,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.write(Ready, worker="me")
    journal.write(Finished, job="a", token=1, ending=Ending.RAISED, error="ß")
    journal.write(Added, group="g", jobs=["a", "b"])
    journal.close()
    ready, finished, added = read_journal(journal_path(tmp_path, "w"))
    assert isinstance(ready, Ready)
    assert (ready.process, ready.worker) == ("w", "me")
    assert isinstance(finished, Finished)
    assert (finished.ending is Ending.RAISED, finished.error) == (True, "ß")
    assert isinstance(added, Added)
    assert added.jobs == ["a", "b"]
    assert ready.at <= finished.at <= added.at


def test_a_line_that_a_killed_process_did_not_finish_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.write(Ready, worker="me")
    journal.close()
    with journal_path(tmp_path, "w").open("a") as file:
        file.write('{"what": "Start')
    assert len(read_journal(journal_path(tmp_path, "w"))) == 1


def test_who_has_not_begun_to_write_has_no_history(tmp_path: Path) -> None:
    assert read_journal(journal_path(tmp_path, "w")) == []


def test_the_records_of_all_processes_are_found_by_their_facts(tmp_path: Path) -> None:
    for name in ("v", "w"):
        journal = Journal(tmp_path, name)
        journal.write(Ready, worker=name)
        journal.close()
    records = read_history(tmp_path)
    assert [record.process for record in records] == ["v", "w"]
    assert [record.worker for record in only(records, Ready, worker="w")] == ["w"]
    assert only(records, Started) == []
