"""Workers are killed, stopped and ended at random under load, and nothing is lost.

`make chaos` does the same for longer. A failure names its seed:
`python -m tests.processes.chaos --seed N --runs 1`.
"""

import random
from pathlib import Path

import pytest

from tests.processes.chaos import ChaosPlan, run_chaos
from tests.processes.place import Place

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.mark.timeout(150)
def test_nothing_is_lost_and_nothing_is_accepted_twice(place: Place, tmp_path: Path) -> None:
    """`checker.py` lists what has to hold after the signals."""
    plan = ChaosPlan(seed=random.SystemRandom().randrange(10**6), seconds=8, rate=320)
    verdict = run_chaos(plan, place, tmp_path / "history")
    print(verdict)
    assert verdict.violations == [], verdict
    assert len(verdict.stored.jobs) > 100, verdict  # on a slow machine too
