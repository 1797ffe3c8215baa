"""The arguments of `JobOptions`, for functions that hand them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypedDict

from enfila.core.domain.checking import known_names
from enfila.core.domain.duration import Duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import RetentionLike
from enfila.core.domain.json_document import Json


class OptionArguments(TypedDict, total=False):
    """The options of a job as keyword arguments, typed as those of `JobOptions`."""

    attempts: int
    backoff: Backoff
    delay: Duration
    run_at: datetime
    priority: int
    lifo: bool
    timeout: Duration
    expires_in: Duration
    deduplication: Deduplication
    remove_on_complete: RetentionLike
    remove_on_fail: RetentionLike
    tags: Iterable[str]
    metadata: Mapping[str, Json]
    keep_logs: int


def with_named(options: JobOptions | None, given: OptionArguments) -> JobOptions | None:
    """Options with those that were given by name, which come first.

    Raises:
        InvalidRequest: a wrong value, or a name that is no option.
    """
    if not given:
        return options
    known_names(given, (*OptionArguments.__annotations__, "session"))
    if options is not None and not isinstance(options, JobOptions):
        raise InvalidRequest("options", options, "give JobOptions(…) or None")
    named = JobOptions(**given)
    return named if options is None else named.over(options)
