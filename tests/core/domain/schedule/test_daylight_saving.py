"""What a trigger does when the clocks are moved, in many zones."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import Interval
from enfila.core.domain.schedule.triggers.times_of_day import TimesOfDay
from enfila.core.domain.schedule.triggers.trigger import Trigger
from enfila.core.domain.schedule.zones.offset_changes import shifts_between

ZONES = [
    "America/Sao_Paulo",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "UTC",
]
FORWARD = [
    ("America/New_York", "2024-03-10"),
    ("America/New_York", "2030-03-10"),
    ("Europe/Berlin", "2025-03-30"),
    ("Europe/Berlin", "2029-03-25"),
]
EVEN_HOURS_FROM_4 = [f"{hour:02}:00-0400" for hour in range(4, 24, 2)]
BACK = [("America/New_York", "2026-11-01"), ("America/New_York", "2029-11-04")]


def local_times(trigger: Trigger, zone_name: str, day: str) -> list[str]:
    """The ticks of one local day, as wall time and offset."""
    zone = ZoneInfo(zone_name)
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = (start + timedelta(days=1)).astimezone(UTC)
    found = []
    tick = trigger.next_after(start.astimezone(UTC) - timedelta(microseconds=1), zone)
    while tick is not None and tick < end:
        assert tick.tzinfo is UTC
        found.append(tick.astimezone(zone).strftime("%H:%M%z"))
        tick = trigger.next_after(tick, zone)
    return found


@pytest.mark.parametrize(
    ("zone", "day", "expression", "expected"),
    [
        # Gap: a fixed time is moved forward by the gap, and runs once.
        ("America/New_York", "2025-03-09", "30 2 * * *", ["03:30-0400"]),
        ("America/New_York", "2025-03-09", "0 2 * * *", ["03:00-0400"]),
        ("America/New_York", "2025-03-09", "30 1 * * *", ["01:30-0500"]),
        ("America/New_York", "2025-03-09", "30 2,3 * * *", ["03:30-0400"]),
        ("America/New_York", "2025-03-09", "0,45 2,3 * * *", ["03:00-0400", "03:45-0400"]),
        ("Europe/Berlin", "2026-03-29", "15 2 * * *", ["03:15+0200"]),
        ("Europe/Berlin", "2027-03-28", "0 2 * * sun", ["03:00+0200"]),
        # Lord Howe moves its clocks by half an hour.
        ("Australia/Lord_Howe", "2024-10-06", "15 2 * * *", ["02:45+1100"]),
        ("Australia/Lord_Howe", "2028-10-01", "15,45 2 * * *", ["02:45+1100"]),
        # São Paulo moved its clocks at midnight, for the last time in 2018 and 2019.
        ("America/Sao_Paulo", "2018-11-04", "30 0 * * *", ["01:30-0200"]),
        ("America/Sao_Paulo", "2025-11-02", "30 0 * * *", ["00:30-0300"]),
        # Gap: a rhythm goes on in real time.
        (
            "America/New_York",
            "2025-03-09",
            "0 0-4 * * *",
            ["00:00-0500", "01:00-0500", "03:00-0400", "04:00-0400"],
        ),
        ("America/New_York", "2025-03-09", "0 */2 * * *", ["00:00-0500", *EVEN_HOURS_FROM_4]),
        ("America/New_York", "2025-03-09", "*/30 2 * * *", []),
        (
            "Australia/Lord_Howe",
            "2026-10-04",
            "*/15 1-2 * * *",
            ["01:00+1030", "01:15+1030", "01:30+1030", "01:45+1030", "02:30+1100", "02:45+1100"],
        ),
        # Overlap: a fixed time runs once, in the first pass.
        ("America/New_York", "2025-11-02", "30 1 * * *", ["01:30-0400"]),
        (
            "America/New_York",
            "2025-11-02",
            "0,30 1,2 * * *",
            ["01:00-0400", "01:30-0400", "02:00-0500", "02:30-0500"],
        ),
        ("Europe/Berlin", "2028-10-29", "30 2 * * *", ["02:30+0200"]),
        ("Europe/Berlin", "2030-10-27", "0 2,3 * * *", ["02:00+0200", "03:00+0100"]),
        ("Australia/Lord_Howe", "2025-04-06", "45 1 * * *", ["01:45+1100"]),
        ("America/Sao_Paulo", "2019-02-16", "30 23 * * *", ["23:30-0200"]),
        # Overlap: a rhythm goes through both passes.
        (
            "America/New_York",
            "2025-11-02",
            "*/30 1 * * *",
            ["01:00-0400", "01:30-0400", "01:00-0500", "01:30-0500"],
        ),
        (
            "Europe/Berlin",
            "2024-10-27",
            "0 2,3-4 * * *",
            ["02:00+0200", "02:00+0100", "03:00+0100", "04:00+0100"],
        ),
        (
            "Australia/Lord_Howe",
            "2027-04-04",
            "*/15 1 * * *",
            ["01:00+1100", "01:15+1100", "01:30+1100", "01:45+1100", "01:30+1030", "01:45+1030"],
        ),
        (
            "America/Sao_Paulo",
            "2019-02-16",
            "30 22-23 * * *",
            ["22:30-0200", "23:30-0200", "23:30-0300"],
        ),
        # Zones that leave their clocks alone.
        ("Asia/Kathmandu", "2025-03-30", "30 2 * * *", ["02:30+0545"]),
        ("UTC", "2025-03-30", "30 2 * * *", ["02:30+0000"]),
    ],
)
def test_a_day_on_which_the_clocks_are_moved(
    zone: str, day: str, expression: str, expected: list[str]
) -> None:
    assert local_times(Cron(expression), zone, day) == expected


@pytest.mark.parametrize(("zone", "day"), FORWARD)
def test_a_fixed_time_in_the_gap_runs_once_in_any_year(zone: str, day: str) -> None:
    trigger = TimesOfDay(at=["02:30", "12:00"])
    after = local_times(trigger, zone, day)
    assert [time[:5] for time in after] == ["03:30", "12:00"]


@pytest.mark.parametrize(("zone", "day"), BACK)
def test_a_fixed_time_in_the_overlap_runs_once_in_any_year(zone: str, day: str) -> None:
    assert local_times(TimesOfDay(at="01:30"), zone, day) == ["01:30-0400"]
    assert len(local_times(Cron("*/10 * * * *"), zone, day)) == 25 * 6


@pytest.mark.parametrize("zone_name", ZONES)
def test_every_hour_of_real_time_has_its_tick_from_2024_to_2030(zone_name: str) -> None:
    """Around each movement of the clocks: steps of the quarter are unbroken in real time."""
    zone = ZoneInfo(zone_name)
    first, last = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    for shift in [*shifts_between(first, last, zone)]:
        tick: datetime | None = shift.at - timedelta(hours=3)
        ticks = []
        for _ in range(24):
            assert tick is not None
            tick = Cron("*/15 * * * *").next_after(tick, zone)
            ticks.append(tick)
        gaps = {later - earlier for earlier, later in pairwise(ticks) if earlier and later}
        assert gaps == {timedelta(minutes=15)}


@pytest.mark.parametrize("zone_name", ZONES)
def test_a_time_of_day_runs_once_each_local_day_from_2024_to_2030(zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    at = ["00:00", "01:45", "02:15", "12:00", "23:30"]
    trigger = TimesOfDay(at)
    tick = trigger.next_after(
        datetime(2024, 1, 1, tzinfo=zone).astimezone(UTC) - timedelta(seconds=1), zone
    )
    days: dict[str, int] = {}
    while tick is not None and (local := tick.astimezone(zone)).year <= 2030:
        days[f"{local:%Y-%m-%d}"] = days.get(f"{local:%Y-%m-%d}", 0) + 1
        tick = trigger.next_after(tick, zone)
    assert len(days) == 2557
    # Lord Howe: 02:15 becomes 02:45; nowhere do two of these times fall together.
    assert set(days.values()) == {5}


def test_the_tick_moved_by_a_gap_comes_after_later_wall_times() -> None:
    """02:45 becomes 03:45, so 03:00 is first."""
    trigger = TimesOfDay(at=["02:45", "03:00"])
    assert local_times(trigger, "America/New_York", "2025-03-09") == ["03:00-0400", "03:45-0400"]


def test_a_whole_day_left_out_is_moved_to_the_next() -> None:
    """Samoa had no 30 December 2011."""
    zone = ZoneInfo("Pacific/Apia")
    start = datetime(2011, 12, 29, 12, tzinfo=zone).astimezone(UTC)
    tick = Cron("0 18 30 12 *").next_after(start, zone)
    assert tick is not None
    assert tick.astimezone(zone).isoformat() == "2011-12-31T18:00:00+14:00"


def test_an_interval_does_not_notice() -> None:
    trigger = Interval(3600)
    assert len(local_times(trigger, "America/New_York", "2025-03-09")) == 23
    assert len(local_times(trigger, "America/New_York", "2025-11-02")) == 25


def test_seconds_within_a_fixed_minute_move_with_it() -> None:
    zone = ZoneInfo("Europe/Berlin")
    trigger = Cron("*/30 30 2 * * *")
    tick = trigger.next_after(datetime(2025, 3, 30, 0, 59, tzinfo=UTC), zone)
    assert tick == datetime(2025, 3, 30, 1, 30, tzinfo=UTC)
    assert trigger.next_after(tick, zone) == datetime(2025, 3, 30, 1, 30, 30, tzinfo=UTC)
    following = trigger.next_after(datetime(2025, 3, 30, 1, 30, 30, tzinfo=UTC), zone)
    assert following == datetime(2025, 3, 31, 0, 30, tzinfo=UTC)
