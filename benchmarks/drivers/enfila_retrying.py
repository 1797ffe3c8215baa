from __future__ import annotations

from typing import Any

import enfila
from benchmarks.drivers.driver import handled
from benchmarks.drivers.enfila import EnfilaDriver


class FirstAttemptError(Exception):
    """What every job fails with, once."""


class RetryingDriver(EnfilaDriver):
    """Every job fails once, and is retried at once."""

    async def handle(self, job: enfila.ActiveJob[dict[str, Any]]) -> None:
        handled(job.payload["n"])
        if job.attempt == 1:
            raise FirstAttemptError


DRIVER = RetryingDriver(enfila.JobOptions(attempts=2, backoff=enfila.Backoff.none()))
