"""Conversion of local times to instants, with the rules for daylight saving time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from enfila.core.domain.schedule.zones.offset_changes import (
    LAST_YEAR,
    Shift,
    offset_at,
    shift_around,
    shifts_between,
)

_SECOND: Final = timedelta(seconds=1)


class WallRule(Protocol):
    """A rule for local times (wall times), without a time zone."""

    @property
    def is_fixed(self) -> bool:
        """Whether it names fixed times of day, and not a repeating pattern.

        A fixed time in a gap is moved forward by the length of the gap; in an overlap it runs once,
        in the first pass. A repeating pattern has no tick in a gap, and ticks in both passes of an
        overlap.
        """
        ...

    def next_wall(self, wall: datetime) -> datetime | None:
        """The first local time (naive, whole seconds) at or after `wall`; None if there is none."""
        ...


def next_instant(rule: WallRule, instant: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant after `instant` (both aware UTC) that matches the rule in this zone."""
    start = instant.astimezone(UTC).replace(microsecond=0) + _SECOND
    while (found := _next_under_one_offset(rule, start, zone)) is not None:
        shift = next(shifts_between(start, found, zone), None)
        if shift is None:
            return found
        start = shift.at
    return None


def _next_under_one_offset(rule: WallRule, start: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant at or after `start`, as if the offset never changed again."""
    if start.year > LAST_YEAR:
        return None
    offset = offset_at(start, zone)
    shift = shift_around(start, zone) if rule.is_fixed else None
    if shift is None:
        return _at_offset(rule.next_wall(_wall(start, offset)), offset)
    if shift.is_gap:
        usual = _at_offset(rule.next_wall(_wall(start, offset)), offset)
        return min(filter(None, (usual, _moved_by_gap(rule, start, shift))), default=None)
    # Fixed times do not run in the second pass: continue where the first one ended.
    return _at_offset(rule.next_wall(_wall(shift.at, shift.before)), offset)


def _moved_by_gap(rule: WallRule, start: datetime, shift: Shift) -> datetime | None:
    """The first local time in the gap, converted with the offset before the gap."""
    wall = rule.next_wall(_wall(start, shift.before))
    if wall is None or wall >= _wall(shift.at, shift.after):
        return None
    return _at_offset(wall, shift.before)


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return (instant + offset).replace(tzinfo=None)


def _at_offset(wall: datetime | None, offset: timedelta) -> datetime | None:
    return None if wall is None else wall.replace(tzinfo=UTC) - offset
