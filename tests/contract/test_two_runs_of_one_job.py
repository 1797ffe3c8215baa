"""One worker holds two runs of a job: an old one, which it has lost, and a newer one.

So it comes about when a process is stopped for longer than its locks hold: its job is recovered,
and it fetches the job again before it has settled the old run.
"""

from datetime import timedelta

import pytest

from enfila.core.domain.job.identity import new_worker_id
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.outcome import Completed, Released
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import JsonDocument
from tests.contract.building import Line

BOTH_ORDERS = pytest.mark.parametrize("is_old_first", [True, False], ids=["old first", "new first"])


async def two_runs(line: Line, *, is_old_first: bool) -> tuple[list[Job], list[bool]]:
    """Both runs, and for each whether it is the newer one."""
    worker_id = new_worker_id()
    await line.add(attempts=3)
    [old] = await line.claim(worker_id=worker_id)
    [_] = await line.repository.apply([old.stall(1)])
    [new] = await line.claim(worker_id=worker_id)
    assert (old.id, old.token + 1) == (new.id, new.token)
    return ([old, new], [False, True]) if is_old_first else ([new, old], [True, False])


@BOTH_ORDERS
async def test_only_the_newer_one_is_settled(line: Line, *, is_old_first: bool) -> None:
    runs, is_newer = await two_runs(line, is_old_first=is_old_first)
    outcomes = [Released() if newer else Completed(JsonDocument.of("old")) for newer in is_newer]
    written = await line.repository.apply(
        [run.settle(outcome) for run, outcome in zip(runs, outcomes, strict=True)]
    )
    assert [instant is not None for instant in written] == is_newer
    assert await line.state(runs[0]) is JobState.WAITING


@BOTH_ORDERS
async def test_only_the_newer_lock_is_extended(line: Line, *, is_old_first: bool) -> None:
    runs, is_newer = await two_runs(line, is_old_first=is_old_first)
    locks = [run.lock for run in runs if run.lock is not None]
    extensions = await line.repository.extend(locks, timedelta(hours=1))
    assert [extension.is_held for extension in extensions] == is_newer
    line.clock.advance(timedelta(minutes=30))
    assert await line.claim() == []


@BOTH_ORDERS
async def test_only_the_newer_one_may_report(line: Line, *, is_old_first: bool) -> None:
    runs, is_newer = await two_runs(line, is_old_first=is_old_first)
    reports = [
        ProgressUpdate(
            run.id, run.token, run.attempt, JsonDocument.of(run.token), (f"by {run.token}",)
        )
        for run in runs
    ]
    assert await line.repository.update_progress(reports) == is_newer
    [job] = (await line.repository.get([runs[0].id])).values()
    logged = [entry.line for entry in await line.repository.logs(job.id)]
    assert (job.progress, logged) == (2, ["by 2"])
