"""One job led through its life by chance; the model is the table of moves and a few counters."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from enfila.core.application.job_ids import JobIds
from enfila.core.domain.errors import MoveNotAllowed
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.running.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
)
from enfila.core.domain.job.state import FINAL, JobState, Reason, may_move
from enfila.core.domain.job.transition import Transition
from enfila.core.domain.json_document import JsonDocument
from enfila.testing import FrozenClock

LOCK = timedelta(seconds=30)
BOOM = JobError("ValueError", "boom")

BACKOFFS = st.sampled_from([Backoff.none(), Backoff.fixed(5), Backoff.exponential(1, jitter=1)])
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.integers().map(lambda number: Completed(JsonDocument.of(number))),
    st.booleans().map(lambda recoverable: Failed(BOOM, recoverable)),
    st.integers(0, 9).map(lambda delay: Failed(BOOM, custom_delay=timedelta(seconds=delay))),
    st.integers(0, 9).map(lambda delay: Snoozed(timedelta(seconds=delay))),
    st.just(Cancelled("enough")),
    st.just(Released()),
)
# What may be tried with a job at any time, and the reason for which it would move.
BY_HAND: dict[Reason, Callable[[Job, datetime], Transition]] = {
    Reason.DUE: lambda job, _: job.mature(),
    Reason.PROMOTED: lambda job, _: job.promote(),
    Reason.UNBLOCKED: lambda job, now: job.unblock(now),
    Reason.CANCELLED: lambda job, _: job.cancel("not wanted"),
    Reason.EXPIRED: lambda job, _: job.expire(),
    Reason.RETRIED: lambda job, _: job.retry(fresh_attempts=False),
}


class LifeOfAJob(RuleBasedStateMachine):
    """Every decision is either a move of the table or refused."""

    job: Job

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        self.claims = 0
        # Runs that counted as attempts since the count began at zero.
        self.spent = 0

    @initialize(
        attempts=st.integers(1, 4),
        backoff=BACKOFFS,
        delay=st.sampled_from([0, 60]),
        expires_in=st.sampled_from([None, 120]),
        is_blocked=st.booleans(),
    )
    def add(
        self,
        *,
        attempts: int,
        backoff: Backoff,
        delay: int,
        expires_in: int | None,
        is_blocked: bool,
    ) -> None:
        now = self.clock.now()
        options = JobOptions(attempts=attempts, backoff=backoff, delay=delay, expires_in=expires_in)
        ids = JobIds()
        job = Job.new(ids.next(now), "queue", "name", JsonDocument.of(None), options, now)
        self.job = job.behind(ids.next(now)) if is_blocked else job
        self.job = self.job.added(now, 1)

    @rule(seconds=st.integers(0, 100))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.job.state in {JobState.WAITING, JobState.DELAYED})
    @rule()
    def claim(self) -> None:
        now = self.clock.now()
        before = self.job
        self.job = before.claimed(new_worker_id(), now, now + LOCK)
        assert may_move(Reason.CLAIMED, before.state, self.job.state)
        assert (self.job.token, self.job.attempt) == (before.token + 1, before.attempt + 1)
        self.claims += 1
        self.spent += 1

    @rule()
    def a_claim_of_another_state_is_refused(self) -> None:
        if self.job.state not in {JobState.WAITING, JobState.DELAYED}:
            with pytest.raises(MoveNotAllowed):
                self.job.claimed(new_worker_id(), self.clock.now(), self.clock.now())

    @precondition(lambda self: self.job.state is JobState.ACTIVE)
    @rule(outcome=OUTCOMES, chance=st.floats(0, 1, exclude_max=True))
    def settle(self, outcome: Outcome, chance: float) -> None:
        asked = self.job.cancel_requested
        had_attempts_left = self.job.has_attempts_left
        transition = self.job.settle(outcome, chance)
        self._apply(transition)
        if transition.reason in {Reason.SNOOZED, Reason.RELEASED}:
            self.spent -= 1
        if asked and not isinstance(outcome, Completed):
            assert self.job.state is JobState.CANCELLED
        elif isinstance(outcome, Failed):
            again = outcome.is_recoverable and had_attempts_left
            assert (self.job.state is not JobState.FAILED) == again

    @precondition(lambda self: self.job.state is JobState.ACTIVE)
    @rule(most=st.integers(0, 2))
    def stall(self, most: int) -> None:
        transition = self.job.stall(most)
        if transition.reason is Reason.RECOVERED:
            self.spent -= 1
            assert transition.stalled_count <= most
        self._apply(transition)

    @precondition(lambda self: self.job.state is JobState.ACTIVE)
    @rule()
    def ask_for_cancellation(self) -> None:
        self.job.cancel_requested = True
        self.job.cancel_reason = "asked"

    @rule(reason=st.sampled_from(sorted(BY_HAND)))
    def move_by_hand(self, reason: Reason) -> None:
        try:
            transition = BY_HAND[reason](self.job, self.clock.now())
        except MoveNotAllowed:
            # An active job is cancelled by its worker, never over its head.
            is_active = self.job.state is JobState.ACTIVE
            assert is_active or not any(may_move(reason, self.job.state, to) for to in JobState)
        else:
            self._apply(transition)

    @precondition(lambda self: self.job.state in FINAL)
    @rule(fresh_attempts=st.booleans())
    def retry(self, fresh_attempts: bool) -> None:
        if fresh_attempts:
            self.spent = 0
        self._apply(self.job.retry(fresh_attempts=fresh_attempts))
        assert self.job.has_attempts_left
        assert (self.job.result, self.job.error, self.job.started_at) == (None, None, None)

    def _apply(self, transition: Transition) -> None:
        before, now = self.job, self.clock.now()
        assert (transition.source, transition.token) == (before.state, before.token)
        assert may_move(transition.reason, before.state, transition.target)
        self.job = before.after(transition, now)
        assert self.job.state is transition.target
        assert self.job.token == before.token
        ended = before.state is JobState.ACTIVE or transition.restarts
        if transition.record is not None:
            assert ended
            assert transition.record.token == before.token
        if self.job.state is JobState.DELAYED and before.state is JobState.ACTIVE:
            assert self.job.run_at > now

    @invariant()
    def attempts_never_exceed_the_maximum(self) -> None:
        if hasattr(self, "job"):
            assert 0 <= self.job.attempt <= self.job.max_attempts

    @invariant()
    def an_attempt_is_a_run_that_was_not_given_back(self) -> None:
        if hasattr(self, "job"):
            assert self.job.attempt == self.spent

    @invariant()
    def the_token_tells_how_often_it_was_claimed(self) -> None:
        if hasattr(self, "job"):
            assert self.job.token == self.claims

    @invariant()
    def its_fields_agree_with_its_state(self) -> None:
        if not hasattr(self, "job"):
            return
        job = self.job
        assert (job.state is JobState.ACTIVE) == (job.locked_until is not None)
        assert job.state.is_final == (job.finished_at is not None)
        assert (job.state is JobState.BLOCKED) == bool(job.depends_on)
        if job.state is JobState.ACTIVE:
            assert job.expires_at is None
            assert job.lock is not None
        if job.state is JobState.FAILED:
            assert job.error is not None
        if job.state is JobState.CANCELLED:
            assert job.cancel_reason
        assert job.result_document is None or job.state is JobState.COMPLETED


TestLifeOfAJob = LifeOfAJob.TestCase
TestLifeOfAJob.settings = settings(max_examples=150, stateful_step_count=40)
