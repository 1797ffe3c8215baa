"""Counting the runs of a worker until they are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.job.running.outcome import Cancelled, Completed, Failed, Outcome
from enfila.core.domain.job_type import RunStatistics

_STATUS: Final[Mapping[type[Outcome], AttemptOutcome]] = {
    Completed: AttemptOutcome.COMPLETED,
    Failed: AttemptOutcome.FAILED,
    Cancelled: AttemptOutcome.CANCELLED,
}
"""Outcomes that count; the others were no attempts."""


class _Counts:
    """`RunStatistics` that grow in place, since every run passes here."""

    __slots__ = ("failures", "last_run_at", "last_status", "runs", "successes")

    def __init__(self) -> None:
        self.runs = self.successes = self.failures = 0
        self.last_run_at: datetime | None = None
        self.last_status: AttemptOutcome | None = None


class RunCounter:
    """Counts the runs of a worker by job name and outcome, until the counts are written."""

    def __init__(self) -> None:
        self._counts: dict[str, _Counts] = {}
        self._returned: dict[str, RunStatistics] = {}

    def note(self, job: Job, outcome: Outcome) -> None:
        """Counts a run whose outcome is written, given the job as it was claimed."""
        status = _STATUS.get(type(outcome))
        if status is None:
            return
        counts = self._counts.get(job.name)
        if counts is None:
            counts = self._counts[job.name] = _Counts()
        counts.runs += 1
        counts.successes += status is AttemptOutcome.COMPLETED
        counts.failures += status is AttemptOutcome.FAILED
        at = job.started_at
        if at is not None and (counts.last_run_at is None or counts.last_run_at <= at):
            counts.last_run_at, counts.last_status = at, status

    def take(self) -> dict[str, RunStatistics]:
        """Everything that was noted; it begins anew."""
        taken, self._returned = self._returned, {}
        noted, self._counts = self._counts, {}
        for name, counts in noted.items():
            since = RunStatistics(
                counts.runs,
                counts.successes,
                counts.failures,
                counts.last_run_at,
                counts.last_status,
            )
            taken[name] = taken[name].plus(since) if name in taken else since
        return taken

    def give_back(self, taken: dict[str, RunStatistics]) -> None:
        """Takes up again what could not be written."""
        for name, statistics in taken.items():
            later = self._returned.get(name, RunStatistics())
            self._returned[name] = statistics.plus(later)
