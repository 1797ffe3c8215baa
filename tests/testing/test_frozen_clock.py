from datetime import UTC, datetime, timedelta, timezone

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


def test_it_does_not_go_back() -> None:
    with pytest.raises(InvalidRequest, match="length: -1 is not allowed"):
        FrozenClock().advance(-1)


def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"start: .* aware datetime"):
        FrozenClock(datetime(2026, 1, 1))  # noqa: DTZ001
