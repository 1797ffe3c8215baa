"""What becomes of an addition whose key is held: the decision alone."""

from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.policies.deduplication import (
    Decision,
    Deduplication,
    DeduplicationMode,
    KeyHolder,
)
from enfila.core.domain.job.state import FINAL, JobState
from enfila.testing.frozen_clock import BEGINNING

NOW = BEGINNING
LATER = NOW + timedelta(seconds=1)

PENDING = (JobState.WAITING, JobState.DELAYED, JobState.BLOCKED)

# What an addition does while a job in this state holds the key.
DECISIONS: dict[DeduplicationMode, dict[JobState, Decision]] = {
    DeduplicationMode.IGNORE: {
        **dict.fromkeys(PENDING, Decision.RETURN_HOLDER),
        JobState.ACTIVE: Decision.RETURN_HOLDER,
    },
    DeduplicationMode.REPLACE: {
        **dict.fromkeys(PENDING, Decision.REPLACE),
        JobState.ACTIVE: Decision.RETURN_HOLDER,
    },
    DeduplicationMode.DEBOUNCE: {
        JobState.WAITING: Decision.POSTPONE,
        JobState.DELAYED: Decision.POSTPONE,
        JobState.BLOCKED: Decision.RETURN_HOLDER,
        JobState.ACTIVE: Decision.RETURN_HOLDER,
    },
    DeduplicationMode.KEEP_LAST: {
        **dict.fromkeys(PENDING, Decision.REPLACE),
        JobState.ACTIVE: Decision.FOLLOW,
    },
}


def decide(
    mode: DeduplicationMode, state: JobState | None, free_at: datetime | None = None
) -> Decision:
    """The decision about an addition, given the state of the job that the key was given to."""
    return Deduplication("key", mode).decide(KeyHolder(JobId("holder"), state, free_at), NOW)


@pytest.mark.parametrize("mode", DeduplicationMode)
def test_a_key_that_nobody_took_is_free(mode: DeduplicationMode) -> None:
    assert Deduplication("key", mode).decide(None, NOW) is Decision.ADD


@pytest.mark.parametrize(
    ("mode", "state"),
    [(mode, state) for mode, states in DECISIONS.items() for state in states],
)
def test_an_unfinished_job_holds_its_key(mode: DeduplicationMode, state: JobState) -> None:
    assert decide(mode, state) is DECISIONS[mode][state]


@pytest.mark.parametrize(
    ("mode", "state"), list(product(DeduplicationMode, [*sorted(FINAL), None]))
)
def test_a_final_or_removed_job_holds_no_key(
    mode: DeduplicationMode, state: JobState | None
) -> None:
    assert decide(mode, state) is Decision.ADD


@pytest.mark.parametrize(("mode", "state"), list(product(DeduplicationMode, [*JobState, None])))
def test_a_key_whose_time_is_over_is_free(mode: DeduplicationMode, state: JobState | None) -> None:
    assert decide(mode, state, free_at=NOW) is Decision.ADD


@pytest.mark.parametrize(
    ("mode", "state"), list(product(DeduplicationMode, [*sorted(FINAL), None]))
)
def test_a_key_whose_time_is_not_over_is_held_by_a_job_that_ended(
    mode: DeduplicationMode, state: JobState | None
) -> None:
    """Nothing can be changed about such a job, and nothing may wait behind it."""
    assert decide(mode, state, free_at=LATER) is Decision.RETURN_HOLDER


@pytest.mark.parametrize(
    ("mode", "state"),
    [(mode, state) for mode, states in DECISIONS.items() for state in states],
)
def test_a_time_changes_nothing_while_the_job_is_unfinished(
    mode: DeduplicationMode, state: JobState
) -> None:
    assert decide(mode, state, free_at=LATER) is DECISIONS[mode][state]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b", None, 7])
def test_a_wrong_key_is_refused(key: Any) -> None:
    for make in (Deduplication.while_unfinished, Deduplication.replace, Deduplication.keep_last):
        with pytest.raises(InvalidRequest, match=r"deduplication\.key: .* 1 to 255 characters"):
            make(key)


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), "1"])
def test_a_wrong_time_is_refused(ttl: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"deduplication\.ttl: .* more than 0"):
        Deduplication.for_time("key", ttl)


@pytest.mark.parametrize(
    "rule",
    [
        Deduplication.while_unfinished("k"),
        Deduplication.for_time("k", 1.5),
        Deduplication.replace("k"),
        Deduplication.debounce("k"),
        Deduplication.keep_last("k"),
    ],
)
def test_a_rule_survives_storage(rule: Deduplication) -> None:
    assert Deduplication.from_json(rule.to_json()) == rule
