"""What wrong calls say, all of it in one file that a person reads: `refusals.txt`.

After a change of a message: `python -m tests.arguments.test_refusals` writes the file anew. Read
the difference as somebody who has never seen enfila.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import textwrap
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest import mock
from uuid import UUID

import enfila
from enfila import Enfila, EnfilaError, JobTypeRegistry
from enfila.testing import AcceleratedClock, FrozenClock
from tests.arguments import refusals

FILE: Final = Path(__file__).with_name("refusals.txt")
WIDTH: Final = 100
_ADDRESS: Final = re.compile("0x[0-9a-f]+")


async def welcome(to: str) -> None: ...


async def limited() -> None: ...


async def said() -> str:
    """The file: each call with what it says."""
    types = JobTypeRegistry()
    declared = types.job("welcome", queue="typed")(welcome)
    types.job("limited", queue="limited", max_concurrency=1)(limited)
    async with Enfila("memory://", job_types=types) as app:
        queue = app.queue("email")
        names: dict[str, Any] = {
            **{name: getattr(enfila, name) for name in enfila.__all__},
            **vars(refusals),
            **{each.__name__: each for each in (AcceleratedClock, FrozenClock)},
            **{each.__name__: each for each in (Decimal, Path, UUID, date, datetime)},
            "UTC": UTC,
            "app": app,
            "types": types,
            "queue": queue,
            "typed": app.queue("typed"),
            "numbers": app.queue("numbers", payload_type=int),
            "handle": await queue.add("a"),
            "welcome": declared,
        }
        parts = []
        for title, calls in refusals.TABLE.items():
            parts.append(f"## {title}\n\n")
            parts += [f"{call}\n{_wrapped(await _message(call, names))}\n\n" for call in calls]
        return "".join(parts).rstrip("\n") + "\n"


async def _message(call: str, names: dict[str, Any]) -> str:
    try:
        answer = eval(call, names)
        if inspect.isawaitable(answer):
            answer = await answer
    except EnfilaError as error:
        kind = type(error).__name__
        return str(error) if kind == "InvalidRequest" else f"{kind}: {error}"
    raise AssertionError(f"{call} was not refused")


def _wrapped(message: str) -> str:
    return textwrap.fill(
        _ADDRESS.sub("0x…", message),
        WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


async def test_wrong_calls_say_what_the_file_says() -> None:
    with mock.patch.dict(os.environ):
        os.environ.pop("PGDATABASE", None)
        assert await said() == FILE.read_text()


if __name__ == "__main__":
    FILE.write_text(asyncio.run(said()))
