"""The table of moves, compared with a second copy of it that is written out here."""

from itertools import product

import pytest

from enfila.core.domain.job.state import (
    CLAIMABLE,
    FINAL,
    INITIAL,
    MOVES,
    UNFINISHED,
    JobState,
    Reason,
    may_move,
    sources,
)

# from -> to -> when
DESIGN: dict[str, dict[str, set[str]]] = {
    "delayed": {
        "waiting": {"due", "promoted"},
        "active": {"claimed"},
        "cancelled": {"cancelled", "expired"},
    },
    "waiting": {"active": {"claimed"}, "cancelled": {"cancelled", "expired"}},
    "blocked": {
        "waiting": {"unblocked"},
        "delayed": {"unblocked"},
        "cancelled": {"cancelled", "expired"},
    },
    "active": {
        "completed": {"completed"},
        "delayed": {"retrying", "snoozed"},
        # A snooze without a delay has nothing to wait for.
        "waiting": {"retrying", "snoozed", "released", "recovered"},
        "failed": {"out of attempts", "unrecoverable", "stalled too often"},
        "cancelled": {"cancelled"},
    },
    "completed": {"waiting": {"retried"}},
    "failed": {"waiting": {"retried"}},
    "cancelled": {"waiting": {"retried"}},
}


@pytest.mark.parametrize(("source", "target"), list(product(JobState, JobState)))
def test_the_table_of_moves_is_that_of_the_design(source: JobState, target: JobState) -> None:
    allowed = {reason.value for reason in Reason if may_move(reason, source, target)}
    assert allowed == DESIGN.get(source.value, {}).get(target.value, set())


def test_every_reason_moves_something() -> None:
    assert set(MOVES) == set(Reason)
    assert all(MOVES.values())


def test_the_states_fall_into_their_groups() -> None:
    assert {"completed", "failed", "cancelled"} == FINAL
    assert {"waiting", "delayed", "blocked", "active"} == UNFINISHED
    assert {"waiting", "delayed"} == CLAIMABLE
    assert {"waiting", "delayed", "blocked"} == INITIAL


@pytest.mark.parametrize("state", JobState)
def test_a_final_state_is_left_by_hand_alone(state: JobState) -> None:
    reasons = {reason for reason in Reason for source, _ in MOVES[reason] if source is state}
    assert state.is_final == (reasons == {Reason.RETRIED})


def test_sources_are_told_in_the_order_of_a_jobs_life() -> None:
    assert sources(Reason.CANCELLED) == (
        JobState.WAITING,
        JobState.DELAYED,
        JobState.BLOCKED,
        JobState.ACTIVE,
    )
    assert sources(Reason.PROMOTED) == (JobState.DELAYED,)
