"""The measurements measure: with a handful of jobs on SQLite."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.growth import Ground, copy, seed
from benchmarks.measuring import System, drain, pickups
from benchmarks.processes import DriverFailedError
from benchmarks.stores import SqliteStore
from benchmarks.systems import enfila, enfila_retrying


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path)) as store:
        yield store


@pytest.fixture
def system(store: SqliteStore, tmp_path: Path) -> System:
    return enfila("sqlite").system(store, tmp_path, None)


@pytest.mark.slow
def test_a_drain_by_two_processes(system: System) -> None:
    drained = drain(system, 300, 10, processes=2)
    assert system.left() == 0
    assert system.runs() == 300
    assert drained.rate > 0
    assert drained.worker_cpu > 0
    assert drained.memory > 20


@pytest.mark.slow
def test_a_drain_of_jobs_that_fail_once(store: SqliteStore, tmp_path: Path) -> None:
    system = enfila_retrying("sqlite").system(store, tmp_path, None)
    drain(system, 20, 10)
    assert system.left() == 0
    assert system.runs() == 40


@pytest.mark.slow
def test_pickups_of_another_process(system: System) -> None:
    found = pickups(system, 5, load=50)
    assert 0 < found.median <= found.p99


@pytest.mark.slow
def test_a_store_that_shows_too_few_jobs_is_noticed(system: System) -> None:
    forgetful = replace(system, unfinished=("select count(*) - 1 from enfila_jobs",))
    with pytest.raises(DriverFailedError, match="20 jobs were added, and the store shows 19"):
        drain(forgetful, 20, 10)


def test_rows_beside_are_copies_of_real_ones(store: SqliteStore, system: System) -> None:
    store.reset()
    ground = Ground("sqlite", store, system)
    asyncio.run(seed(ground))
    for state in ("waiting", "delayed", "completed", "active"):
        copy(ground, state, 7)
    assert store.count("select count(*) from enfila_jobs where name = 'copy'") == 28
