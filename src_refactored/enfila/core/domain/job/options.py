"""The options of a job: attempts, delay, priority, timeout and the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, TypeVar

from enfila.core.domain.checking import instant, text, whole
from enfila.core.domain.duration import ZERO, Duration, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention, RetentionLike, retention
from enfila.core.domain.json_document import Json, JsonDocument, JsonRefused
from enfila.core.domain.showing import message_of, shown

T = TypeVar("T")

MOST_ATTEMPTS: Final = 1_000_000
PRIORITY_LIMIT: Final = 2**31 - 1
LONGEST_TAG: Final = 255
MOST_TAGS: Final = 100
_BACKOFF: Final = "a Backoff, such as Backoff.exponential(1)"
_KEY: Final = "a Deduplication, such as Deduplication('key')"


class JobOptions:
    """Value object: the options of a job. It is immutable, and its constructor validates them.

    An argument that is left out has the queue's default (`default_job_options`) or, without one,
    the default given here. Durations are seconds or a `timedelta`.

    Args:
        attempts: the maximum number of attempts, 1 to 1,000,000. Default 1.
        backoff: the wait between attempts. Default none.
        delay: the job waits this long before its first attempt. Not together with `run_at`.
        run_at: the job does not start before this instant (aware). Not together with `delay`.
        priority: lower numbers run first; negative is allowed. Default 0.
        lifo: runs before the older jobs of its priority. Default false.
        timeout: an attempt that runs longer fails. Default none.
        expires_in: a job that was not started this long after it was added is cancelled.
        deduplication: a key that one job of a queue holds at a time. Default none.
        remove_on_complete: how long the completed job is kept; see `RetentionLike`.
        remove_on_fail: how long the failed or cancelled job is kept; see `RetentionLike`.
        tags: at most 100 labels of at most 255 characters.
        metadata: a JSON object that is stored with the job (trace context, tenant data).
        keep_logs: only the newest N log lines are kept. Default all.

    Raises:
        InvalidRequest: a value is wrong; the message names the field, the value, what is allowed.
    """

    __slots__ = (
        "_given",
        "attempts",
        "backoff",
        "deduplication",
        "delay",
        "expires_in",
        "keep_logs",
        "lifo",
        "metadata",
        "priority",
        "remove_on_complete",
        "remove_on_fail",
        "run_at",
        "tags",
        "timeout",
    )

    _given: Mapping[str, Any]
    attempts: int
    backoff: Backoff
    delay: timedelta
    run_at: datetime | None
    priority: int
    lifo: bool
    timeout: timedelta | None
    expires_in: timedelta | None
    deduplication: Deduplication | None
    remove_on_complete: Retention | None
    remove_on_fail: Retention | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Json]
    keep_logs: int | None

    def __init__(
        self,
        *,
        attempts: int | None = None,
        backoff: Backoff | None = None,
        delay: Duration | None = None,
        run_at: datetime | None = None,
        priority: int | None = None,
        lifo: bool | None = None,
        timeout: Duration | None = None,
        expires_in: Duration | None = None,
        deduplication: Deduplication | None = None,
        remove_on_complete: RetentionLike | None = None,
        remove_on_fail: RetentionLike | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Json] | None = None,
        keep_logs: int | None = None,
    ) -> None:
        if delay is not None and run_at is not None:
            raise InvalidRequest(
                "run_at",
                run_at,
                "give either delay or run_at, not both",
                problem=f"it is given beside delay={shown(delay)}",
            )
        given = {
            "attempts": _whole("attempts", attempts, 1, MOST_ATTEMPTS),
            "backoff": _instance("backoff", backoff, Backoff, _BACKOFF),
            "delay": None if delay is None else duration("delay", delay),
            "run_at": _instant("run_at", run_at),
            "priority": _whole("priority", priority, -PRIORITY_LIMIT, PRIORITY_LIMIT),
            "lifo": _instance("lifo", lifo, bool, "True or False"),
            "timeout": _length("timeout", timeout),
            "expires_in": _length("expires_in", expires_in),
            "deduplication": _instance(
                "deduplication",
                deduplication,
                Deduplication,
                _KEY,
            ),
            "remove_on_complete": _retention("remove_on_complete", remove_on_complete),
            "remove_on_fail": _retention("remove_on_fail", remove_on_fail),
            "tags": _tags(tags),
            "metadata": _metadata(metadata),
            "keep_logs": _whole("keep_logs", keep_logs, 0, PRIORITY_LIMIT),
        }
        _fill(self, {name: value for name, value in given.items() if value is not None})

    def over(self, defaults: JobOptions) -> JobOptions:
        """These options, with missing values taken from `defaults`."""
        if not defaults._given:
            return self
        if not self._given:
            return defaults
        given = {**defaults._given, **self._given}
        # `delay` and `run_at` exclude each other, so those of these options take precedence.
        if "delay" in self._given:
            given.pop("run_at", None)
        if "run_at" in self._given:
            given.pop("delay", None)
        return _options_with(given)

    def annotated(
        self,
        *,
        metadata: Mapping[str, Json] | None = None,
        tags: Iterable[str] | None = None,
    ) -> JobOptions:
        """These options with more metadata and tags.

        New metadata replaces what has the same key; a tag that is there is not repeated.

        Raises:
            InvalidRequest: they are not allowed, or too many with those that are there.
        """
        given = dict(self._given)
        if more_metadata := _metadata(metadata):
            given["metadata"] = _metadata({**self.metadata, **more_metadata})
        if more_tags := _tags(tags):
            given["tags"] = _tags(dict.fromkeys((*self.tags, *more_tags)))
        return _options_with(given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"JobOptions are immutable; make new ones to change {name}")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, JobOptions)
            and all(getattr(self, name) == getattr(other, name) for name in _DEFAULTS)
            # As JSON: 1 and True are equal, and are not the same.
            and json.dumps(dict(self.metadata)) == json.dumps(dict(other.metadata))
        )

    def __hash__(self) -> int:
        return hash((self.attempts, self.delay, self.run_at, self.priority, self.lifo, self.tags))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={shown(value)}" for name, value in self._given.items())
        return f"JobOptions({given})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (options_from_text, (self.to_text(),))

    def to_text(self) -> str:
        """The given options as JSON text; an empty text if there are none."""
        if not self._given:
            return ""
        return json.dumps({name: _stored(value) for name, value in self._given.items()})


_DEFAULTS: Final[Mapping[str, Any]] = {
    "attempts": 1,
    "backoff": Backoff.none(),
    "delay": ZERO,
    "run_at": None,
    "priority": 0,
    "lifo": False,
    "timeout": None,
    "expires_in": None,
    "deduplication": None,
    "remove_on_complete": None,
    "remove_on_fail": None,
    "tags": (),
    "metadata": MappingProxyType({}),
    "keep_logs": None,
}

_READERS: Final[Mapping[str, Any]] = {
    "backoff": Backoff.from_json,
    "delay": lambda seconds: timedelta(seconds=seconds),
    "run_at": datetime.fromisoformat,
    "timeout": lambda seconds: timedelta(seconds=seconds),
    "expires_in": lambda seconds: timedelta(seconds=seconds),
    "deduplication": Deduplication.from_json,
    "remove_on_complete": Retention.from_json,
    "remove_on_fail": Retention.from_json,
    "tags": tuple,
    "metadata": MappingProxyType,
}


@lru_cache(maxsize=1024)
def options_from_text(text: str) -> JobOptions:
    """Reads options that `JobOptions.to_text` wrote; equal texts give one shared object."""
    if not text:
        return DEFAULT_OPTIONS
    stored: dict[str, Any] = json.loads(text)
    return _options_with(
        {
            name: _READERS[name](value) if name in _READERS else value
            for name, value in stored.items()
        }
    )


def _options_with(given: Mapping[str, Any]) -> JobOptions:
    """Makes options from values that are valid already."""
    options = JobOptions.__new__(JobOptions)
    _fill(options, given)
    return options


def _fill(options: JobOptions, given: Mapping[str, Any]) -> None:
    object.__setattr__(options, "_given", dict(given))
    for name, default in _DEFAULTS.items():
        object.__setattr__(options, name, given.get(name, default))


def _stored(value: object) -> Json:
    match value:
        case Backoff() | Deduplication() | Retention():
            return value.to_json()
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.isoformat()
        case tuple():
            return list(value)
        case Mapping():
            return dict(value)
        case _:
            return value


def _whole(field: str, value: int | None, lowest: int, highest: int) -> int | None:
    return None if value is None else whole(field, value, lowest, highest)


def _instance(field: str, value: T | None, kind: type[T], allowed: str) -> T | None:
    if value is not None and not isinstance(value, kind):
        raise InvalidRequest(field, value, f"give {allowed}")
    return value


def _length(field: str, value: Duration | None) -> timedelta | None:
    return None if value is None else duration(field, value, allow_zero=False)


def _instant(field: str, value: datetime | None) -> datetime | None:
    return None if value is None else instant(field, value)


def _retention(field: str, value: RetentionLike | None) -> Retention | None:
    return None if value is None else retention(field, value)


def _tags(value: Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    allowed = f"give at most {MOST_TAGS} texts of 1 to {LONGEST_TAG} characters"
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidRequest("tags", value, allowed)
    tags = tuple(islice(value, MOST_TAGS + 1))
    if len(tags) > MOST_TAGS:
        raise InvalidRequest("tags", tags, allowed)
    return tuple([text("tags", tag, LONGEST_TAG, shortest=1, allowed=allowed) for tag in tags])


def _metadata(value: Mapping[str, Json] | None) -> Mapping[str, Json] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidRequest("metadata", value, "give a JSON object")
    try:
        stored: dict[str, Json] = JsonDocument.of(dict(value)).value
    except JsonRefused as refusal:
        raise InvalidRequest(
            "metadata", value, f"give a JSON object: {message_of(refusal)}"
        ) from None
    # Options are shared between jobs, so they must not be changed.
    return MappingProxyType(stored)


DEFAULT_OPTIONS: Final = JobOptions()
