"""The schedule: it makes jobs at the times of its trigger. The rules of its ticks and edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.due import DueTimes, due_times
from enfila.core.domain.schedule.rules.jitter import jittered
from enfila.core.domain.schedule.rules.overlap import OverlapDecision
from enfila.core.domain.schedule.rules.tick import Advance, Tick
from enfila.core.domain.schedule.runs.statistics import RunOutcome, Statistics
from enfila.core.domain.schedule.state import FinishReason, ScheduleState
from enfila.core.domain.schedule.triggers.interval import AfterCompletion
from enfila.core.domain.schedule.zones.instants import from_text, text_of

MOST_ENQUEUE_FAILURES: Final = 5
"""In a row; then a schedule is disabled."""
FIRST_RETRY: Final = timedelta(seconds=5)
LONGEST_RETRY: Final = timedelta(minutes=5)


@dataclass(slots=True)
class Schedule:
    """Entity: it makes jobs at the times of its trigger. It does not change itself.

    `due` returns an `Advance`, which a repository applies or finds stale. The other methods return
    the schedule as it should be stored. Instants are aware UTC.

    Attributes:
        definition: what users have defined; see there.
        version: grows with every edit, enabling and disabling; ticks do not change it.
        enabled: whether it ticks.
        disabled_reason: why it is disabled; None while enabled.
        next_run_at: its next nominal time; None while it is disabled, finished, or waits for the
            end of a run.
        last_nominal: the newest tick that was made or dropped. No tick at or before it is made
            again, even if the clock is set back.
        ticks_made: how many jobs it has made, for `max_runs`.
        enqueue_failures: how often in a row its job could not be added.
        retry_at: when a job that could not be added is tried again.
        finished: why it will not tick again; None while it may.
        statistics: counts and outcomes of its runs.
    """

    definition: ScheduleDefinition
    created_at: datetime
    version: int = 1
    enabled: bool = True
    disabled_reason: str | None = None
    next_run_at: datetime | None = None
    last_nominal: datetime | None = None
    ticks_made: int = 0
    enqueue_failures: int = 0
    retry_at: datetime | None = None
    finished: FinishReason | None = None
    statistics: Statistics = field(default_factory=Statistics)

    # ── properties ───────────────────────────────────────────────────────────────────────────

    @property
    def slug(self) -> str:
        """The unique name."""
        return self.definition.slug

    @property
    def state(self) -> ScheduleState:
        """The current state."""
        if self.finished is not None:
            return ScheduleState.FINISHED
        if not self.enabled:
            return ScheduleState.DISABLED
        return ScheduleState.WAITING if self.next_run_at is None else ScheduleState.ACTIVE

    @property
    def counts_from_the_end(self) -> bool:
        """Whether its next time depends on the end of its last run."""
        return isinstance(self.definition.trigger, AfterCompletion)

    @property
    def wake_at(self) -> datetime | None:
        """When `due` should be called: its next time, or later after a job could not be added."""
        if self.next_run_at is None or self.retry_at is None:
            return self.next_run_at
        return max(self.next_run_at, self.retry_at)

    # ── creation and edits ───────────────────────────────────────────────────────────────────

    @classmethod
    def new(
        cls, definition: ScheduleDefinition, now: datetime, *, enabled: bool = True
    ) -> Schedule:
        """Makes a new schedule.

        Raises:
            UnknownTimeZone: this machine does not know its zone.
        """
        reason = None if enabled else "created disabled"
        schedule = cls(definition, now, enabled=enabled, disabled_reason=reason)
        return schedule.aimed(now)

    def edited(
        self, definition: ScheduleDefinition, now: datetime, *, is_running: bool = False
    ) -> Schedule:
        """This schedule with another definition; its next time is computed from now.

        Due ticks of the old definition that were not made are not made any more. While one of its
        jobs is unfinished (`is_running`), whatever rule made it, an `AfterCompletion` trigger waits
        for the end of that job.

        Raises:
            InvalidRequest: the slug is another one.
            UnknownTimeZone: this machine does not know its zone.
        """
        if definition.slug != self.slug:
            raise InvalidRequest("slug", definition.slug, f"a schedule keeps its slug, {self.slug}")
        edited = replace(self._next_version(), definition=definition)
        if self.state is ScheduleState.WAITING and edited.counts_from_the_end:
            return edited
        return edited.aimed_unless_running(now, is_running=is_running)

    def enable(self, now: datetime, *, is_running: bool = False) -> Schedule:
        """This schedule enabled from now on; ticks missed while disabled are not made.

        While one of its jobs is unfinished (`is_running`), an `AfterCompletion` trigger waits for
        the end of that job.
        """
        enabled = replace(self._next_version(), enabled=True, disabled_reason=None)
        return enabled.aimed_unless_running(now, is_running=is_running)

    def disable(self, reason: str) -> Schedule:
        """This schedule disabled."""
        return replace(
            self._next_version(), enabled=False, disabled_reason=reason, next_run_at=None
        )

    def recomputed(self, now: datetime) -> Schedule:
        """This schedule with its next time computed again, for new rules of its time zone.

        A tick that is already due stays due.
        """
        if self.next_run_at is None or self.next_run_at <= now:
            return self
        return self if isinstance(self.definition.trigger, AfterCompletion) else self.aimed(now)

    def aimed(self, now: datetime) -> Schedule:
        """This schedule with its next time after now, never before the last tick."""
        base = now if self.last_nominal is None else max(now, self.last_nominal)
        following = self.definition.next_after(base)
        finished = self._finish_reason(0, following, base)
        is_at_rest = finished is not None or not self.enabled
        return replace(self, finished=finished, next_run_at=None if is_at_rest else following)

    def aimed_unless_running(self, now: datetime, *, is_running: bool) -> Schedule:
        """Like `aimed`, but if it counts from the end of a job that goes on, it waits for that."""
        aimed = self.aimed(now)
        if is_running and self.counts_from_the_end and aimed.state is ScheduleState.ACTIVE:
            return replace(aimed, next_run_at=None)
        return aimed

    def aimed_if_waiting(self, now: datetime) -> Schedule:
        """Like `aimed` if it waits for the end of a run; else unchanged."""
        return self.aimed(now) if self.state is ScheduleState.WAITING else self

    # ── ticks ────────────────────────────────────────────────────────────────────────────────

    def due(self, now: datetime) -> Advance | None:
        """Decides which due ticks to make now; None when nothing is due.

        Raises:
            UnknownTimeZone: its zone was removed from this machine.
        """
        first = self.next_run_at
        if first is None or self.wake_at is None or now < self.wake_at:
            return None
        times = due_times(self.definition, first, now, self._runs_left)
        following = self._following(times, now)
        finished = self._finish_reason(len(times.kept), following, now)
        return Advance(
            slug=self.slug,
            version=self.version,
            rests_on=first,
            ticks=self._ticks(times, following),
            dropped=times.dropped,
            next_run_at=None if finished else following,
            last_nominal=times.newest or first,
            finished=finished,
        )

    def accepts(self, advance: Advance) -> bool:
        """Whether an advance is based on the current version and next time of this schedule."""
        return self.version == advance.version and self.next_run_at == advance.rests_on

    def after(self, advance: Advance) -> Schedule:
        """This schedule after `advance` was applied, as every repository must store it."""
        return replace(
            self,
            next_run_at=advance.next_run_at,
            last_nominal=advance.last_nominal,
            ticks_made=self.ticks_made + len(advance.ticks),
            finished=advance.finished,
            enqueue_failures=0,
            retry_at=None,
        )

    def decide_overlap(self, *, running: int, waiting: int = 0) -> OverlapDecision:
        """Decides what a tick does while its jobs are unfinished; see `Overlap.decide`."""
        return self.definition.overlap.decide(running=running, waiting=waiting)

    def enqueue_failed(
        self, error: str, now: datetime, *, limit: int = MOST_ENQUEUE_FAILURES
    ) -> Schedule:
        """This schedule after its job could not be added: tried again later, or disabled.

        The tick stays due until the `limit`-th failure in a row.
        """
        failures = self.enqueue_failures + 1
        failed = replace(
            self,
            enqueue_failures=failures,
            retry_at=now + min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(failures - 1, 10)),
            statistics=self.statistics.after_error(error, now),
        )
        if failures < limit:
            return failed
        return failed.disable(f"its job could not be added {failures} times in a row: {error}")

    def run_ended(self, outcome: RunOutcome, *, is_last: bool = True) -> Schedule:
        """This schedule with the outcome of a run, and the next time if it depends on that.

        A manual run may be unfinished at the same time: only the end of the last one counts.
        """
        told = replace(self, statistics=self.statistics.after_run(outcome))
        hung_on_it = is_last and self.state is ScheduleState.WAITING
        return told.aimed(outcome.ended_at) if hung_on_it else told

    # ── helpers ──────────────────────────────────────────────────────────────────────────────

    @property
    def _runs_left(self) -> int | None:
        limit = self.definition.max_runs
        return None if limit is None else limit - self.ticks_made

    def _next_version(self) -> Schedule:
        return replace(self, version=self.version + 1, enqueue_failures=0, retry_at=None)

    def _following(self, times: DueTimes, now: datetime) -> datetime | None:
        """The first time after now; None if it depends on the end of a run."""
        if times.kept and isinstance(self.definition.trigger, AfterCompletion):
            return None
        return self.definition.next_after(now)

    def _finish_reason(
        self, made: int, following: datetime | None, now: datetime
    ) -> FinishReason | None:
        if self._runs_left is not None and self._runs_left <= made:
            return FinishReason.OUT_OF_RUNS
        if following is not None or (made and isinstance(self.definition.trigger, AfterCompletion)):
            return None
        if self.definition.trigger.next_after(now, self.definition.zone) is None:
            return FinishReason.NO_MORE_TIMES
        return FinishReason.END_REACHED

    def _ticks(self, times: DueTimes, following: datetime | None) -> tuple[Tick, ...]:
        previous = (times.previous or self.last_nominal, *times.kept)
        after = (*times.kept[1:], following)
        return tuple(
            Tick(nominal, before, then, jittered(self.slug, nominal, then, self.definition.jitter))
            for nominal, before, then in zip(times.kept, previous, after, strict=False)
        )

    # ── storage ──────────────────────────────────────────────────────────────────────────────

    def to_document(self) -> dict[str, Any]:
        """The schedule as JSON for storage."""
        return {
            "definition": self.definition.to_document(),
            "created_at": text_of(self.created_at),
            "version": self.version,
            "enabled": self.enabled,
            "disabled_reason": self.disabled_reason,
            "next_run_at": text_of(self.next_run_at),
            "last_nominal": text_of(self.last_nominal),
            "ticks_made": self.ticks_made,
            "enqueue_failures": self.enqueue_failures,
            "retry_at": text_of(self.retry_at),
            "finished": self.finished,
            "statistics": self.statistics.to_document(),
        }

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Schedule:
        """Reads a schedule that `to_document` wrote."""
        finished = stored["finished"]
        return cls(
            ScheduleDefinition.from_document(stored["definition"]),
            datetime.fromisoformat(stored["created_at"]),
            stored["version"],
            stored["enabled"],
            stored["disabled_reason"],
            from_text(stored["next_run_at"]),
            from_text(stored["last_nominal"]),
            stored["ticks_made"],
            stored["enqueue_failures"],
            from_text(stored["retry_at"]),
            None if finished is None else FinishReason(finished),
            Statistics.from_document(stored["statistics"]),
        )
