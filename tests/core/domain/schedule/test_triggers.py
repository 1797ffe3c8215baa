"""Intervals, times of day, one instant; all kinds in storage; time zones by name."""

import json
from datetime import UTC, datetime, time, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from enfila.core.domain.errors import InvalidRequest, UnknownTimeZone
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.core.domain.schedule.triggers.once import Once
from enfila.core.domain.schedule.triggers.times_of_day import TimesOfDay
from enfila.core.domain.schedule.triggers.trigger import Trigger, trigger_from_document
from enfila.core.domain.schedule.zones.time_zone import load_zone

UTC_ZONE = ZoneInfo("UTC")
NOON = datetime(2025, 3, 5, 12, tzinfo=UTC)  # a Wednesday
instants = st.integers(0, 3_000_000_000_000_000).map(
    lambda microseconds: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


@given(instants, instants, st.timedeltas(timedelta(seconds=1), timedelta(days=400)))
@settings(max_examples=50)
def test_an_interval_stays_on_its_anchor(anchor: datetime, now: datetime, every: timedelta) -> None:
    following = Interval(every, anchor).next_after(now, UTC_ZONE)
    assert following is not None
    assert following > now
    assert (following - anchor) % every == timedelta(0)
    assert following - every <= now or following == anchor


def test_without_an_anchor_five_minutes_are_those_of_the_clock() -> None:
    assert Interval(300).next_after(NOON + timedelta(seconds=1), UTC_ZONE) == NOON + timedelta(
        minutes=5
    )


def test_after_completion_counts_from_the_end_of_the_run() -> None:
    end = NOON + timedelta(seconds=17)
    assert AfterCompletion(60).next_after(end, UTC_ZONE) == end + timedelta(minutes=1)


def test_once_is_once() -> None:
    trigger = Once(NOON.astimezone(timezone(timedelta(hours=3))))
    assert trigger.at.tzinfo is UTC
    assert trigger.next_after(NOON - timedelta(seconds=1), UTC_ZONE) == NOON
    assert trigger.next_after(NOON, UTC_ZONE) is None


def test_times_of_day_on_weekdays_leave_out_the_weekend() -> None:
    trigger = TimesOfDay(at=["18:30", "12:00"], days="mon-fri")
    zone = ZoneInfo("America/Sao_Paulo")
    tick: datetime | None = datetime(2025, 3, 7, 12, tzinfo=UTC)  # Friday, 09:00
    found = []
    for _ in range(3):
        assert tick is not None
        tick = trigger.next_after(tick, zone)
        assert tick is not None
        found.append(f"{tick.astimezone(zone):%a %H:%M}")
    assert found == ["Fri 12:00", "Fri 18:30", "Mon 12:00"]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ("daily", "at 12:00 every day"),
        ("mon-fri", "at 12:00 on Monday to Friday"),
        ("mon,wed", "at 12:00 on Monday and Wednesday"),
        (["sat", "Sunday"], "at 12:00 on Saturday and Sunday"),
        ("fri-mon", "at 12:00 on Monday, Friday, Saturday and Sunday"),
    ],
)
def test_days_are_words(days: str, words: str) -> None:
    assert TimesOfDay(at=time(12), days=days).in_words() == words


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (300, "every 5 minutes"),
        (timedelta(days=1, hours=1, seconds=1.5), "every 1 day 1 hour 1.5 seconds"),
    ],
)
def test_an_interval_in_words(every: Any, words: str) -> None:
    assert Interval(every).in_words() == words


TRIGGERS: list[Trigger] = [
    Cron("0 0 * * fri#2"),
    Interval(2.5, NOON),
    AfterCompletion(timedelta(days=2)),
    TimesOfDay(["07:00:30", "18:30"], "sat,sun"),
    Once(NOON + timedelta(microseconds=7)),
]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger.kind)
def test_a_trigger_survives_storage_as_json(trigger: Trigger) -> None:
    stored = json.loads(json.dumps(trigger.to_document()))
    assert trigger_from_document(stored) == trigger
    assert hash(trigger_from_document(stored)) == hash(trigger)
    assert trigger.in_words()


@pytest.mark.parametrize("trigger", TRIGGERS[:4], ids=lambda trigger: trigger.kind)
def test_ticks_rise(trigger: Trigger) -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    ticks = [datetime(2025, 4, 4, tzinfo=UTC)]
    for _ in range(50):
        following = trigger.next_after(ticks[-1], zone)
        assert following is not None
        ticks.append(following)
    assert all(earlier < later for earlier, later in pairwise(ticks))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Interval(0), r"interval\.every: 0 is not allowed; .* more than 0"),
        (lambda: Interval(0.5), r"interval\.every: 0.5 .* at least one second"),
        (lambda: Interval(-5), r"interval\.every: -5"),
        (lambda: AfterCompletion(timedelta(0)), r"after_completion\.every"),
        (lambda: Interval(5, datetime(2025, 1, 1)), r"interval\.anchor: .* aware"),  # noqa: DTZ001
        (lambda: Once(datetime(2025, 1, 1)), r"once\.at: .* aware"),  # noqa: DTZ001
        (lambda: TimesOfDay([]), r"times_of_day\.at: \[\] .* 1 to 100 times"),
        (lambda: TimesOfDay("24:00"), r"times_of_day\.at: '24:00' .* 00:00 to 23:59:59"),
        (lambda: TimesOfDay("noon"), r"times_of_day\.at: 'noon'"),
        (lambda: TimesOfDay(time(12, tzinfo=UTC)), r"times_of_day\.at"),
        (lambda: TimesOfDay("12:00", "mon-foo"), r"times_of_day\.days: 'foo' .*'daily'"),
        (lambda: TimesOfDay("12:00", ""), r"times_of_day\.days: ''"),
        (
            lambda: trigger_from_document({"kind": "moon"}),
            r"trigger\.kind: 'moon' .* cron, interval",
        ),
        (
            lambda: trigger_from_document({"kind": "once", "at": "noon"}),
            r"trigger: .* other values",
        ),
        (
            lambda: trigger_from_document({"kind": "once", "at": 12}),
            r"other values: .* must be str",
        ),
        (
            lambda: trigger_from_document({"kind": "cron"}),
            r"trigger: .* a trigger cron has 'expression'",
        ),
    ],
)
def test_a_wrong_trigger_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        make()


# ── time zones ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("America/Sao_Paolo", "America/Sao_Paulo"),
        ("america/new york", "America/New_York"),
        ("Berlin", "Europe/Berlin"),
        ("Europe/Kathmandu", "Asia/Kathmandu"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest_match(name: str, nearest: str) -> None:
    with pytest.raises(UnknownTimeZone, match=f"time_zone: .* did you mean '{nearest}'"):
        load_zone(name)


@pytest.mark.parametrize("name", ["", "America", "/etc/passwd", "../UTC", "Mars/Olympus", None, 3])
def test_what_is_no_zone_at_all_is_refused_too(name: Any) -> None:
    with pytest.raises(UnknownTimeZone, match=r"time_zone: .* such as 'Europe/Berlin'"):
        load_zone(name)
