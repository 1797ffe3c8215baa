"""What of a new job may still change: metadata, tags and its tenant."""

from __future__ import annotations

from dataclasses import fields
from operator import attrgetter
from typing import Final

from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.snapshot import JobSnapshot

_FREE_FIELDS: Final = {"options", "tenant"}
_FREE_OPTIONS: Final = {"_given", "metadata", "tags"}


fixed_part: Final = attrgetter(
    *(each.name for each in fields(JobSnapshot) if each.name not in _FREE_FIELDS),
    *(f"options.{name}" for name in JobOptions.__slots__ if name not in _FREE_OPTIONS),
)
"""All of a job that an annotation leaves as it is, as a tuple to be compared."""
