"""What may be noted on a new job after it was made: metadata, tags and its tenant."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Final

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.failure import storable
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.snapshot import JobSnapshot

LONGEST_TENANT: Final = 255

_FREE_FIELDS: Final = {"options", "tenant"}
_FREE_OPTIONS: Final = {"_given", "metadata", "tags"}


def checked_tenant(value: str) -> str:
    """Validates the name of a tenant.

    Raises:
        InvalidRequest: not text of 1 to 255 characters, or with characters that cannot be stored.
    """
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= LONGEST_TENANT
        or storable(value) != value
    ):
        allowed = f"give 1 to {LONGEST_TENANT} characters, none of them NUL or a lone surrogate"
        raise InvalidRequest("tenant", value, allowed)
    return value


fixed_part: Final = attrgetter(
    *(each.name for each in fields(JobSnapshot) if each.name not in _FREE_FIELDS),
    *(f"options.{name}" for name in JobOptions.__slots__ if name not in _FREE_OPTIONS),
)
"""All of a job that an annotation leaves as it is, as a tuple to be compared."""
