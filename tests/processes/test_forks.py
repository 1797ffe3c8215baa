"""After a fork the child has threads, loops and connections of its own."""

import os
import sys
from pathlib import Path
from subprocess import run
from uuid import uuid4

import pytest

from tests.contract.adapters import url_of
from tests.processes.fork_program import CASES

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]
PROJECT = Path(__file__).parents[2]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql-asyncpg", marks=pytest.mark.postgres),
        pytest.param("postgresql-psycopg", marks=[pytest.mark.postgres, pytest.mark.thorough]),
    ]
)
def url(request: pytest.FixtureRequest) -> str:
    return url_of(request.param, request)


@pytest.mark.parametrize("case", CASES)
def test_the_child_goes_on_by_itself_and_so_does_the_parent(url: str, case: str) -> None:
    ended = run(
        [sys.executable, "-m", "tests.processes.fork_program", url, case, f"f{uuid4().hex[:8]}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
