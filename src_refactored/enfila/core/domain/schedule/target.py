"""The job that a schedule makes: name, payload, options and queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from enfila.core.domain.checking import instance
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions, options_from_text
from enfila.core.domain.json_document import NULL, Json, JsonDocument, JsonRefused
from enfila.core.domain.queue import name as checked_name
from enfila.core.domain.showing import message_of


@dataclass(frozen=True, slots=True)
class Target:
    """Value object: the job that each tick makes.

    Attributes:
        job_type: the name of the job.
        document: its payload.
        options: timeout, attempts, backoff, priority and the rest; not `delay` and `run_at`, which
            the schedule sets.
        queue: its queue; None for the queue of its type.
    """

    job_type: str
    document: JsonDocument = field(default=NULL, repr=False)  # it may hold secrets
    options: JobOptions = DEFAULT_OPTIONS
    queue: str | None = None

    def __post_init__(self) -> None:
        self._set("job_type", checked_name("target.job_type", self.job_type))
        instance("target.document", self.document, JsonDocument, "a JsonDocument, or use Target.of")
        instance("target.options", self.options, JobOptions, "JobOptions(…)")
        if self.queue is not None:
            self._set("queue", checked_name("target.queue", self.queue))
        if self.options.run_at is not None or self.options.delay:
            allowed = "leave out delay and run_at; the schedule says when its jobs start"
            raise InvalidRequest("target.options", self.options, allowed)

    def _set(self, name: str, value: str) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        job_type: str,
        payload: Json = None,
        options: JobOptions = DEFAULT_OPTIONS,
        queue: str | None = None,
    ) -> Target:
        """Makes a target with this payload.

        Raises:
            InvalidRequest: a name is invalid, the payload is not JSON, or the options set `delay`
                or `run_at`.
        """
        try:
            return cls(job_type, JsonDocument.of(payload), options, queue)
        except JsonRefused as refusal:
            raise InvalidRequest(
                "target.payload", payload, f"give JSON: {message_of(refusal)}"
            ) from None

    def to_document(self) -> dict[str, Any]:
        """The target as JSON for storage."""
        return {
            "job_type": self.job_type,
            "payload": self.document.value,
            "options": self.options.to_text(),
            "queue": self.queue,
        }

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Target:
        """Reads a target that `to_document` wrote."""
        options = options_from_text(stored["options"])
        return cls.of(stored["job_type"], stored["payload"], options, stored["queue"])
