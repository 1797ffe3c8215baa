"""An outage is told in two lines, however many parts of a process meet it."""

import logging

import pytest

from enfila.core.application.runtime.error_log import log_error
from enfila.core.application.runtime.outage_log import OutageLog
from enfila.core.domain.errors import RepositoryUnavailable


def refused(target: str = "db:5432") -> RepositoryUnavailable:
    return RepositoryUnavailable(target, "connection refused")


class Lines:
    """A log under test, whose clock the test moves, and what it has told."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.seconds = 0.0
        self.log = OutageLog(lambda: self.seconds)
        self._caplog = caplog
        caplog.set_level(logging.DEBUG, "enfila")

    @property
    def told(self) -> list[str]:
        """What a program sees that does not ask for details."""
        return [
            record.getMessage()
            for record in self._caplog.records
            if record.levelno >= logging.WARNING
        ]

    @property
    def traces(self) -> list[int]:
        """The levels of the records that have a trace."""
        return [record.levelno for record in self._caplog.records if record.exc_info]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return Lines(caplog)


def test_one_line_when_it_begins_and_one_when_it_ends(lines: Lines) -> None:
    for part in ("fetching", "settling", "fetching"):
        lines.log.failed(part, refused(), part)
    assert len(lines.told) == 1
    assert "db:5432 is not available: connection refused" in lines.told[0]
    lines.seconds = 12.34
    lines.log.succeeded("fetching")
    assert len(lines.told) == 1
    lines.log.succeeded("settling")
    assert lines.told[1:] == ["The database db:5432 answers again, after 12.3 s."]


def test_the_trace_is_for_those_who_ask_for_details(lines: Lines) -> None:
    lines.log.failed("part", refused(), "part")
    assert lines.traces == [logging.DEBUG]


def test_two_databases_have_an_outage_each(lines: Lines) -> None:
    lines.log.failed(1, refused("one"), "work")
    lines.log.failed(2, refused("two"), "work")
    lines.log.succeeded(2)
    assert len(lines.told) == 3
    assert "two answers again" in lines.told[2]


def test_the_next_outage_is_told_again(lines: Lines) -> None:
    for _ in range(2):
        lines.log.failed(1, refused(), "work")
        lines.log.succeeded(1)
    assert len(lines.told) == 4


def test_a_part_that_waits_no_longer_says_nothing_of_the_database(lines: Lines) -> None:
    lines.log.failed(1, refused(), "work")
    lines.log.gave_up(1)
    assert len(lines.told) == 1
    lines.log.failed(1, refused(), "work")
    assert len(lines.told) == 2


def test_other_errors_are_none_of_its_concern(lines: Lines) -> None:
    lines.log.failed(1, ValueError("a fault"), "work")
    lines.log.succeeded(1)
    assert lines.told == []


def test_an_unavailable_database_that_nobody_waits_for_is_one_line_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_error(logging.getLogger("enfila"), refused(), "closing the worker")
    [record] = caplog.records
    assert (record.levelno, record.exc_info) == (logging.ERROR, None)
