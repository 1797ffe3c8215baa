"""Late ticks: which of them make jobs, and what is said of the others."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.rules.misfire import ON_TIME, CatchUp, Misfire
from enfila.core.domain.schedule.rules.tick import Advance, DropReason
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.triggers.interval import Interval

START = datetime(2025, 3, 5, 12, tzinfo=UTC)


def advance(misfire: Misfire, late: float, every: int = 60, max_runs: int | None = None) -> Advance:
    """What happens when the first tick, at START, is looked at so many seconds late."""
    definition = ScheduleDefinition(
        "backup", Target.of("job"), Interval(every, START), misfire=misfire, max_runs=max_runs
    )
    schedule = Schedule.new(definition, START - timedelta(seconds=1))
    assert schedule.next_run_at == START
    found = schedule.due(START + timedelta(seconds=late))
    assert found is not None
    return found


def minutes(found: Advance) -> list[float]:
    return [(tick.nominal - START).total_seconds() / 60 for tick in found.ticks]


TOO_LATE, SUPERSEDED, OVER_CAP = DropReason.TOO_LATE, DropReason.SUPERSEDED, DropReason.OVER_CAP


@pytest.mark.parametrize(
    ("misfire", "late", "kept", "dropped"),
    [
        # Nothing caught up: what is at most a minute late (or the grace) is not late.
        (Misfire("none"), 0, [0], []),
        (Misfire("none"), 60, [0, 1], []),
        (Misfire("none"), 61, [1], [(TOO_LATE, 1)]),
        (Misfire("none"), 600, [9, 10], [(TOO_LATE, 9)]),
        (Misfire("none", grace=10), 11, [], [(TOO_LATE, 1)]),
        (Misfire("none", grace=0), 0, [0], []),
        (Misfire("none", grace=0), 300, [5], [(TOO_LATE, 5)]),
        (Misfire("none", grace=150), 600, [8, 9, 10], [(TOO_LATE, 8)]),
        # The latest stands for all.
        (Misfire("latest"), 0, [0], []),
        (Misfire("latest"), 600, [10], [(SUPERSEDED, 10)]),
        (Misfire("latest", grace=30), 610, [10], [(TOO_LATE, 10)]),
        (Misfire("latest", grace=5), 610, [], [(TOO_LATE, 11)]),
        (Misfire("latest", grace=130), 610, [10], [(TOO_LATE, 8), (SUPERSEDED, 2)]),
        # Every one, up to the cap: the newest.
        (Misfire("all"), 0, [0], []),
        (Misfire("all"), 180, [0, 1, 2, 3], []),
        (Misfire("all", cap=2), 180, [2, 3], [(OVER_CAP, 2)]),
        (Misfire("all", grace=120), 180, [1, 2, 3], [(TOO_LATE, 1)]),
        (Misfire("all", grace=120, cap=1), 180, [3], [(TOO_LATE, 1), (OVER_CAP, 2)]),
    ],
)
def test_which_late_ticks_run(
    misfire: Misfire, late: int, kept: list[int], dropped: list[tuple[DropReason, int]]
) -> None:
    found = advance(misfire, late)
    assert minutes(found) == kept
    assert [(row.reason, row.count) for row in found.dropped] == dropped
    now = START + timedelta(seconds=late)
    assert found.next_run_at is not None
    assert now < found.next_run_at <= now + timedelta(minutes=1)
    assert found.last_nominal == found.next_run_at - timedelta(minutes=1)


@given(
    st.sampled_from(list(CatchUp)),
    st.none() | st.integers(0, 500),
    st.integers(1, 20),
    st.integers(0, 1000),
    st.integers(1, 90),
)
@settings(max_examples=100)
def test_every_due_tick_is_either_kept_or_dropped(
    catch_up: CatchUp, grace: int | None, cap: int, late: int, every: int
) -> None:
    found = advance(Misfire(catch_up, grace, cap), late, every)
    assert len(found.ticks) + sum(row.count for row in found.dropped) == late // every + 1
    assert len(found.ticks) <= cap
    # What is kept is the newest.
    assert all(row.last < tick.nominal for row in found.dropped for tick in found.ticks)


def test_a_year_of_seconds_is_not_walked_through() -> None:
    found = advance(Misfire("latest"), late=365 * 86_400, every=1)
    assert len(found.ticks) == 1
    (row,) = found.dropped
    assert (row.count, row.is_count_exact) == (1_000, False)
    assert row.first == START
    assert row.last == found.ticks[0].nominal - timedelta(seconds=1)
    assert found.ticks[0].previous == row.last


def test_the_last_runs_are_the_newest_ticks() -> None:
    found = advance(Misfire("all"), late=300, max_runs=2)
    assert minutes(found) == [4, 5]
    assert [row.reason for row in found.dropped] == [DropReason.OUT_OF_RUNS]
    assert found.next_run_at is None


def test_each_tick_knows_its_neighbours() -> None:
    first, second = advance(Misfire("all", cap=2), late=180).ticks
    minute = timedelta(minutes=1)
    assert (first.previous, first.nominal, first.next) == (
        START + minute,
        START + 2 * minute,
        START + 3 * minute,
    )
    assert (second.previous, second.next) == (first.nominal, START + 4 * minute)


def test_where_nothing_is_caught_up_a_minute_is_the_grace() -> None:
    assert Misfire("none").grace == ON_TIME
    assert Misfire().grace is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"catch_up": "some"}, r"misfire\.catch_up: 'some' .* none, latest, all"),
        ({"grace": -1}, r"misfire\.grace: -1"),
        ({"cap": 0}, r"misfire\.cap: 0 .* 1 to 10,000"),
        ({"cap": True}, r"misfire\.cap"),
    ],
)
def test_a_wrong_rule_for_late_ticks_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Misfire(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("misfire", [Misfire(), Misfire("none"), Misfire("all", 2.5, 7)])
def test_a_rule_for_late_ticks_survives_storage(misfire: Misfire) -> None:
    assert Misfire.from_document(misfire.to_document()) == misfire
