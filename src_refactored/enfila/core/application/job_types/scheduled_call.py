"""A schedule of a job type, before its arguments are given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, ParamSpec, TypedDict

from enfila.core.application.job_types.signature import Signature
from enfila.core.domain.duration import Duration
from enfila.core.domain.json_document import Json
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.rules.misfire import Misfire
from enfila.core.domain.schedule.rules.overlap import Overlap

P = ParamSpec("P")


class ScheduleArguments(TypedDict, total=False):
    """The keyword arguments of a schedule, typed as those of `Schedules.define`."""

    time_zone: str
    name: str
    description: str
    category: str
    start_at: datetime
    end_at: datetime
    max_runs: int
    misfire: Misfire
    overlap: Overlap | str
    jitter: Duration


class ScheduledCall(Generic[P]):
    """What `send.schedule(…)` returns: call it with the arguments that the jobs are to have."""

    def __init__(self, signature: Signature, define: Callable[[Json], ScheduleDefinition]) -> None:
        self._signature = signature
        self._define = define

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> ScheduleDefinition:
        """The definition; `app.schedules` stores it (`create`, `sync`).

        Raises:
            InvalidRequest: arguments that do not fit.
        """
        arguments = self._signature.arguments(args, kwargs)
        return self._define(self._signature.codec.write_payload(arguments).value)
