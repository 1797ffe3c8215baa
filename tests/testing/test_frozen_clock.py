from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from enfila.core.domain.errors import InvalidRequest
from enfila.testing import FrozenClock


def test_it_stands_still_until_it_is_moved() -> None:
    clock = FrozenClock()
    start = clock.now()
    assert clock.now() == start
    assert start.tzinfo is UTC
    assert clock.advance(1.5) == clock.now() == start + timedelta(seconds=1.5)
    clock.advance(timedelta(days=1))
    assert clock.now() == start + timedelta(days=1, seconds=1.5)


def test_it_starts_where_it_is_told() -> None:
    start = datetime(2020, 2, 29, 12, tzinfo=timezone(timedelta(hours=2)))
    clock = FrozenClock(start)
    assert clock.now() == start
    assert clock.now().tzinfo is UTC


def test_it_does_not_advance_back() -> None:
    with pytest.raises(InvalidRequest, match="length: -1 is not allowed"):
        FrozenClock().advance(-1)


def test_it_is_moved_to_any_instant() -> None:
    clock = FrozenClock()
    earlier = clock.now() - timedelta(hours=1)
    assert clock.move_to(earlier.astimezone(timezone(timedelta(hours=5)))) == earlier
    assert clock.now() == earlier
    assert clock.now().tzinfo is UTC
    assert clock.move_to(earlier + timedelta(days=400)) == earlier + timedelta(days=400)


@pytest.mark.parametrize("wrong", [None, 5, "2026-01-01", datetime(2026, 1, 1), datetime.max])  # noqa: DTZ001, DTZ901
def test_it_is_not_moved_to_what_is_no_instant(wrong: Any) -> None:
    clock = FrozenClock()
    with pytest.raises(InvalidRequest, match=r"^instant: "):
        clock.move_to(wrong)
    assert clock.now() == FrozenClock().now()


def test_it_does_not_leave_the_calendar() -> None:
    clock = FrozenClock(datetime(9950, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match=r"^length: .* out of the calendar"):
        clock.advance(timedelta(days=36_000))
    assert clock.now().year == 9950


def test_whoever_waits_is_told_of_each_move_until_it_stops() -> None:
    clock = FrozenClock()
    seen: list[datetime] = []
    stop = clock.on_move(lambda: seen.append(clock.now()))
    moves = [clock.advance(1), clock.move_to(clock.now() - timedelta(days=1)), clock.advance(0)]
    stop()
    stop()
    _ = clock.advance(5)
    assert seen == moves


def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"start: .* aware datetime"):
        FrozenClock(datetime(2026, 1, 1))  # noqa: DTZ001
