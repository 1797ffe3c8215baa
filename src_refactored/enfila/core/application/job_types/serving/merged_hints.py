"""The hints of several queues as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.runtime.tasks import OwnedTasks


@dataclass(frozen=True, slots=True)
class _Listening:
    """What ends with an `ignore`."""

    events: list[tuple[AnySource, asyncio.Event]]
    forwarding: list[asyncio.Task[None]] = field(default_factory=list)


class MergedHints:
    """Merges the wake-up hints of several queues into one event for their worker."""

    def __init__(self, queues: Sequence[AnySource]) -> None:
        self._queues = queues
        self._tasks = OwnedTasks()
        self._listening: dict[tuple[Hint, asyncio.Event], _Listening] = {}

    def listen(self, hint: Hint) -> asyncio.Event:
        """An event that is set when such a hint arrives at any of the queues."""
        listening = _Listening([(queue, queue.listen(hint)) for queue in self._queues])
        merged = listening.events[0][1]
        if len(listening.events) > 1:
            merged = asyncio.Event()
            for queue, event in listening.events:
                task = self._tasks.spawn(
                    _forward(event, merged), name=f"enfila forwards hints of {queue.name}"
                )
                listening.forwarding.append(task)
        self._listening[hint, merged] = listening
        return merged

    def ignore(self, hint: Hint, event: asyncio.Event) -> None:
        """Ends what `listen` began."""
        listening = self._listening.pop((hint, event))
        for task in listening.forwarding:
            task.cancel()
        for queue, inner in listening.events:
            queue.ignore(hint, inner)

    def wake(self, hint: Hint) -> None:
        """Sets the events of those who listen for this hint."""
        for listened_to, event in self._listening:
            if listened_to is hint:
                event.set()


async def _forward(event: asyncio.Event, merged: asyncio.Event) -> None:
    while True:
        await event.wait()
        event.clear()
        merged.set()
