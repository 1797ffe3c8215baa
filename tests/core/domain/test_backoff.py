"""The exact waits of each backoff."""

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from enfila.core.domain.duration import LONGEST
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.policies.backoff import Backoff


def waits(backoff: Backoff, failures: int, chance: float = 0.0) -> list[float]:
    """The waits in seconds after each of the first failures."""
    return [
        backoff.delay_after(failure, chance).total_seconds() for failure in range(1, failures + 1)
    ]


def test_no_backoff_waits_not_at_all() -> None:
    assert waits(Backoff.none(), 3) == [0, 0, 0]


def test_a_fixed_backoff_is_always_the_same() -> None:
    assert waits(Backoff.fixed(2.5), 3) == [2.5, 2.5, 2.5]


def test_an_exponential_backoff_doubles() -> None:
    assert waits(Backoff.exponential(1), 5) == [1, 2, 4, 8, 16]


def test_an_exponential_backoff_grows_by_its_factor() -> None:
    assert waits(Backoff.exponential(0.5, factor=3), 4) == [0.5, 1.5, 4.5, 13.5]
    assert waits(Backoff.exponential(2, factor=1), 3) == [2, 2, 2]


def test_no_wait_is_longer_than_the_maximum() -> None:
    assert waits(Backoff.exponential(1, maximum=5), 5) == [1, 2, 4, 5, 5]
    assert waits(Backoff.exponential(9, maximum=5), 2) == [5, 5]
    assert waits(Backoff.exponential(9, maximum=0), 2) == [0, 0]


@pytest.mark.parametrize("failures", [100, 2_000, 1_000_000])
def test_waits_do_not_grow_beyond_what_a_calendar_holds(failures: int) -> None:
    assert Backoff.exponential(1).delay_after(failures, 0.0) == LONGEST
    assert Backoff.exponential(1, maximum=60).delay_after(failures, 0.0) == timedelta(minutes=1)
    assert Backoff.exponential(0).delay_after(failures, 0.0) == timedelta(0)


def test_jitter_takes_its_share_by_chance() -> None:
    backoff = Backoff.fixed(10, jitter=0.5)
    assert [backoff.delay_after(1, chance).total_seconds() for chance in (0, 0.5, 0.9)] == [
        10,
        7.5,
        5.5,
    ]
    full = Backoff.exponential(8, jitter=1)
    assert waits(full, 2, chance=0.75) == [2, 4]


def test_chance_does_not_matter_without_jitter() -> None:
    assert waits(Backoff.exponential(1), 3, chance=0.99) == [1, 2, 4]


def test_a_custom_backoff_is_left_to_the_worker() -> None:
    backoff = Backoff.custom("moon phase")
    assert backoff.name == "moon phase"
    assert waits(backoff, 2) == [0, 0]


@given(
    base=st.floats(0, 1e6),
    factor=st.floats(1, 1e6),
    maximum=st.none() | st.floats(0, 1e9),
    jitter=st.floats(0, 1),
    failures=st.integers(1, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_every_wait_lies_between_its_bounds(  # noqa: PLR0917 - drawn by name
    base: float,
    factor: float,
    maximum: float | None,
    jitter: float,
    failures: int,
    chance: float,
) -> None:
    backoff = Backoff.exponential(base, factor=factor, maximum=maximum, jitter=jitter)
    wait = backoff.delay_after(failures, chance)
    longest = LONGEST if maximum is None else min(LONGEST, timedelta(seconds=maximum))
    whole = backoff.delay_after(failures, 0.0)
    assert timedelta(0) <= wait <= whole <= longest
    assert wait >= whole * (1 - jitter) - timedelta(microseconds=1)


@given(st.floats(0, 1e6), st.floats(1, 1e300), st.none() | st.floats(0, 1e9), st.floats(0, 1))
def test_a_backoff_survives_storage_as_strict_json(
    base: float, factor: float, maximum: float | None, jitter: float
) -> None:
    backoff = Backoff.exponential(base, factor=factor, maximum=maximum, jitter=jitter)
    text = json.dumps(backoff.to_json(), allow_nan=False)
    assert Backoff.from_json(json.loads(text)) == backoff


@pytest.mark.parametrize(
    "backoff", [Backoff.none(), Backoff.fixed(3, jitter=0.1), Backoff.custom("mine")]
)
def test_the_other_kinds_survive_storage_too(backoff: Backoff) -> None:
    assert Backoff.from_json(json.loads(json.dumps(backoff.to_json()))) == backoff


@pytest.mark.parametrize("jitter", [-0.1, 1.1, math.nan, True, "half"])
def test_jitter_outside_its_range_is_refused(jitter: Any) -> None:
    for make in (Backoff.fixed, Backoff.exponential):
        with pytest.raises(InvalidRequest, match=r"backoff\.jitter: .* a number from 0 to 1"):
            make(1, jitter=jitter)


@pytest.mark.parametrize("factor", [0.5, 0, -1, math.nan, math.inf, 10**400, True, "2"])
def test_a_factor_that_is_no_finite_growth_is_refused(factor: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"backoff\.factor: .* a finite number of at least 1"):
        Backoff.exponential(1, factor=factor)


@pytest.mark.parametrize("length", [-1, math.inf, math.nan, "1", None])
def test_lengths_that_are_none_are_refused(length: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"backoff\.delay"):
        Backoff.fixed(length)
    with pytest.raises(InvalidRequest, match=r"backoff\.base"):
        Backoff.exponential(length)


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_custom_backoff_needs_a_name(name: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"backoff\.name"):
        Backoff.custom(name)
