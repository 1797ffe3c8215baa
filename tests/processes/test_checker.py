"""The checker finds what is wrong in histories that were made wrong by hand, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.processes.checker import History, Stored, StoredJob, StoredRun, violations
from tests.processes.history import (
    Added,
    Blow,
    Completed,
    Ended,
    Ending,
    Finished,
    Lost,
    Manner,
    Offered,
    Record,
    Refused,
    Started,
    Struck,
    Troubled,
)


class Tale:
    """A history that is told step by step, a second each."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now = 0.0

    def publish(self, kind: type[Record], process: str, **facts: Any) -> None:
        self.now += 1
        self.records.append(kind(process=process, at=self.now, **facts))

    def offered(self, group: str = "g", size: int = 1, manner: Manner = Manner.ALONE) -> None:
        self.publish(Offered, "adder", group=group, size=size, manner=manner)

    def added(self, *jobs: str, group: str = "g") -> None:
        self.publish(Added, "adder", group=group, jobs=list(jobs))

    def started(self, process: str, token: int, *, job: str = "a", **facts: Any) -> None:
        given = {"attempt": 1, "max_attempts": 3, "worker": process, "not_before": 0.0, **facts}
        self.publish(Started, process, job=job, token=token, **given)

    def finished(
        self, process: str, token: int, ending: Ending = Ending.RETURNED, job: str = "a"
    ) -> None:
        self.publish(Finished, process, job=job, token=token, ending=ending)

    def completed(self, process: str, token: int, *, job: str = "a") -> None:
        self.publish(Completed, process, job=job, token=token)

    def lost(self, process: str, *, job: str = "a") -> None:
        self.publish(Lost, process, job=job, worker=process)

    def ended(self, *processes: str) -> None:
        for process in processes:
            self.publish(Ended, process)

    def struck(self, target: str, blow: Blow) -> None:
        self.publish(Struck, "blows", target=target, blow=blow)

    def run(self, process: str, token: int, *, job: str = "a") -> None:
        """A whole run that is accepted."""
        self.started(process, token, job=job)
        self.finished(process, token, job=job)
        self.completed(process, token, job=job)

    def violations(self, *jobs: StoredJob, **facts: Any) -> list[str]:
        return violations(History(records=self.records), stored(*jobs, **facts))


def stored(*jobs: StoredJob, **facts: Any) -> Stored:
    counters: dict[str, int] = {}
    for job in jobs:
        counters[job.state] = counters.get(job.state, 0) + 1
    return Stored(jobs=jobs, **{"counters": counters, **facts})


def run(token: int, outcome: str, *, started_at: float = 0.0) -> StoredRun:
    return StoredRun(token=token, number=1, outcome=outcome, started_at=started_at)


DONE = StoredJob(
    id="a", group="g", state="completed", max_attempts=3, token=1, result_token=1, finished_at=4.5
)
TWICE = replace(DONE, token=2, result_token=2, runs=[run(1, "stalled")])


@pytest.fixture
def tale() -> Tale:
    """One job was added."""
    tale = Tale()
    tale.offered()
    tale.added("a")
    return tale


# ── what is well ─────────────────────────────────────────────────────────────────────────────


def test_a_plain_run_is_well(tale: Tale) -> None:
    tale.run("w", 1)
    tale.ended("w")
    assert tale.violations(DONE) == []


def test_a_killed_worker_and_a_second_run_are_well(tale: Tale) -> None:
    tale.started("w", 1)
    tale.struck("w", Blow.KILL)
    tale.run("v", 2)
    tale.ended("v")
    assert tale.violations(TWICE) == []


def test_a_completion_that_nobody_was_told_of_is_well(tale: Tale) -> None:
    """Killed between the commit and the event."""
    tale.started("w", 1)
    tale.finished("w", 1)
    tale.struck("w", Blow.KILL)
    assert tale.violations(DONE) == []


def test_a_stopped_worker_that_is_refused_is_well(tale: Tale) -> None:
    tale.started("w", 1)
    tale.struck("w", Blow.STOP)
    tale.run("v", 2)
    tale.struck("w", Blow.CONTINUE)
    tale.finished("w", 1)
    tale.lost("w")
    tale.ended("w", "v")
    assert tale.violations(TWICE) == []


def test_one_late_start_for_each_stop_is_well(tale: Tale) -> None:
    tale.struck("w", Blow.STOP)
    tale.run("v", 2)
    tale.struck("w", Blow.CONTINUE)
    tale.started("w", 1)
    assert tale.violations(TWICE) == []


def test_failures_and_retries_are_well(tale: Tale) -> None:
    tale.started("w", 1)
    tale.finished("w", 1, Ending.RAISED)
    tale.started("w", 2, attempt=2)
    tale.finished("w", 2, Ending.CANCELLED)
    tale.started("v", 3, attempt=2)
    tale.finished("v", 3, Ending.RAISED)
    tale.ended("v", "w")
    runs = [run(1, "failed"), run(2, "released"), run(3, "failed")]
    job = replace(
        DONE, state="failed", expected="failed", attempt=2, token=3, result_token=None, runs=runs
    )
    assert tale.violations(job) == []


def test_groups_that_came_and_went_as_a_whole_are_well(tale: Tale) -> None:
    tale.run("w", 1)
    tale.offered("b", 2, Manner.ROLLED_BACK)
    tale.offered("c", 1, Manner.COMMITTED)
    tale.offered("d", 1, Manner.COMMITTED)
    tale.run("w", 1, job="c")
    tale.offered("e")
    tale.publish(Refused, "adder", group="e", uncertain=False, error="")
    assert tale.violations(DONE, replace(DONE, id="c", group="c"), orders=frozenset("c")) == []


# ── what is not ──────────────────────────────────────────────────────────────────────────────


def test_a_lost_job_is_found(tale: Tale) -> None:
    assert tale.violations() == [
        "a was accepted (group g) and is gone",
        "group g: 0 of 1 jobs are there, and they are not the ones accepted",
    ]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_wrong_end_is_found(tale: Tale, state: str) -> None:
    tale.started("w", 1)
    job = replace(DONE, state=state, result_token=None, runs=[run(1, "failed")])
    assert tale.violations(job) == [f"a is {state}, it has to be completed"]


@pytest.mark.parametrize("state", ["waiting", "delayed", "active"])
def test_a_job_without_an_end_is_found(tale: Tale, state: str) -> None:
    job = replace(DONE, state=state, token=0, result_token=None)
    assert f"1 job(s) are still {state}" in tale.violations(job)


def test_a_half_added_group_is_found(tale: Tale) -> None:
    tale.run("w", 1)
    tale.offered("b", 2)
    tale.run("w", 1, job="b")
    assert tale.violations(DONE, replace(DONE, id="b", group="b")) == [
        "group b: 1 of 2 jobs are there"
    ]


@pytest.mark.parametrize(
    ("manner", "orders", "complaint"),
    [
        (Manner.ROLLED_BACK, "", "though its transaction was rolled back"),
        (Manner.COMMITTED, "", "unlike the row that the caller wrote with them"),
    ],
)
def test_a_job_without_its_transaction_is_found(
    tale: Tale, manner: Manner, orders: str, complaint: str
) -> None:
    tale.run("w", 1)
    tale.offered("b", 1, manner)
    tale.run("w", 1, job="b")
    job = replace(DONE, id="b", group="b")
    found = tale.violations(DONE, job, orders=frozenset(orders))
    assert found == [f"group b: 1 of 1 jobs are there, {complaint}"]


def test_a_transaction_without_its_job_is_found(tale: Tale) -> None:
    tale.run("w", 1)
    tale.offered("b", 1, Manner.COMMITTED)
    assert tale.violations(DONE, orders=frozenset("b")) == [
        "group b: 0 of 1 jobs are there, unlike the row that the caller wrote with them"
    ]


def test_a_job_that_was_refused_and_is_there_is_found(tale: Tale) -> None:
    tale.run("w", 1)
    tale.offered("b")
    tale.publish(Refused, "adder", group="b", uncertain=False, error="")
    tale.run("w", 1, job="b")
    assert tale.violations(DONE, replace(DONE, id="b", group="b")) == [
        "group b: 1 of 1 jobs are there, though it was said that nothing was written"
    ]


def test_a_job_from_nowhere_is_found(tale: Tale) -> None:
    tale.run("w", 1)
    tale.run("w", 1, job="b")
    job = replace(DONE, id="b", group="b")
    assert tale.violations(DONE, job) == ["group b was never offered"]


def test_two_accepted_completions_are_found(tale: Tale) -> None:
    tale.run("w", 1)
    tale.run("v", 2)
    assert "a completed 2 times, under the tokens [1, 2]" in tale.violations(TWICE)


def test_a_result_that_no_run_returned_is_found(tale: Tale) -> None:
    tale.started("w", 1)
    assert tale.violations(DONE) == ["a has a result under token 1 that no run returned"]


def test_a_completion_that_was_told_and_not_stored_is_found(tale: Tale) -> None:
    tale.run("w", 1)
    tale.started("v", 2)
    tale.finished("v", 2)
    complaint = "a was said to be completed under token 1, but is completed with a result under 2"
    assert complaint in tale.violations(TWICE)


def test_a_run_after_the_completion_is_found(tale: Tale) -> None:
    tale.run("w", 1)
    tale.started("v", 2)
    assert "a was run under token 2 after its completion" in tale.violations(DONE)


def test_a_late_start_of_a_worker_that_was_not_stopped_is_found(tale: Tale) -> None:
    tale.run("v", 2)
    tale.started("w", 1)
    assert tale.violations(TWICE) == ["a started under token 1 in w 3.000 s after it was overtaken"]


def test_a_second_late_start_for_one_stop_is_found(tale: Tale) -> None:
    tale.offered("b")
    tale.added("b", group="b")
    tale.struck("w", Blow.STOP)
    tale.run("v", 2)
    tale.run("v", 2, job="b")
    tale.struck("w", Blow.CONTINUE)
    tale.started("w", 1)
    tale.now -= 1
    tale.started("w", 1, job="b")
    [complaint] = tale.violations(TWICE, replace(TWICE, id="b", group="b"))
    assert complaint.startswith("b started under token 1 in w")


def test_two_runs_under_one_token_are_found(tale: Tale) -> None:
    tale.started("w", 1)
    tale.run("v", 1)
    assert tale.violations(DONE) == ["a was run 2 times under token 1: in w, v"]


def test_a_run_that_was_forgotten_is_found(tale: Tale) -> None:
    tale.started("w", 1)
    tale.run("v", 2)
    complaint = "a was run under token 1, of which nothing is remembered"
    assert tale.violations(replace(TWICE, runs=[])) == [complaint]


def test_a_claim_that_was_not_run_may_be_forgotten(tale: Tale) -> None:
    tale.run("v", 2)
    assert tale.violations(replace(TWICE, runs=[])) == []


def test_a_run_that_is_remembered_twice_is_found(tale: Tale) -> None:
    tale.run("v", 2)
    runs = [run(1, "stalled"), run(2, "failed")]
    assert tale.violations(replace(TWICE, runs=runs)) == [
        "a has token 2, but the tokens of its runs are [1, 2, 2]"
    ]


def test_a_token_that_fell_is_found(tale: Tale) -> None:
    tale.run("v", 3)
    runs = [run(1, "stalled", started_at=2.0), run(2, "stalled", started_at=1.5)]
    assert tale.violations(replace(TWICE, token=3, result_token=3, runs=runs)) == [
        "a: token 2 was claimed 0.500000 s before 1"
    ]


@pytest.mark.parametrize(
    ("attempt", "outcomes"), [(4, ["stalled"] * 4), (2, ["failed"] * 4)], ids=["counted", "failed"]
)
def test_too_many_attempts_are_found(tale: Tale, attempt: int, outcomes: list[str]) -> None:
    tale.run("w", 5)
    runs = [run(token, outcome) for token, outcome in enumerate(outcomes, 1)]
    job = replace(DONE, attempt=attempt, token=5, result_token=5, runs=runs)
    failed = outcomes.count("failed")
    assert tale.violations(job) == [f"a has {attempt} attempts, {failed} failed, of 3"]


def test_a_run_beyond_the_last_attempt_is_found(tale: Tale) -> None:
    tale.started("w", 1, attempt=4)
    tale.finished("w", 1)
    assert tale.violations(DONE) == ["a was run as attempt 4 of 3"]


def stale_return(tale: Tale) -> None:
    tale.started("w", 1)
    tale.finished("w", 1)


def stale_failure(tale: Tale) -> None:
    tale.started("w", 1)
    tale.finished("w", 1, Ending.RAISED)


def stale_cancellation(tale: Tale) -> None:
    tale.started("w", 1)
    tale.finished("w", 1, Ending.CANCELLED)


@pytest.mark.parametrize("stale", [stale_return, stale_failure, stale_cancellation])
def test_a_stale_holder_that_was_not_told_is_found(
    tale: Tale, stale: Callable[[Tale], None]
) -> None:
    stale(tale)
    tale.run("v", 2)
    tale.ended("w")
    [complaint] = tale.violations(TWICE)
    assert complaint.startswith("w ran a under token 1")
    assert complaint.endswith("which was neither accepted nor refused")


def test_a_worker_that_could_not_write_any_more_need_not_be_told(tale: Tale) -> None:
    stale_return(tale)
    tale.publish(Troubled, "w", during="closing the worker", error="")
    tale.ended("w")
    tale.run("v", 2)
    assert tale.violations(TWICE) == []


def test_an_early_start_is_found(tale: Tale) -> None:
    tale.started("w", 1, not_before=3.25)
    tale.finished("w", 1)
    assert tale.violations(DONE) == ["a started 0.250 s before its time"]


def test_a_log_line_of_a_stale_holder_is_found(tale: Tale) -> None:
    tale.run("v", 2)
    assert tale.violations(replace(TWICE, log_tokens=[1, 2, 1])) == [
        "a has a log line under token 1 after one under 2"
    ]


@pytest.mark.parametrize("counters", [{}, {"completed": 2}, {"completed": 1, "active": -1}])
def test_a_wrong_counter_is_found(tale: Tale, counters: dict[str, int]) -> None:
    tale.run("w", 1)
    [complaint] = tale.violations(DONE, counters=counters)
    assert complaint.startswith("the counter of ")
