"""What the programs of the tests are told when they are started."""

import json
import multiprocessing.connection
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.processes.place import Place


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a process is to do.

    Attributes:
        name: its own in the history; no other start of a program has it.
        folder: where the history is written.
        go: a file that it waits for before it opens the database; for a common start.
    """

    name: str
    folder: str
    place: Place
    queue: str
    go: str | None = None


P = TypeVar("P", bound=Plan)


def write_plan(plan: Plan) -> str:
    return json.dumps(asdict(plan))


def read_plan(kind: type[P], text: str) -> P:
    facts: dict[str, Any] = json.loads(text)
    return kind(**{**facts, "place": Place(**facts["place"])})


def wait_for_go(plan: Plan) -> None:
    """Waits until the starting signal has been given, if there is to be one."""
    while plan.go is not None and not Path(plan.go).exists():
        time.sleep(0.001)


def die_with_the_parent() -> None:
    """Ends this process when whoever started it is gone, however that came to pass."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(3)

    threading.Thread(target=wait, daemon=True).start()
