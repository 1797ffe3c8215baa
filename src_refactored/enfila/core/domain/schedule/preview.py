"""Preview of the next times of a schedule, and the times of a backfill."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from enfila.core.domain.checking import instant, whole
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.due import times_between
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion
from enfila.core.domain.schedule.triggers.times_of_day import TimesOfDay
from enfila.core.domain.schedule.triggers.trigger import Trigger
from enfila.core.domain.schedule.zones.instants import MICROSECOND
from enfila.core.domain.schedule.zones.offset_changes import Shift, shift_around

MOST_PREVIEWED: Final = 1_000
MOST_BACKFILLED: Final = 10_000
_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PreviewedTime:
    """Value object: one nominal time in a preview.

    Attributes:
        utc: the instant.
        local: the same instant in the schedule's time zone.
        mark: the effect of daylight saving time on it; None if there is none.
    """

    utc: datetime
    local: datetime
    mark: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """Value object: the trigger in words, and its next times."""

    words: str
    time_zone: str
    times: tuple[PreviewedTime, ...]


def preview(definition: ScheduleDefinition, now: datetime, count: int = 10) -> Preview:
    """The first `count` (at most 1,000) nominal times after now.

    An `AfterCompletion` trigger has only one, as the next depends on the end of the run.

    Raises:
        InvalidRequest: a count out of bounds.
        UnknownTimeZone: this machine does not know the zone.
    """
    count = whole("count", count, 1, MOST_PREVIEWED)
    if isinstance(definition.trigger, AfterCompletion):
        count = 1
    times = islice(times_between(definition, now + MICROSECOND, _END_OF_TIME), count)
    return Preview(
        definition.trigger.in_words(),
        definition.time_zone,
        tuple(_previewed(each, definition.trigger, definition.zone) for each in times),
    )


def backfill_times(
    definition: ScheduleDefinition, start: datetime, end: datetime
) -> tuple[datetime, ...]:
    """The nominal times from `start` to before `end`, within the schedule's bounds.

    Raises:
        InvalidRequest: the end is before the start, there are more than 10,000 times, or the
            trigger is an `AfterCompletion`, whose times depend on runs.
        UnknownTimeZone: this machine does not know the zone.
    """
    start, end = instant("start", start), instant("end", end)
    if end < start:
        raise InvalidRequest("end", end.isoformat(), f"give {start.isoformat()} or later")
    if isinstance(definition.trigger, AfterCompletion):
        raise InvalidRequest(
            "trigger", definition.trigger.kind, "its times follow from runs; give times of your own"
        )
    found = islice(times_between(definition, start, end - MICROSECOND), MOST_BACKFILLED + 1)
    times = tuple(found)
    if len(times) > MOST_BACKFILLED:
        raise InvalidRequest(
            "end", end.isoformat(), f"give a range of at most {MOST_BACKFILLED:,} times"
        )
    return times


def _previewed(utc: datetime, trigger: Trigger, zone: ZoneInfo) -> PreviewedTime:
    local = utc.astimezone(zone)
    shift = shift_around(utc, zone)
    mark = _second_pass_or_gap(local, trigger, shift) if shift else _first_pass(local)
    return PreviewedTime(utc, local, mark)


def _first_pass(local: datetime) -> str | None:
    """Marks the first occurrence of a local time that occurs twice (`fold`)."""
    later = local.replace(fold=1).utcoffset()
    return "first pass" if local.utcoffset() != later else None


def _second_pass_or_gap(local: datetime, trigger: Trigger, shift: Shift) -> str | None:
    if not shift.is_gap:
        return "second pass"
    wall = local.replace(tzinfo=None)
    if isinstance(trigger, Cron | TimesOfDay) and trigger.next_wall(wall) != wall:
        return f"moved by the gap of {shift.length.total_seconds() / 60:g} min"
    return None
