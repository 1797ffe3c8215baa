"""Cancelling the older jobs of a schedule goes the way of a queue."""

import asyncio
from typing import Any

import pytest

from enfila.core.application.ports.wake_up import Hint
from enfila.core.application.scheduler.ticks.cancelling import Cancelling
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.running.outcome import Released
from enfila.core.domain.job.state import JobState
from enfila.infrastructure.queue.queue_service import QueueService
from tests.core.application.scheduler.stage import QUEUE, Stage

KEEP_LAST = JobOptions(deduplication=Deduplication.keep_last("key"))


def listen(stage: Stage) -> dict[Hint, asyncio.Event]:
    return {hint: stage.wake_up.listen(QUEUE, hint) for hint in Hint}


def heard(events: dict[Hint, asyncio.Event]) -> set[Hint]:
    return {hint for hint, event in events.items() if event.is_set()}


async def cancel(stage: Stage, job: Job) -> Job:
    await Cancelling(stage.repository, stage.wake_up).cancel([job], "replaced")
    return (await stage.repository.get([job.id]))[job.id]


async def test_a_job_that_another_waits_behind_is_told_to_idle_workers_too(stage: Stage) -> None:
    async with QueueService[Any, Any](QUEUE, stage.repository, clock=stage.clock) as queue:
        await queue.add("a", options=KEEP_LAST)
        claimed = await stage.claim()
        follower = await queue.add("a", options=KEEP_LAST)
        assert follower.state is JobState.BLOCKED
        await stage.settle(claimed, Released())
        holder = (await stage.repository.get([claimed.id]))[claimed.id]
        events = listen(stage)
        assert (await cancel(stage, holder)).cancel_reason == "replaced"
        assert heard(events) == {Hint.SETTLED, Hint.JOBS}
        assert (await follower.refresh()).state is JobState.WAITING


async def test_a_job_without_a_key_wakes_nobody_who_looks_for_work(stage: Stage) -> None:
    async with QueueService[Any, Any](QUEUE, stage.repository, clock=stage.clock) as queue:
        handle = await queue.add("a")
        events = listen(stage)
        assert (await cancel(stage, handle.snapshot)).state is JobState.CANCELLED
        assert heard(events) == {Hint.SETTLED}


async def test_the_worker_of_an_active_job_is_asked(stage: Stage) -> None:
    async with QueueService[Any, Any](QUEUE, stage.repository, clock=stage.clock) as queue:
        await queue.add("a")
        claimed = await stage.claim()
        events = listen(stage)
        after = await cancel(stage, claimed)
        assert (after.state, after.cancel_requested) == (JobState.ACTIVE, True)
        assert heard(events) == {Hint.CONTROL}


@pytest.mark.parametrize("is_gone", [False, True])
async def test_one_that_is_final_or_gone_is_left_alone(stage: Stage, is_gone: bool) -> None:
    async with QueueService[Any, Any](QUEUE, stage.repository, clock=stage.clock) as queue:
        handle = await queue.add("a")
        as_read = handle.snapshot
        await handle.cancel("earlier")
        if is_gone:
            await handle.remove()
        events = listen(stage)
        await Cancelling(stage.repository, stage.wake_up).cancel([as_read], "replaced")
        assert heard(events) == set()
        found = await stage.repository.get([as_read.id])
        assert [job.cancel_reason for job in found.values()] == ([] if is_gone else ["earlier"])
