"""From rules about wall clocks to instants: what happens when the clocks are moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from enfila.core.domain.schedule.shifts import (
    LAST_YEAR,
    Shift,
    offset_at,
    shift_around,
    shifts_between,
)

_SECOND: Final = timedelta(seconds=1)


class WallRule(Protocol):
    """A rule that says which wall times it means, and knows nothing of zones."""

    @property
    def is_fixed(self) -> bool:
        """Whether it names times of day, rather than a rhythm within the hour or the day.

        A fixed time in a gap is moved forward by the gap, and in an overlap meant once: the first
        pass. A rhythm goes on in real time: no tick in a gap, one in either pass of an overlap.
        """
        ...

    def next_wall(self, wall: datetime) -> datetime | None:
        """The first wall time (naive, whole seconds) at or after `wall`; None if there is none."""
        ...


def next_instant(rule: WallRule, instant: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant after `instant` (both aware UTC) that the rule means in this zone."""
    start = instant.astimezone(UTC).replace(microsecond=0) + _SECOND
    while (found := _next_under_one_offset(rule, start, zone)) is not None:
        shift = next(shifts_between(start, found, zone), None)
        if shift is None:
            return found
        start = shift.at
    return None


def _next_under_one_offset(rule: WallRule, start: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant at or after `start`, as if the clocks were never moved again."""
    if start.year > LAST_YEAR:
        return None
    offset = offset_at(start, zone)
    shift = shift_around(start, zone) if rule.is_fixed else None
    if shift is None:
        return _at_offset(rule.next_wall(_wall(start, offset)), offset)
    if shift.is_gap:
        usual = _at_offset(rule.next_wall(_wall(start, offset)), offset)
        return min(filter(None, (usual, _moved_by_gap(rule, start, shift))), default=None)
    # The second pass is silent: go on where the first one ended.
    return _at_offset(rule.next_wall(_wall(shift.at, shift.before)), offset)


def _moved_by_gap(rule: WallRule, start: datetime, shift: Shift) -> datetime | None:
    """The first time that the gap left out, as the old offset would still show it."""
    wall = rule.next_wall(_wall(start, shift.before))
    if wall is None or wall >= _wall(shift.at, shift.after):
        return None
    return _at_offset(wall, shift.before)


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return (instant + offset).replace(tzinfo=None)


def _at_offset(wall: datetime | None, offset: timedelta) -> datetime | None:
    return None if wall is None else wall.replace(tzinfo=UTC) - offset
