"""The definition of a schedule: the part that users write, edit and deploy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from enfila.core.domain.checking import instance, one_of, text, whole
from enfila.core.domain.duration import ZERO, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.queue import LONGEST_NAME
from enfila.core.domain.schedule.rules.misfire import Misfire
from enfila.core.domain.schedule.rules.overlap import Overlap
from enfila.core.domain.schedule.state import Owner
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.triggers.trigger import KINDS, Trigger, trigger_from_document
from enfila.core.domain.schedule.zones.instants import (
    MICROSECOND,
    from_text,
    optional_instant,
    text_of,
)
from enfila.core.domain.schedule.zones.time_zone import DEFAULT_ZONE, load_zone

LONGEST_SLUG: Final = 100
LONGEST_DESCRIPTION: Final = 4_096
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9._:-]*")


@dataclass(frozen=True, slots=True)
class ScheduleDefinition:
    """Value object: trigger, job and options of a schedule. The constructor validates them.

    `dataclasses.replace` returns a changed copy, which is validated again.

    Attributes:
        slug: its name for programs, unique: small letters, digits and `. _ : -`.
        target: the job that each tick makes.
        trigger: when it ticks.
        name: for people; the slug where none is given.
        description, category: for people; may be empty.
        time_zone: the time zone of the trigger. It is looked up when it is used, so that a schedule
            can still be read when its zone was removed from the machine.
        start_at, end_at: no tick before the first, none after the second; a tick may fall on
            either. None for no bound.
        max_runs: the number of ticks after which it is finished; None for no limit.
        misfire: the rule for late ticks.
        overlap: the rule for ticks while an earlier run is unfinished.
        jitter: jobs start up to this long after their tick, with a delay that differs per schedule.
        owner: whether it comes from the code of a deploy or was created at run time.
        source: which program it comes from, if several share an installation; else empty.

    Raises:
        InvalidRequest: a value is wrong; the message names the field, the value, what is allowed.
    """

    slug: str
    target: Target
    trigger: Trigger
    name: str = ""
    description: str = ""
    category: str = ""
    time_zone: str = DEFAULT_ZONE
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_runs: int | None = None
    misfire: Misfire = field(default_factory=Misfire)
    overlap: Overlap = Overlap.ALLOW
    jitter: timedelta = ZERO
    owner: Owner = Owner.RUNTIME
    source: str = ""

    def __post_init__(self) -> None:
        self._set("slug", checked_slug(self.slug))
        instance("target", self.target, Target, "a Target")
        instance("trigger", self.trigger, Trigger, f"a trigger: {', '.join(KINDS)}")
        instance("misfire", self.misfire, Misfire, "a Misfire")
        self._set("overlap", one_of("overlap", self.overlap, Overlap))
        self._set("owner", one_of("owner", self.owner, Owner))
        self._set("name", text("name", self.name, LONGEST_NAME) or self.slug)
        self._set("description", text("description", self.description, LONGEST_DESCRIPTION))
        self._set("category", text("category", self.category, LONGEST_NAME))
        self._set("source", text("source", self.source, LONGEST_NAME))
        self._set("time_zone", text("time_zone", self.time_zone, LONGEST_NAME, shortest=1))
        if self.max_runs is not None:
            whole("max_runs", self.max_runs, 1)
        self._set("start_at", optional_instant("start_at", self.start_at))
        self._set("end_at", optional_instant("end_at", self.end_at))
        self._set("jitter", duration("jitter", self.jitter))
        self._check_bounds()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_bounds(self) -> None:
        if self.start_at is not None and self.end_at is not None and self.end_at < self.start_at:
            raise InvalidRequest(
                "end_at", self.end_at.isoformat(), f"give {self.start_at.isoformat()} or later"
            )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone.

        Raises:
            UnknownTimeZone: the zone was removed from this machine's database.
        """
        return load_zone(self.time_zone)

    def next_after(self, instant: datetime) -> datetime | None:
        """The first nominal time after an instant (aware UTC) within the bounds; else None."""
        if self.start_at is not None:
            instant = max(instant, self.start_at - MICROSECOND)
        found = self.trigger.next_after(instant, self.zone)
        if found is None or (self.end_at is not None and found > self.end_at):
            return None
        return found

    def to_document(self) -> dict[str, Any]:
        """The definition as JSON for storage."""
        return {
            "slug": self.slug,
            "target": self.target.to_document(),
            "trigger": self.trigger.to_document(),
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "time_zone": self.time_zone,
            "start_at": text_of(self.start_at),
            "end_at": text_of(self.end_at),
            "max_runs": self.max_runs,
            "misfire": self.misfire.to_document(),
            "overlap": self.overlap.value,
            "jitter": self.jitter.total_seconds(),
            "owner": self.owner.value,
            "source": self.source,
        }

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> ScheduleDefinition:
        """Reads a definition that `to_document` wrote."""
        return cls(
            slug=stored["slug"],
            target=Target.from_document(stored["target"]),
            trigger=trigger_from_document(stored["trigger"]),
            name=stored["name"],
            description=stored["description"],
            category=stored["category"],
            time_zone=stored["time_zone"],
            start_at=from_text(stored["start_at"]),
            end_at=from_text(stored["end_at"]),
            max_runs=stored["max_runs"],
            misfire=Misfire.from_document(stored["misfire"]),
            overlap=Overlap(stored["overlap"]),
            jitter=timedelta(seconds=stored["jitter"]),
            owner=Owner(stored["owner"]),
            source=stored["source"],
        )


def checked_slug(value: str) -> str:
    """The name of a schedule. `InvalidRequest` for what cannot be one."""
    if isinstance(value, str):
        slug = str.__str__(value)
        if len(slug) <= LONGEST_SLUG and _SLUG.fullmatch(slug) is not None:
            return slug
    allowed = (
        f"give 1 to {LONGEST_SLUG} small letters, digits and . _ : -, the first a letter or a digit"
    )
    raise InvalidRequest("slug", value, allowed)
