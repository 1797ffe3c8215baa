"""Waiting for an event with a deadline, or for several actions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Waits until the event is set, at most so long; whether it was."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True


async def all_done(actions: Iterable[Awaitable[None]]) -> None:
    """Waits for all of them, and raises the first error only then."""
    for answer in await asyncio.gather(*actions, return_exceptions=True):
        if answer is not None:
            raise answer
