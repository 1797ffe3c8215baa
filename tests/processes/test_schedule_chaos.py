"""Schedulers are killed at random during an accelerated week, and no tick is lost or doubled.

`make chaos` does the same for longer. A failure names its seed:
`python -m tests.processes.schedule_chaos --seed N --runs 1`.
"""

import random
from pathlib import Path

import pytest

from tests.processes.place import Place
from tests.processes.schedule_chaos import SchedulePlan, run_schedule_chaos

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.mark.timeout(120)
def test_every_tick_is_made_exactly_once_while_schedulers_die(place: Place, tmp_path: Path) -> None:
    plan = SchedulePlan(seed=random.SystemRandom().randrange(10**6), seconds=3)
    verdict = run_schedule_chaos(plan, place, tmp_path / "history")
    print(verdict)
    assert verdict.violations == [], verdict
