"""Model-based test: a schedule that counts from the end of its runs starts none beside another.

Whatever is changed in between, and whenever jobs end, are recorded, or time passes.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.rules.overlap import Overlap
from enfila.core.domain.schedule.state import ScheduleState
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.infrastructure.persistence.memory import InMemoryJobRepository
from enfila.testing import FrozenClock
from enfila.testing.frozen_clock import BEGINNING
from tests.contract.adapters import ADAPTERS, sql_repository
from tests.core.application.scheduler.stage import Stage

T = TypeVar("T")

SETTINGS = settings(
    max_examples=10,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
OLD = st.sampled_from([Interval(60), Cron("* * * * *")])
AFTER = AfterCompletion(30)


class EditsOfASchedule(RuleBasedStateMachine):
    """One schedule, with one worker and one scheduler by hand."""

    runner: asyncio.Runner
    repository: IJobRepository
    clock: FrozenClock

    @initialize(trigger=OLD)
    def begin(self, trigger: Any) -> None:
        _ = self.clock.move_to(BEGINNING)
        self.stage = Stage(self.repository, self.clock)
        self.slug = uuid4().hex
        self.do(self.stage.create(self.slug, trigger=trigger, queue=self.slug))

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    @property
    def definition(self) -> ScheduleDefinition:
        return self.do(self.stage.schedules.get(self.slug)).definition

    @property
    def running(self) -> int:
        found = self.do(self.repository.storage.schedule_runs.unfinished_jobs([self.slug]))
        return len(found.get(self.slug, ()))

    @rule(seconds=st.sampled_from([30, 60, 90, 600]))
    def tick(self, seconds: float) -> None:
        before, made = self.running, len(self.do(self.stage.runs(self.slug)))
        self.do(self.stage.tick(seconds))
        new = len(self.do(self.stage.runs(self.slug))) - made
        if new and isinstance(self.definition.trigger, AfterCompletion):
            assert (before, new) == (0, 1)

    @rule(trigger=st.just(AFTER) | OLD, overlap=st.sampled_from(Overlap))
    def update(self, trigger: Any, overlap: Overlap) -> None:
        standing = self.do(self.stage.schedules.get(self.slug))
        changed = replace(standing.definition, trigger=trigger, overlap=overlap)
        self.do(self.stage.schedules.update(changed, version=standing.version))

    @rule(is_long=st.booleans())
    def rest(self, is_long: bool) -> None:
        self.do(self.stage.schedules.disable(self.slug))
        if is_long:
            self.do(self.stage.tick(60))
        self.do(self.stage.schedules.enable(self.slug))

    @precondition(lambda self: self.running)
    @rule(is_told=st.booleans())
    def end_a_run(self, is_told: bool) -> None:
        job = self.do(self.stage.claim(self.slug))
        self.do(self.stage.settle(job))
        if is_told:
            self.do(self.stage.record())

    @rule()
    def record(self) -> None:
        self.do(self.stage.record())

    @invariant()
    def who_waits_has_something_to_wait_for(self) -> None:
        if not hasattr(self, "slug"):
            return
        schedule = self.do(self.stage.schedules.get(self.slug))
        if schedule.state is ScheduleState.WAITING and not self.running:
            self.do(self.stage.record())
            told = self.do(self.stage.schedules.get(self.slug))
            assert told.state is not ScheduleState.WAITING

    def teardown(self) -> None:
        if hasattr(self, "slug"):
            self.do(self.stage.schedules.delete(self.slug))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_run_starts_beside_another(adapter: str, request: pytest.FixtureRequest) -> None:
    clock = FrozenClock()
    repository: IJobRepository = InMemoryJobRepository(clock)
    if adapter != "memory":
        repository = sql_repository(adapter, request, clock)

    class Machine(EditsOfASchedule):
        pass

    with asyncio.Runner() as runner:
        Machine.runner, Machine.repository, Machine.clock = runner, repository, clock
        runner.run(repository.storage.open())
        try:
            many = settings(SETTINGS, max_examples=60)
            run_state_machine_as_test(Machine, settings=many if adapter == "memory" else SETTINGS)
        finally:
            runner.run(repository.storage.close())
