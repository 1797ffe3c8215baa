"""Saying that a worker is alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.runtime.periodic_loop import PeriodicLoop
from enfila.core.application.worker.outage import OutageWatch
from enfila.core.domain.job.identity import WorkerId
from enfila.core.domain.worker import WorkerInfo

_DURING: Final = "the heartbeat"


class Heartbeat:
    """Notes at intervals that the worker is alive, for people to look at.

    Args:
        concurrency: how many jobs it may run, asked anew each time.
        active: how many it holds, asked anew each time.
    """

    def __init__(
        self,
        queue: AnySource,
        worker_id: WorkerId,
        interval: timedelta,
        outages: OutageWatch,
        *,
        concurrency: Callable[[], int],
        active: Callable[[], int],
    ) -> None:
        self._outcomes = queue.outcomes
        self._name = queue.name
        self._worker_id = worker_id
        self._outages = outages
        self._concurrency = concurrency
        self._active = active
        self._is_stopped = False
        self._loop = PeriodicLoop(
            self._beat,
            interval=lambda: interval,
            report=lambda error: outages.failed(_DURING, error),
            name=f"enfila {queue.name} heartbeat",
        )

    def start(self) -> None:
        """Begins with a first beat."""
        self._loop.start()

    async def stop(self) -> None:
        """Ends after a beat under way, which must not come after the worker was deregistered."""
        self._is_stopped = True
        await self._loop.stop()

    async def _beat(self) -> bool:
        await self._outages.keep_trying(
            _DURING,
            lambda: self._outcomes.heartbeat(self._described()),
            is_over=lambda: self._is_stopped,
        )
        return False

    def _described(self) -> WorkerInfo:
        return WorkerInfo(
            self._worker_id,
            self._name,
            socket.gethostname(),
            os.getpid(),
            self._concurrency(),
            self._active(),
        )
