"""A job as it is given to `add_bulk`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.showing import shown

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class NewJob:
    """Value object: name, payload and options of a job to be added."""

    name: str
    payload: Any = None
    options: JobOptions | None = None

    def __repr__(self) -> str:
        given = f"{shown(self.name)}, {shown(self.payload)}, {shown(self.options)}"
        return f"NewJob({given})"


NewJobLike = (
    NewJob | tuple[str] | tuple[str, Any] | tuple[str, Any, JobOptions | None] | Mapping[str, Any]
)
"""A `NewJob`, or its fields as a tuple, or as a mapping with the keys name, payload, options."""


def new_job(value: NewJobLike) -> NewJob:
    """Turns what a caller gave for a job (a tuple, or a `NewJob`) into a `NewJob`.

    Raises:
        InvalidRequest: it is none of the three forms.
    """
    match value:
        case NewJob():
            return value
        case (str(), *_) if len(value) <= 3:  # noqa: PLR2004 - name, payload, options
            return NewJob(*value)
        case {"name": _} if not set(value) - {"name", "payload", "options"}:
            return NewJob(**value)
        case _:
            raise InvalidRequest(
                "jobs", value, "give NewJob(name, payload, options), or the same as a tuple or dict"
            )
