"""What happened, written by every process into a file of its own, outside of the database.

A line is one `write` to a file opened for appending, so a process that is killed leaves whole
lines behind. Times are seconds of the machine's clock, which all processes share.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that a process did or was told.

    Attributes:
        process: its name, which no other start of a program has.
        at: when.
    """

    process: str
    at: float


# ── workers ──────────────────────────────────────────────────────────────────────────────────


class Ending(StrEnum):
    """How a handler ended."""

    RETURNED = "returned"
    RAISED = "raised"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported(Record):
    """The program has loaded enfila and has not opened the database yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Record):
    """The worker takes jobs, and hears signals."""

    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Record):
    """A handler began; `not_before` is what its job was promised."""

    job: str
    token: int
    attempt: int
    max_attempts: int
    worker: str
    not_before: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Record):
    """A handler ended."""

    job: str
    token: int
    ending: Ending
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Record):
    """The queue said that a completion was accepted: the event `job.completed`."""

    job: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled(Record):
    """The queue said that a job's worker had vanished: the event `job.stalled`."""

    job: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(Record):
    """The worker was told that a job is another's: the event `worker.lock.lost`."""

    job: str
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubled(Record):
    """The event `worker.error`."""

    during: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Record):
    """The program came to its end in good order."""


# ── those who add ────────────────────────────────────────────────────────────────────────────


class Manner(StrEnum):
    """How a group of jobs is added."""

    ALONE = "alone"
    """By an `add` or `add_bulk` of its own."""
    COMMITTED = "committed"
    """In the caller's transaction, which commits."""
    ROLLED_BACK = "rolled back"
    """In the caller's transaction, which rolls back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered(Record):
    """A group of jobs is about to be added; what became of it is known from `Added` on."""

    group: str
    size: int
    manner: Manner


@dataclass(frozen=True, slots=True, kw_only=True)
class Added(Record):
    """A group was accepted: `add` returned, or the caller's commit did."""

    group: str
    jobs: list[str]
    duplicates: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Record):
    """`add` raised `RepositoryUnavailable`."""

    group: str
    uncertain: bool
    error: str


# ── whoever torments them ────────────────────────────────────────────────────────────────────


class Blow(StrEnum):
    """What is done to a process, or to all of them."""

    KILL = "kill"
    STOP = "stop"
    CONTINUE = "continue"
    TERMINATE = "terminate"
    INTERRUPT = "interrupt"
    CUT = "cut"
    """Its connections are ended on the server; the target is everybody."""
    OUTAGE = "outage"
    """The server is away for a while; the target is everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck(Record):
    """A blow is about to be dealt, or was if it is `CONTINUE`."""

    target: str
    blow: Blow


_KINDS: dict[str, type[Record]] = {
    kind.__name__: kind
    for kind in (
        Imported,
        Ready,
        Started,
        Finished,
        Completed,
        Stalled,
        Lost,
        Troubled,
        Ended,
        Offered,
        Added,
        Refused,
        Struck,
    )
}
_ENUMS = (Ending, Manner, Blow)

R = TypeVar("R", bound=Record)


class Journal:
    """The file that one process writes.

    Args:
        folder: where all processes of a run write.
        process: the name of this one.
    """

    def __init__(self, folder: str | Path, process: str) -> None:
        self._process = process
        self._file = os.open(
            journal_path(folder, process), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
        )

    def write(self, kind: type[Record], **facts: Any) -> None:
        record = kind(process=self._process, at=time.time(), **facts)
        line = json.dumps({"what": kind.__name__, **asdict(record)}) + "\n"
        os.write(self._file, line.encode())

    def close(self) -> None:
        os.close(self._file)


def journal_path(folder: str | Path, process: str) -> Path:
    """Where a process writes."""
    return Path(folder) / f"{process}.jsonl"


def read_journal(path: Path) -> list[Record]:
    """The records of one process in their order; none if it has not begun to write."""
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [_record(line) for line in whole.splitlines()]


def read_history(folder: str | Path) -> list[Record]:
    """The records of all processes; those of each one in their order."""
    return [
        record for path in sorted(Path(folder).glob("*.jsonl")) for record in read_journal(path)
    ]


def only(records: list[Record], kind: type[R], **facts: Any) -> list[R]:
    """The records of one kind with these facts."""
    return list(_those(records, kind, facts))


def _those(records: list[Record], kind: type[R], facts: dict[str, Any]) -> Iterator[R]:
    for record in records:
        if isinstance(record, kind) and all(
            getattr(record, name) == value for name, value in facts.items()
        ):
            yield record


def _record(line: bytes) -> Record:
    facts = json.loads(line)
    what = facts.pop("what")
    for name, words in _words(what).items():
        facts[name] = words(facts[name])
    return _KINDS[what](**facts)


@cache
def _words(what: str) -> dict[str, type[StrEnum]]:
    """The fields of a kind that are one of a few words."""
    hints = get_type_hints(_KINDS[what])
    return {name: hint for name, hint in hints.items() if hint in _ENUMS}
