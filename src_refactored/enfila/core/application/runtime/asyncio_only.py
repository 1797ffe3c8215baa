"""What runs the caller's code: enfila needs asyncio."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from enfila.core.domain.errors import InvalidRequest

_START_A_LOOP: Final = (
    "start one with `asyncio.run(…)`, or write `add_sync`; a loop that ran when this process was "
    "forked is the parent's"
)


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop that runs this code.

    Raises:
        InvalidRequest: there is none, or it is not asyncio's.
    """
    loop = asyncio._get_running_loop()  # noqa: SLF001 - the documented one raises without a loop
    if loop is not None:
        return loop
    if _is_in_trio():
        raise InvalidRequest(
            "caller",
            "trio",
            "enfila needs asyncio: run the program with `asyncio.run(…)`, or `anyio.run(…)` as is",
            problem="it runs on trio",
        )
    raise InvalidRequest("caller", None, _START_A_LOOP, problem="no event loop of asyncio runs")


def refuse_on_a_loop(instead: str) -> None:
    """Refuses a call that waits, where it would stop everything else.

    Args:
        instead: what to write in code that runs on an event loop.

    Raises:
        InvalidRequest: called on an event loop.
    """
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - as above
        raise InvalidRequest(
            "caller",
            None,
            f"it would block the loop: {instead}",
            problem="this code runs on an event loop",
        )


def _is_in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())
