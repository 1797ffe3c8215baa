"""What people say about a schedule: the part of it that is edited, compared and deployed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import UnionType
from typing import Any, Final
from zoneinfo import ZoneInfo

from enfila.core.domain.duration import ZERO, duration
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.failure import storable
from enfila.core.domain.queue import LONGEST_NAME
from enfila.core.domain.schedule.instants import (
    MICROSECOND,
    from_text,
    optional_instant,
    text_of,
)
from enfila.core.domain.schedule.misfire import Misfire
from enfila.core.domain.schedule.overlap import Overlap
from enfila.core.domain.schedule.state import Owner
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.time_zone import DEFAULT_ZONE, load_zone
from enfila.core.domain.schedule.trigger import KINDS, Trigger, trigger_from_document

LONGEST_SLUG: Final = 100
LONGEST_DESCRIPTION: Final = 4_096
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9._:-]*")


@dataclass(frozen=True, slots=True)
class ScheduleDefinition:
    """Value object: the rule of a schedule and its job. Wrong values are refused when it is made.

    `dataclasses.replace` gives a changed one, checked again.

    Attributes:
        slug: its name for programs, unique: small letters, digits and `. _ : -`.
        target: the job that each tick makes.
        trigger: when it ticks.
        name: for people; the slug where none is given.
        description, category: for people; may be empty.
        time_zone: the zone whose clocks the trigger means. It is looked up where it is used, so
            that a schedule can still be read when its zone was removed from the machine.
        start_at, end_at: no tick before the first, none after the second; a tick may fall on
            either. None for no bound.
        max_runs: after so many ticks it is finished; None for no limit.
        misfire: what becomes of late ticks.
        overlap: what becomes of ticks while a run goes on.
        jitter: jobs start up to this long after their tick, each schedule in its own way.
        owner: the code of a deploy, or somebody at run time.
        source: which code, where several programs share an installation; empty at run time.

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
        _check_slug(self.slug)
        _check_kind("target", self.target, Target, "a Target")
        _check_kind("trigger", self.trigger, Trigger, f"a trigger: {', '.join(KINDS)}")
        _check_kind("misfire", self.misfire, Misfire, "a Misfire")
        _check_kind("overlap", self.overlap, Overlap, f"an Overlap: {', '.join(Overlap)}")
        _check_kind("owner", self.owner, Owner, f"an Owner: {', '.join(Owner)}")
        _check_text("name", self.name, LONGEST_NAME)
        _check_text("description", self.description, LONGEST_DESCRIPTION)
        _check_text("category", self.category, LONGEST_NAME)
        _check_text("source", self.source, LONGEST_NAME)
        self._check_max_runs()
        object.__setattr__(self, "name", self.name or self.slug)
        object.__setattr__(self, "start_at", optional_instant("start_at", self.start_at))
        object.__setattr__(self, "end_at", optional_instant("end_at", self.end_at))
        object.__setattr__(self, "jitter", duration("jitter", self.jitter))
        self._check_bounds()

    def _check_max_runs(self) -> None:
        runs = self.max_runs
        if runs is None:
            return
        if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
            raise InvalidRequest("max_runs", runs, "give a whole number of 1 or more")

    def _check_bounds(self) -> None:
        if self.start_at is not None and self.end_at is not None and self.end_at < self.start_at:
            raise InvalidRequest(
                "end_at", self.end_at.isoformat(), f"give {self.start_at.isoformat()} or later"
            )

    @property
    def zone(self) -> ZoneInfo:
        """Its time zone.

        Raises:
            UnknownTimeZone: the zone was removed from this machine's database.
        """
        return load_zone(self.time_zone)

    def next_after(self, instant: datetime) -> datetime | None:
        """Its first nominal time after an instant (aware UTC) within its bounds; None without."""
        if self.start_at is not None:
            instant = max(instant, self.start_at - MICROSECOND)
        found = self.trigger.next_after(instant, self.zone)
        if found is None or (self.end_at is not None and found > self.end_at):
            return None
        return found

    def to_document(self) -> dict[str, Any]:
        """What is stored."""
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
        """The definition that `to_document` stored."""
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


def _check_slug(slug: str) -> None:
    is_text = isinstance(slug, str) and len(slug) <= LONGEST_SLUG
    if not is_text or _SLUG.fullmatch(slug) is None:
        allowed = (
            f"give 1 to {LONGEST_SLUG} small letters, digits and . _ : -, "
            "the first a letter or a digit"
        )
        raise InvalidRequest("slug", slug, allowed)


def _check_kind(field_name: str, value: object, kind: type | UnionType, allowed: str) -> None:
    if not isinstance(value, kind):
        raise InvalidRequest(field_name, value, f"give {allowed}")


def _check_text(field_name: str, value: str, longest: int) -> None:
    if not isinstance(value, str) or len(value) > longest or storable(value) != value:
        raise InvalidRequest(field_name, value, f"give at most {longest:,} characters, no NUL")
