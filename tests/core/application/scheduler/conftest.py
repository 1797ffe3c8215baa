import pytest

from tests.core.application.scheduler.stage import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()
