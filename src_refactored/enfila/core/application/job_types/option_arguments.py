"""The arguments of `JobOptions`, for functions that hand them on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypedDict

from enfila.core.domain.duration import Duration
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import RetentionLike
from enfila.core.domain.json_document import Json


class OptionArguments(TypedDict, total=False):
    """The keyword arguments of a job type's options, typed as those of `JobOptions`."""

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
