"""One thing that a queue does again and again to stay in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import ClassVar

from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions


class Duty(ABC):
    """A piece of maintenance, done in batches, at an interval, in any number of processes at once.

    Attributes:
        what: what it does, as words for the name of its task.
        options: its settings; they may change while it is done.
    """

    what: ClassVar[str]

    def __init__(self) -> None:
        self.options = MaintenanceOptions()

    @property
    @abstractmethod
    def interval(self) -> timedelta:
        """The longest wait until it is done again."""

    @abstractmethod
    async def do_batch(self) -> bool:
        """Does one batch; whether there may be more to do at once."""
