"""What people are shown before a schedule runs, and the times of its past."""

from datetime import UTC, datetime, timedelta

import pytest

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.preview import backfill_times, preview
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.core.domain.schedule.triggers.trigger import Trigger


def definition(trigger: Trigger, zone: str = "UTC") -> ScheduleDefinition:
    return ScheduleDefinition("report", Target.of("job"), trigger, time_zone=zone)


def shown(trigger: Trigger, zone: str, start: str, count: int) -> list[tuple[str, str | None]]:
    now = datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = preview(definition(trigger, zone), now, count)
    assert all(each.utc == each.local.astimezone(UTC) for each in found.times)
    return [(f"{each.local:%H:%M}", each.mark) for each in found.times]


def test_a_time_moved_by_the_gap_is_marked() -> None:
    cron = Cron("30 1,2,3 * * *")
    assert shown(Cron("30 2 * * *"), "America/New_York", "2025-03-08T00:00", 3) == [
        ("02:30", None),
        ("03:30", "moved by the gap of 60 min"),
        ("02:30", None),
    ]
    assert shown(cron, "America/New_York", "2025-03-09T05:00", 2) == [
        ("01:30", None),
        ("03:30", None),
    ]


def test_half_an_hour_is_half_an_hour() -> None:
    assert shown(Cron("15 2 * * *"), "Australia/Lord_Howe", "2025-10-04T10:00", 1) == [
        ("02:45", "moved by the gap of 30 min")
    ]


@pytest.mark.parametrize("trigger", [Cron("*/30 * * * *"), Interval(1800)])
def test_both_passes_are_marked(trigger: Trigger) -> None:
    assert shown(trigger, "Europe/Berlin", "2025-10-26T00:00", 4) == [
        ("02:30", "first pass"),
        ("02:00", "second pass"),
        ("02:30", "second pass"),
        ("03:00", None),
    ]


def test_a_fixed_time_is_shown_in_its_one_pass() -> None:
    assert shown(Cron("30 2 * * *"), "Europe/Berlin", "2025-10-25T20:00", 2) == [
        ("02:30", "first pass"),
        ("02:30", None),
    ]


def test_a_preview_has_words_and_ends_with_the_schedule() -> None:
    now = datetime(2025, 3, 5, 12, tzinfo=UTC)
    bounded = ScheduleDefinition(
        "report", Target.of("job"), Cron("@hourly"), end_at=now + timedelta(hours=2)
    )
    found = preview(bounded, now)
    assert (found.words, found.time_zone, len(found.times)) == (
        "at minute 0 of every hour",
        "UTC",
        2,
    )
    assert len(preview(definition(AfterCompletion(60)), now).times) == 1


@pytest.mark.parametrize("count", [0, 1_001, True])
def test_a_preview_is_bounded(count: int) -> None:
    with pytest.raises(InvalidRequest, match=r"count: .* give a whole number from 1 to 1,000"):
        preview(definition(Cron("@hourly")), datetime(2025, 3, 5, tzinfo=UTC), count)


def test_a_backfill_has_the_times_from_start_to_before_end() -> None:
    day = datetime(2025, 3, 5, tzinfo=UTC)
    times = backfill_times(definition(Cron("0 */6 * * *")), day, day + timedelta(days=1))
    assert [each.hour for each in times] == [0, 6, 12, 18]


@pytest.mark.parametrize(
    ("trigger", "days", "message"),
    [
        (Cron("* * * * *"), 8, r"end: .* at most 10,000 times"),
        (Cron("@daily"), -1, r"end: .* or later"),
        (AfterCompletion(60), 1, r"trigger: 'after_completion' .* follow from runs"),
    ],
)
def test_a_backfill_that_makes_no_sense_is_refused(
    trigger: Trigger, days: int, message: str
) -> None:
    day = datetime(2025, 3, 5, tzinfo=UTC)
    with pytest.raises(InvalidRequest, match=message):
        backfill_times(definition(trigger), day, day + timedelta(days=days))
