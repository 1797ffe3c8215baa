"""Remembering what an emitter told."""

from typing import Any

from pyee import EventEmitter


class Recording:
    """The events of these names, in the order in which they came."""

    def __init__(self, emitter: EventEmitter, *names: str) -> None:
        self.events: list[Any] = []
        for name in names:
            emitter.on(name, self.events.append)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    def of(self, name: str) -> list[Any]:
        return [event for event in self.events if event.name == name]
