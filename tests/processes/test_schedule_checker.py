"""The checker of the schedules' chaos finds what it looks for."""

from collections import Counter
from datetime import timedelta

import pytest

from enfila.core.domain.schedule.due import times_between
from enfila.core.domain.schedule.rules.misfire import CatchUp
from tests.processes.schedule_chaos import (
    START,
    WEEK,
    SchedulePlan,
    Times,
    definitions,
    violations,
)

GIVEN = list(definitions(SchedulePlan(seed=1, schedules=6)))
CATCHES_UP = next(each for each in GIVEN if each.misfire.catch_up is CatchUp.ALL)
DOES_NOT = next(each for each in GIVEN if each.misfire.catch_up is not CatchUp.ALL)


@pytest.fixture
def times() -> Times:
    return {
        each.slug: Counter(times_between(each, START + timedelta.resolution, START + WEEK))
        for each in GIVEN
    }


def test_a_whole_week_is_well(times: Times) -> None:
    assert violations(GIVEN, times, times) == []


def test_a_lost_tick_is_found_where_all_are_caught_up(times: Times) -> None:
    fewer = {slug: Counter(list(each)[:-1]) for slug, each in times.items()}
    found = violations(GIVEN, times, fewer)
    assert any(line.startswith(f"{CATCHES_UP.slug} lacks jobs") for line in found)
    assert not any(line.startswith(DOES_NOT.slug) for line in found)


def test_a_tick_that_was_made_twice_is_found(times: Times) -> None:
    first = next(iter(times[DOES_NOT.slug]))
    twice = {**times, DOES_NOT.slug: times[DOES_NOT.slug] + Counter([first])}
    assert violations(GIVEN, times, twice) == [
        f"{DOES_NOT.slug} has jobs twice: {first.isoformat()}"
    ]


def test_a_tick_that_no_rule_names_is_found(times: Times) -> None:
    foreign = {**times, DOES_NOT.slug: times[DOES_NOT.slug] + Counter([START])}
    [line] = violations(GIVEN, foreign, times)
    assert line.startswith(f"{DOES_NOT.slug} has runs that its rule does not name")
