"""The tick of a scheduled job, as its processor can read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from enfila.core.domain.json_document import Json
from enfila.core.domain.schedule.zones.instants import from_text, text_of

METADATA_KEY: Final = "schedule"
"""Its key in the metadata of a job."""


@dataclass(frozen=True, slots=True)
class ScheduledFor:
    """Value object: the tick that made a job. Instants are aware UTC.

    Attributes:
        slug: the schedule.
        nominal: the nominal time, whenever the job runs.
        previous: the tick before it; None for the first one, and for a manual run.
        next: the tick after it; None when there is none, or it is not known yet.
    """

    slug: str
    nominal: datetime
    previous: datetime | None = None
    next: datetime | None = None

    def to_metadata(self) -> dict[str, Json]:
        """The entry in the metadata of the job."""
        return {
            METADATA_KEY: {
                "slug": self.slug,
                "nominal": self.nominal.isoformat(),
                "previous": text_of(self.previous),
                "next": text_of(self.next),
            }
        }

    @classmethod
    def of(cls, metadata: Mapping[str, Json]) -> ScheduledFor | None:
        """Reads the entry that `to_metadata` made; None if the job has no schedule."""
        stored = metadata.get(METADATA_KEY)
        if not isinstance(stored, Mapping):
            return None
        try:
            return cls(
                stored["slug"],
                datetime.fromisoformat(stored["nominal"]),
                from_text(stored["previous"]),
                from_text(stored["next"]),
            )
        # The metadata belongs to the user, and may have a key of this name.
        except (KeyError, TypeError, ValueError):
            return None
