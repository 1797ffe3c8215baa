"""Telling of an outage in two lines: one when it begins, one when it is over."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final
from weakref import WeakSet

from enfila.core.application.runtime.forks import ForkAware
from enfila.core.domain.errors import RepositoryUnavailable

logger = logging.getLogger("enfila")


@dataclass(slots=True)
class _Outage:
    """One database that does not answer.

    Attributes:
        parts: what is waiting for it.
    """

    began: float
    parts: set[Hashable] = field(default_factory=set)


class OutageLog(ForkAware):
    """Logs the outages of databases, each once, however many parts of a process meet it.

    An outage is over when every part that has met it got through again.

    Args:
        now: seconds, of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._outages: dict[str, _Outage] = {}
        self._told: WeakSet[RepositoryUnavailable] = WeakSet()
        self._lock = threading.Lock()

    def start_over(self) -> None:
        """See `ForkAware`."""
        self._outages, self._lock = {}, threading.Lock()

    def failed(self, part: Hashable, error: Exception, during: str) -> None:
        """Notes that a part of this process was refused by a database; ignores other errors.

        Args:
            part: the same object in `succeeded`.
            error: why.
            during: what the part was doing, in words.
        """
        if not isinstance(error, RepositoryUnavailable):
            return
        with self._lock:
            self._told.add(error)
            is_new = error.target not in self._outages
            self._outages.setdefault(error.target, _Outage(self._now())).parts.add(part)
        if is_new:
            logger.error("during %s: %s. It is tried again until it answers.", during, error)
        logger.debug("during %s", during, exc_info=error)

    def succeeded(self, part: Hashable) -> None:
        """Notes that the part got through."""
        for target, began in self._without(part):
            seconds = self._now() - began
            logger.warning("The database %s answers again, after %.1f s.", target, seconds)

    def gave_up(self, part: Hashable) -> None:
        """Notes that the part waits no longer, whether the database answers or not."""
        _ = self._without(part)

    def _without(self, part: Hashable) -> list[tuple[str, float]]:
        """Forgets a part; the outages that have no other, and when they began."""
        over = []
        with self._lock:
            for target, outage in list(self._outages.items()):
                outage.parts.discard(part)
                if not outage.parts:
                    over.append((target, outage.began))
                    del self._outages[target]
        return over

    def has_told(self, error: BaseException) -> bool:
        """Whether this very error is known here, so that nobody need log it again."""
        return isinstance(error, RepositoryUnavailable) and error in self._told


OUTAGES: Final = OutageLog()
"""The outages that this process knows of."""
