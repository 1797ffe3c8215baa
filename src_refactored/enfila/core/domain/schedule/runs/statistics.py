"""Statistics of the runs of a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from enfila.core.domain.job.failure import LONGEST_MESSAGE
from enfila.core.domain.schedule.zones.instants import from_text, text_of
from enfila.core.domain.showing import storable


class RunStatus(StrEnum):
    """How a scheduled job ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REMOVED = "removed"
    """Its job was removed before its outcome was recorded."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Value object: the outcome of one scheduled job.

    Attributes:
        started_at, ended_at: of its last attempt (aware UTC); the same when it never started.
        error: why it failed; None otherwise.
    """

    status: RunStatus
    started_at: datetime
    ended_at: datetime
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """Value object: counts of a schedule's runs, and the outcome of the last one.

    A cancelled or removed run counts as a run, and neither as a success nor as a failure.
    `last_error` and `last_error_at` stay until the next error.
    """

    runs: int = 0
    successes: int = 0
    failures: int = 0
    consecutive_failures: int = 0
    last_run_at: datetime | None = None
    last_status: RunStatus | None = None
    last_duration: timedelta | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None

    def after_run(self, outcome: RunOutcome) -> Statistics:
        """These statistics with one more run. Runs may be recorded in any order."""
        counted = self._counted(outcome.status)
        if self.last_run_at is not None and outcome.started_at < self.last_run_at:
            return counted
        last = replace(
            counted,
            last_run_at=outcome.started_at,
            last_status=outcome.status,
            last_duration=outcome.ended_at - outcome.started_at,
        )
        if outcome.error is None:
            return last
        return last.after_error(outcome.error, outcome.ended_at)

    def after_error(self, error: str, at: datetime) -> Statistics:
        """These statistics with a new `last_error`."""
        return replace(self, last_error=storable(error)[:LONGEST_MESSAGE], last_error_at=at)

    def _counted(self, status: RunStatus) -> Statistics:
        runs = self.runs + 1
        match status:
            case RunStatus.COMPLETED:
                return replace(
                    self, runs=runs, successes=self.successes + 1, consecutive_failures=0
                )
            case RunStatus.FAILED:
                return replace(
                    self,
                    runs=runs,
                    failures=self.failures + 1,
                    consecutive_failures=self.consecutive_failures + 1,
                )
            case RunStatus.CANCELLED | RunStatus.REMOVED:
                return replace(self, runs=runs)

    def to_document(self) -> dict[str, Any]:
        """The statistics as JSON for storage."""
        duration = None if self.last_duration is None else self.last_duration.total_seconds()
        return {
            "runs": self.runs,
            "successes": self.successes,
            "failures": self.failures,
            "consecutive_failures": self.consecutive_failures,
            "last_run_at": text_of(self.last_run_at),
            "last_status": self.last_status,
            "last_duration": duration,
            "last_error": self.last_error,
            "last_error_at": text_of(self.last_error_at),
        }

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Statistics:
        """Reads statistics that `to_document` wrote."""
        status, duration = stored["last_status"], stored["last_duration"]
        return cls(
            stored["runs"],
            stored["successes"],
            stored["failures"],
            stored["consecutive_failures"],
            from_text(stored["last_run_at"]),
            None if status is None else RunStatus(status),
            None if duration is None else timedelta(seconds=duration),
            stored["last_error"],
            from_text(stored["last_error_at"]),
        )
