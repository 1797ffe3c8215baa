"""Cron's times beside two others: a scanner that looks at every minute, and cronsim."""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import assume, given, settings, strategies as st

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.zones.offset_changes import shifts_between

ZONES = [
    "America/Sao_Paulo",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "UTC",
]
ONE_VALUE = re.compile(r"\b(\d+)-\1\b(/\d+)?")
WEEKDAY_NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"]
BOUNDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
# The changes of the clocks and the ends of February; anywhere else is as any day.
MOMENTS = [
    "2018-11-03T12:00",
    "2019-02-16T12:00",
    "2024-02-28T12:00",
    "2024-04-06T03:00",
    "2025-03-08T20:00",
    "2025-03-29T12:00",
    "2026-10-03T09:00",
    "2027-10-30T18:00",
    "2028-11-04T18:00",
    "2030-12-31T20:00",
]
moments = st.builds(
    lambda text, minutes: (
        datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    st.sampled_from(MOMENTS),
    st.integers(0, 1500),
)


# ── expressions ──────────────────────────────────────────────────────────────────────────────


@st.composite
def terms(draw: st.DrawFn, field: str) -> str:
    low, high = BOUNDS[field]
    first = draw(st.integers(low, high))
    kind = draw(st.sampled_from(["value", "value", "range", "step", "stepped range", "special"]))
    match kind:
        case "range":
            return f"{first}-{draw(st.integers(first, high))}"
        case "step":
            return f"*/{draw(st.integers(1, high - low))}"
        case "stepped range":
            last = draw(st.integers(first, high))
            return f"{first}-{last}/{draw(st.integers(1, high - low))}"
        case "special" if field == "day":
            return "L"
        case "special" if field == "weekday":
            return WEEKDAY_NAMES[first]
        case _:
            return str(first)


def lists(field: str, most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(terms(field), min_size=1, max_size=most).map(",".join)


special_weekdays = st.builds(
    lambda day, end: f"{day}{end}", st.integers(0, 7), st.sampled_from(["#1", "#3", "#5", "L"])
)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    minute = draw(lists("minute") | st.just("*"))
    hour = draw(lists("hour") | st.just("*"))
    day = draw(st.just("*") | lists("day"))
    month = draw(st.just("*") | st.just("*") | lists("month"))
    weekday = draw(st.just("*") | lists("weekday") | special_weekdays)
    return f"{minute} {hour} {day} {month} {weekday}"


# ── a scanner that looks at every minute ─────────────────────────────────────────────────────


def values(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        if span in WEEKDAY_NAMES:
            span = str(WEEKDAY_NAMES.index(span))
        first, _, last = span.partition("-")
        if span == "*":
            first, last = str(low), str(high)
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def matches(expression: str, wall: datetime) -> bool:
    minute, hour, day, month, weekday = expression.split()
    if wall.minute not in values(minute, 0, 59) or wall.hour not in values(hour, 0, 23):
        return False
    if wall.month not in values(month, 1, 12):
        return False
    by_day, by_weekday = day_matches(day, wall), weekday_matches(weekday, wall)
    if day.startswith("*") or weekday.startswith("*"):
        return by_day and by_weekday
    return by_day or by_weekday


def day_matches(text: str, wall: datetime) -> bool:
    numbers = ",".join(term for term in text.split(",") if term != "L")
    if "L" in text.split(",") and wall.day == monthrange(wall.year, wall.month)[1]:
        return True
    return bool(numbers) and wall.day in values(numbers, 1, 31)


def weekday_matches(text: str, wall: datetime) -> bool:
    number = (wall.weekday() + 1) % 7
    if text.endswith("L"):
        return number == int(text[:-1]) % 7 and (wall + timedelta(days=7)).month != wall.month
    if "#" in text:
        day, _, count = text.partition("#")
        return number == int(day) % 7 and (wall.day - 1) // 7 + 1 == int(count)
    return number in {value % 7 for value in values(text, 0, 6)}


def has_rhythm(expression: str) -> bool:
    """Whether the minute or the hour has a wildcard, a step or a range; `5-5` is a value."""
    return bool(set("*/-") & set(ONE_VALUE.sub(r"\1", " ".join(expression.split()[:2]))))


def scanned(expression: str, start: datetime, zone: ZoneInfo, hours: int) -> list[datetime]:
    """The ticks of some hours after `start`, by looking at every minute of them."""
    is_rhythm = has_rhythm(expression)
    found = set()
    # A minute of a gap is found up to its length before it is due.
    for minute in range(-60, hours * 60 + 1):
        instant = start + timedelta(minutes=minute)
        local = instant.astimezone(zone)
        if matches(expression, local.replace(tzinfo=None)) and (is_rhythm or not local.fold):
            found.add(instant)
        before = (instant - timedelta(hours=1)).astimezone(zone).utcoffset()
        now = local.utcoffset()
        assert before is not None
        assert now is not None
        unmoved = (instant + before).replace(tzinfo=None)
        is_within_gap = (
            now > before
            and unmoved.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None)
            != unmoved
        )
        if is_within_gap and not is_rhythm and matches(expression, unmoved):
            found.add(instant)
    return sorted(each for each in found if start < each <= start + timedelta(hours=hours))


def ticks(cron: Cron, start: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    tick = cron.next_after(start, zone)
    while tick is not None:
        yield tick
        tick = cron.next_after(tick, zone)


def cron_or_reject(expression: str) -> Cron:
    """The expression, unless no date can match it (30 February)."""
    try:
        return Cron(expression)
    except ValueError as refusal:
        assume("no date can ever match" not in str(refusal))
        raise


@settings(max_examples=30)
@given(expressions(), moments, st.sampled_from(ZONES))
def test_no_minute_is_missed_and_none_too_many(
    expression: str, start: datetime, zone_name: str
) -> None:
    zone, hours = ZoneInfo(zone_name), 30
    end = start + timedelta(hours=hours)
    found = []
    for tick in ticks(cron_or_reject(expression), start, zone):
        if tick > end:
            break
        found.append(tick)
    assert found == scanned(expression, start, zone, hours)


# ── cronsim ──────────────────────────────────────────────────────────────────────────────────


HOUR = timedelta(hours=1)
SAME_START = re.compile(r"\b(\d+)-\1/")


@settings(max_examples=60)
@given(expressions(), moments)
def test_where_no_clock_is_moved_cronsim_agrees(expression: str, start: datetime) -> None:
    assume(not SAME_START.search(expression))  # a difference that the documents list
    mine = islice(ticks(cron_or_reject(expression), start, ZoneInfo("UTC")), 5)
    assert [*mine] == [*islice(CronSim(expression, start), 5)]


@settings(max_examples=60)
@given(lists("minute"), lists("hour"), moments, st.sampled_from(ZONES))
def test_where_clocks_are_moved_cronsim_agrees_but_for_the_listed_differences(
    minute: str, hour: str, start: datetime, zone_name: str
) -> None:
    zone, expression = ZoneInfo(zone_name), f"{minute} {hour} * * *"
    is_rhythm = has_rhythm(expression)
    # Its rhythms begin with `*`, ours may also be ranges and steps of them.
    assume(not is_rhythm or minute.startswith("*") or hour.startswith("*"))
    assume(not SAME_START.search(expression))
    mine = [*islice(ticks(Cron(expression), start, zone), 6)]
    shifts = shifts_between(start - timedelta(days=1), mine[-1] + timedelta(days=1), zone)
    # It moves a fixed time to the end of the gap, not by the gap, and steps over half an hour.
    differs = [each.length != HOUR if is_rhythm else each.is_gap for each in shifts]
    assume(not any(differs))
    others = islice(CronSim(expression, start.astimezone(zone)), 6)
    assert mine == [each.astimezone(UTC) for each in others]


def days_and_times(found: Iterator[datetime], zone: ZoneInfo) -> list[str]:
    return [f"{each.astimezone(zone):%d %H:%M}" for each in islice(found, 3)]


@pytest.mark.parametrize(
    ("expression", "zone_name", "start", "ours", "theirs"),
    [
        (
            "30 2 * * *",
            "America/New_York",
            "2025-03-09T05:00",
            ["09 03:30", "10 02:30", "11 02:30"],
            ["09 03:00", "10 02:30", "11 02:30"],
        ),
        (
            "0,30 2 * * *",
            "America/New_York",
            "2025-03-09T05:00",
            ["09 03:00", "09 03:30", "10 02:00"],
            ["09 03:00", "10 02:00", "10 02:30"],
        ),
        (
            "0-30/15 2 * * *",
            "America/New_York",
            "2025-03-09T05:00",
            ["10 02:00", "10 02:15", "10 02:30"],
            ["09 03:00", "10 02:00", "10 02:15"],
        ),
        (
            "0 1-3 * * *",
            "America/New_York",
            "2025-11-02T04:30",
            ["02 01:00", "02 01:00", "02 02:00"],
            ["02 01:00", "02 02:00", "02 03:00"],
        ),
        (
            "15 30 2 * * *",
            "America/New_York",
            "2025-03-09T05:00",
            ["09 03:30", "10 02:30", "11 02:30"],
            ["10 02:30", "11 02:30", "12 02:30"],
        ),
        (
            "15 30 1 * * *",
            "America/New_York",
            "2025-11-02T04:30",
            ["02 01:30", "03 01:30", "04 01:30"],
            ["02 01:30", "02 01:30", "03 01:30"],
        ),
        (
            "0 */2 * * *",
            "Australia/Lord_Howe",
            "2024-04-06T12:00",
            ["07 00:00", "07 02:00", "07 04:00"],
            ["07 00:00", "07 04:00", "07 06:00"],
        ),
        (
            "0 12 * * 5/1",
            "UTC",
            "2025-03-05T05:00",
            ["07 12:00", "08 12:00", "14 12:00"],
            ["07 12:00", "08 12:00", "09 12:00"],
        ),
        (
            "0 12 * * 3-3/2",
            "UTC",
            "2025-03-05T05:00",
            ["05 12:00", "12 12:00", "19 12:00"],
            ["05 12:00", "07 12:00", "09 12:00"],
        ),
    ],
)
def test_the_differences_from_cronsim_that_the_documents_list(
    expression: str, zone_name: str, start: str, ours: list[str], theirs: list[str]
) -> None:
    zone = ZoneInfo(zone_name)
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert days_and_times(ticks(Cron(expression), begin, zone), zone) == ours
    assert days_and_times(CronSim(expression, begin.astimezone(zone)), zone) == theirs


@pytest.mark.parametrize("expression", ["0 12 * * sat-sun", "@daily", "0 12 * * L5"])
def test_what_cronsim_refuses_and_we_take(expression: str) -> None:
    _ = Cron(expression)
    with pytest.raises(CronSimError):
        CronSim(expression, datetime(2025, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "expression", ["*/70 12 * * *", "0 12 * * mon,fri#2", "0 12 LW * *", "0 12 L/2 * *"]
)
def test_what_cronsim_takes_and_we_refuse(expression: str) -> None:
    _ = CronSim(expression, datetime(2025, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidRequest):
        Cron(expression)
