"""Job types: the name of a function, the defaults of its jobs, and statistics of its runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from enfila.core.domain.checking import flag, instance, text, whole
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions
from enfila.core.domain.job.running.attempt import AttemptOutcome
from enfila.core.domain.queue import name as checked_name

DEFAULT_QUEUE: Final = "default"
LONGEST_DESCRIPTION: Final = 10_000
MOST_RUNNING: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobType:
    """Value object: the definition of a job type. Wrong values are refused when it is made.

    Attributes:
        name: the name of its jobs, 1 to 255 characters; unique in an installation.
        queue: the queue of its jobs.
        options: defaults of its jobs; they take precedence over the queue's default options.
        max_concurrency: the maximum number of its jobs that one worker holds at the same time, 1 to
            100,000; None for no limit. It is stored, so that a limit across workers can follow.
        display_name: the name for people, 1 to 255 characters; `name` if it is empty.
        description: for people, at most 10,000 characters.
        enabled: false keeps its jobs from being claimed. The value of a definition is used only
            when it is stored for the first time.

    Raises:
        InvalidRequest: a value is wrong; the message names the field, the value, what is allowed.
    """

    name: str
    queue: str = DEFAULT_QUEUE
    options: JobOptions = DEFAULT_OPTIONS
    max_concurrency: int | None = None
    display_name: str = ""
    description: str = ""
    enabled: bool = True

    def __post_init__(self) -> None:
        self._set("name", checked_name("name", self.name))
        self._set("queue", checked_name("queue", self.queue))
        instance("options", self.options, JobOptions, "JobOptions(…)")
        if self.max_concurrency is not None:
            whole("max_concurrency", self.max_concurrency, 1, MOST_RUNNING)
        shown_as = self.name if self.display_name == "" else self.display_name
        self._set("display_name", checked_name("display_name", shown_as))
        self._set("description", text("description", self.description, LONGEST_DESCRIPTION))
        flag("enabled", self.enabled)

    def _set(self, name: str, value: str) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """Value object: counts of the runs of a job type.

    A run counts once its outcome is written. Snoozed and released runs are not attempts and are
    not counted; neither are runs whose worker died.

    Attributes:
        runs: all counted runs, including cancelled ones.
        successes: those that completed.
        failures: those that failed, whether another attempt followed or not.
        last_run_at: when the latest run started; None when there was none.
        last_status: completed, failed or cancelled: how the latest run ended.
    """

    runs: int = 0
    successes: int = 0
    failures: int = 0
    last_run_at: datetime | None = None
    last_status: AttemptOutcome | None = None

    def plus(self, others: RunStatistics) -> RunStatistics:
        """The sum of both. If both last runs started at the same time, that of `others` is kept."""
        is_later = others.last_run_at is not None and (
            self.last_run_at is None or self.last_run_at <= others.last_run_at
        )
        last = others if is_later else self
        return RunStatistics(
            self.runs + others.runs,
            self.successes + others.successes,
            self.failures + others.failures,
            last.last_run_at,
            last.last_status,
        )


@dataclass(frozen=True, slots=True)
class JobTypeInfo:
    """Value object: a job type as it is stored.

    Attributes:
        definition: the newest definition, with the current `enabled`.
        declared_at: when a process last declared it.
        statistics: of its runs, at most one heartbeat of a worker old.
    """

    definition: JobType
    declared_at: datetime
    statistics: RunStatistics = field(default_factory=RunStatistics)

    @property
    def name(self) -> str:
        """The name of the job type."""
        return self.definition.name

    @property
    def is_enabled(self) -> bool:
        """Whether jobs of this type are claimed."""
        return self.definition.enabled
