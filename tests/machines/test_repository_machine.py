"""Model-based test: an adapter and the repository in memory get the same random calls.

Every adapter has to show the same states as the one in memory after the same sequence of calls.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from enfila.core.application.ports.job_reader import Overdue
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.errors import MoveNotAllowed
from enfila.core.domain.job.identity import JobId, new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention, RetentionPolicy
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Snoozed,
)
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import UNFINISHED, JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.core.domain.json_document import JsonDocument
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.testing import FrozenClock
from tests.contract.adapters import SQL_ADAPTERS, sql_repository
from tests.contract.building import ALL_STATES, BOOM, make_job

T = TypeVar("T")
Step = TypeVar("Step", bound=Callable[..., None])

SETTINGS = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

SECONDS = st.sampled_from([0, 0.25, 1, 5, 29, 30, 31, 60, 3600])
KEYS = st.sampled_from(
    [
        Deduplication.while_unfinished("a"),
        Deduplication.for_time("a", 40),
        Deduplication.replace("a"),
        Deduplication.debounce("b"),
        Deduplication.keep_last("b"),
        Deduplication.keep_last("a"),
        Deduplication.keep_last("c"),
        Deduplication.keep_last("c"),
        Deduplication.while_unfinished("c"),
    ]
)
WITHOUT_TIME = {"b", "c"}
"""The keys that are held until their job has ended, by every rule above."""
OPTIONS = st.builds(
    JobOptions,
    attempts=st.integers(1, 3),
    backoff=st.sampled_from([None, Backoff.fixed(5), Backoff.exponential(1)]),
    delay=st.sampled_from([None, None, 1, 30]),
    priority=st.integers(-1, 1),
    lifo=st.booleans(),
    expires_in=st.sampled_from([None, 30]),
    deduplication=st.none() | KEYS,
    remove_on_complete=st.sampled_from([None, None, True, False]),
    remove_on_fail=st.sampled_from([None, None, timedelta(seconds=30)]),
    tags=st.sampled_from([None, ["x"]]),
)
JOBS = st.tuples(st.sampled_from(["mail", "call"]), OPTIONS)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.sampled_from([None, 0, "", {"a": [1]}]).map(lambda it: Completed(JsonDocument.of(it))),
    st.booleans().map(lambda recoverable: Failed(BOOM, recoverable)),
    st.sampled_from([0, 5]).map(lambda seconds: Snoozed(timedelta(seconds=seconds))),
    st.just(Cancelled("enough")),
    st.just(Released()),
)
DECISIONS: list[Callable[[Job], Transition | Amendment]] = [
    lambda job: job.mature(),
    lambda job: job.promote(),
    lambda job: job.cancel("not wanted"),
    lambda job: job.expire(),
    lambda job: job.retry(fresh_attempts=True),
    lambda job: job.retry(fresh_attempts=False),
    lambda job: job.stall(max_stalled_count=0),
    lambda job: job.stall(max_stalled_count=2),
    lambda job: job.amend(priority=-2),
    lambda job: job.amend(priority=2, run_after=timedelta(seconds=20)),
]
NUMBERS = st.integers(0, 1000)
"""A choice among whatever there is at that moment."""


@dataclass
class Bench:
    """What the examples of one test share: a loop, a clock, and the repository under test."""

    runner: asyncio.Runner
    clock: FrozenClock
    repository: IJobRepository


STEPS: dict[str, st.SearchStrategy[dict[str, Any]]] = {}
NAMES: list[str] = []


def step(*, weight: int = 1, **arguments: st.SearchStrategy[Any]) -> Callable[[Step], Step]:
    """Marks what the machine may do at any time.

    It is not a `rule`: of those Hypothesis switches many off for a whole example, which here left
    hardly a life that was whole (25 claims in 1,200 steps).
    """

    def register(method: Step) -> Step:
        STEPS[method.__name__] = st.fixed_dictionaries(arguments)
        NAMES.extend([method.__name__] * weight)
        return method

    return register


def _any_step() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), STEPS[name]))


class RepositoryMachine(RuleBasedStateMachine):
    """Every step makes the same calls to both repositories and compares the answers."""

    bench: Bench

    def __init__(self) -> None:
        super().__init__()
        self.clock = self.bench.clock
        self.queue = f"queue-{uuid4().hex}"
        self.model = InMemoryJobRepository(self.clock)
        self.ids: list[JobId] = []
        # Jobs as they were read at some time: what is decided on them may be stale by now.
        self.seen: list[Job] = []

    @rule(chosen=st.deferred(_any_step))
    def take(self, chosen: tuple[str, dict[str, Any]]) -> None:
        name, arguments = chosen
        getattr(self, name)(**arguments)

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    @initialize(several=st.lists(JOBS, min_size=3, max_size=6))
    def begin(self, several: list[tuple[str, JobOptions]]) -> None:
        self.add_jobs(several)

    @step(weight=3, several=st.lists(JOBS, min_size=1, max_size=3))
    def add(self, several: list[tuple[str, JobOptions]]) -> None:
        self.add_jobs(several)

    def add_jobs(self, several: list[tuple[str, JobOptions]]) -> None:
        jobs = [
            make_job(self.queue, name, len(self.ids) + place, options, clock=self.clock)
            for place, (name, options) in enumerate(several)
        ]
        added = self.both(lambda repository: repository.add(jobs))
        self.ids += [job.id for job in jobs]
        self.seen += [answer.job for answer in added]

    # ── running ──────────────────────────────────────────────────────────────────────────────

    @step(
        weight=5,
        limit=st.integers(0, 4),
        names=st.sampled_from([None, None, None, frozenset({"mail"})]),
        lock=st.sampled_from([10, 30]),
        outcomes=st.lists(st.none() | OUTCOMES, max_size=5),
    )
    def work(
        self,
        limit: int,
        names: frozenset[str] | None,
        lock: int,
        outcomes: list[Outcome | None],
    ) -> None:
        """Claims, and settles some of what is active now."""
        if limit:
            claim = Claim(self.queue, new_worker_id(), limit, timedelta(seconds=lock), names)
            self.seen += self.both(lambda repository: repository.claim(claim))
        active = self.now_in(JobState.ACTIVE)
        self.apply(
            job.settle(outcome)
            for job, outcome in zip(active, outcomes, strict=False)
            if outcome is not None
        )

    @step(which=NUMBERS, outcome=OUTCOMES)
    def settle_by_a_holder_whose_time_may_be_over(self, which: int, outcome: Outcome) -> None:
        if held := [job for job in self.seen if job.state is JobState.ACTIVE]:
            self.apply([held[which % len(held)].settle(outcome)])

    @step(
        which=NUMBERS,
        seconds=st.sampled_from([10, 60]),
        progress=st.none() | st.integers(),
        keep=st.sampled_from([None, 0, 3]),
    )
    def report_and_extend(
        self, which: int, seconds: int, progress: int | None, keep: int | None
    ) -> None:
        if held := [job for job in self.seen if job.lock is not None]:
            job = held[which % len(held)]
            document = None if progress is None else JsonDocument.of(progress)
            report = ProgressUpdate(job.id, job.token, job.attempt, document, ("one", "two"), keep)
            self.both(lambda repository: repository.update_progress([report]))
            locks = {each.id: each.lock for each in held[which % len(held) :] if each.lock}
            length = timedelta(seconds=seconds)
            self.both(lambda repository: repository.extend([*locks.values()], length))

    # ── by hand ──────────────────────────────────────────────────────────────────────────────

    @step(weight=3, which=NUMBERS, decide=st.sampled_from(DECISIONS), is_fresh=st.booleans())
    def decide(
        self,
        which: int,
        decide: Callable[[Job], Transition | Amendment],
        is_fresh: bool,
    ) -> None:
        """Decides on a job as it is, or as it was once read."""
        if jobs := self.now_in(*JobState) if is_fresh else self.seen:
            try:
                decision = decide(jobs[which % len(jobs)])
            except MoveNotAllowed:
                return
            if isinstance(decision, Amendment):
                self.both(lambda repository: repository.amend(decision))
            else:
                self.apply([decision])

    @step(which=NUMBERS)
    def ask_for_cancellation(self, which: int) -> None:
        if active := self.now_in(JobState.ACTIVE) or self.seen:
            job_id = active[which % len(active)].id
            self.both(lambda repository: repository.request_cancellation(job_id, "stop"))

    @step(which=NUMBERS)
    def remove(self, which: int) -> None:
        if jobs := [job for job in self.seen if job.state is not JobState.ACTIVE]:
            self.both(lambda repository: repository.remove([jobs[which % len(jobs)]]))

    @step(states=st.sets(st.sampled_from(sorted(ALL_STATES - {JobState.ACTIVE})), min_size=1))
    def drain(self, states: set[JobState]) -> None:
        self.both(lambda repository: repository.remove_all(self.queue, states, limit=1000))

    @step(limit=st.integers(1, 4))
    def claim_around_a_pause(self, limit: int) -> None:
        claim = Claim(self.queue, new_worker_id(), limit, timedelta(seconds=30))
        self.both(lambda repository: repository.storage.queues.set_paused(self.queue, paused=True))
        assert self.both(lambda repository: repository.claim(claim)) == []
        self.both(lambda repository: repository.storage.queues.set_paused(self.queue, paused=False))
        self.seen += self.both(lambda repository: repository.claim(claim))

    # ── time and maintenance ─────────────────────────────────────────────────────────────────

    @step(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @step(
        weight=2,
        seconds=SECONDS,
        most=st.integers(0, 2),
        age=st.sampled_from([None, 30]),
        newest=st.sampled_from([None, 1, 3]),
    )
    def maintain(self, seconds: float, most: int, age: int | None, newest: int | None) -> None:
        self.clock.advance(seconds)
        self.apply(job.stall(most) for job in self.overdue(Overdue.STALLED))
        self.apply(job.expire() for job in self.overdue(Overdue.EXPIRED))
        self.apply(job.mature() for job in self.overdue(Overdue.DUE))
        # What a rule by number keeps may depend on what other rules removed in the same step, so
        # those by age and the jobs' own go first.
        self.keep(Retention(None if age is None else timedelta(seconds=age)))
        self.keep(Retention(newest=newest))
        self.both(lambda repository: repository.storage.compact())

    def overdue(self, kind: Overdue) -> list[Job]:
        """What both find overdue."""
        return self.both(lambda repository: repository.overdue(self.queue, kind, 100))

    def keep(self, each: Retention) -> None:
        """Applies one rule to all final states."""
        policy = RetentionPolicy(each, each, each)
        self.both(lambda repository: repository.apply_retention(self.queue, policy, 1000))

    # ── what must be equal after every step ──────────────────────────────────────────────────

    @invariant()
    def all_jobs_look_alike(self) -> None:
        shown = self.both(lambda repository: repository.find(self.queue, ALL_STATES, limit=10_000))
        for job in shown:
            assert 0 <= job.attempt <= job.max_attempts
        counts = self.both(lambda repository: repository.storage.queues.counts(self.queue))
        assert counts.total == len(shown)
        self.both(lambda repository: repository.storage.queues.until_next_due(self.queue))

    @invariant()
    def a_key_runs_one_job_at_a_time(self) -> None:
        unfinished = self.now_in(*UNFINISHED)
        for key in WITHOUT_TIME:
            states = [
                job.state is JobState.BLOCKED
                for job in unfinished
                if job.options.deduplication is not None and job.options.deduplication.key == key
            ]
            assert states.count(False) <= 1, "two jobs of one key are in line or active"
            assert states.count(True) <= 1, "two jobs of one key wait behind its holder"

    def teardown(self) -> None:
        for job_id in self.ids:
            self._compare_history(job_id)
        self.both(lambda repository: repository.get(self.ids))
        self.both(lambda repository: repository.storage.queues.is_paused(self.queue))
        self.both(lambda repository: repository.obliterate(self.queue, force=True))

    def _compare_history(self, job_id: JobId) -> None:
        self.both(lambda repository: repository.attempts(job_id))
        self.both(lambda repository: repository.logs(job_id))

    # ── how two are asked as one ─────────────────────────────────────────────────────────────

    def both(self, ask: Callable[[IJobRepository], Awaitable[T]]) -> T:
        """The answer of both repositories, which must be the same."""

        async def answers() -> tuple[T, T]:
            return await ask(self.model), await ask(self.bench.repository)

        expected, given = self.bench.runner.run(answers())
        assert visible(given) == visible(expected)
        return expected

    def apply(self, transitions: Iterable[Transition]) -> None:
        """Applies what was decided, whether it is stale or not."""
        decided = list(transitions)
        self.both(lambda repository: repository.apply(decided))

    def now_in(self, *states: JobState) -> list[Job]:
        """The jobs that are in these states now."""
        return self.bench.runner.run(self.model.find(self.queue, states, limit=10_000))


def visible(answer: Any) -> Any:
    """An answer without the numbers that a repository gives for itself."""
    match answer:
        case Job():
            return replace(answer, position=0)
        case list() | tuple():
            return [visible(each) for each in answer]
        case dict():
            return {key: visible(each) for key, each in answer.items()}
        case _ if hasattr(answer, "is_duplicate"):
            return visible(answer.job), answer.is_duplicate
        case _:
            return answer


@pytest.mark.timeout(600)  # a difference that was found is made small, and that takes its time
@pytest.mark.parametrize("adapter", SQL_ADAPTERS)
def test_an_adapter_does_what_the_model_does(adapter: str, request: pytest.FixtureRequest) -> None:
    clock = FrozenClock()
    repository = sql_repository(adapter, request, clock)
    with asyncio.Runner() as runner:
        runner.run(repository.open())

        class Machine(RepositoryMachine):
            bench = Bench(runner, clock, repository)

        try:
            run_state_machine_as_test(Machine, settings=SETTINGS)
        finally:
            runner.run(repository.close())
