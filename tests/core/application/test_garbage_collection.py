import gc
import threading
from collections.abc import Iterator

import pytest

from enfila.core.application.runtime.garbage_collection import without_garbage_collection


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.enable()


def test_the_collector_rests_inside_and_works_afterwards() -> None:
    with without_garbage_collection():
        assert not gc.isenabled()
        with without_garbage_collection():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_somebody_else_switched_off_stays_off() -> None:
    gc.disable()
    with without_garbage_collection():
        pass
    assert not gc.isenabled()


def test_it_works_after_an_error() -> None:
    with pytest.raises(ArithmeticError), without_garbage_collection():
        raise ArithmeticError
    assert gc.isenabled()


def test_threads_that_are_inside_at_the_same_time_leave_it_on() -> None:
    """Whoever enters first may leave first."""
    entered, may_leave = threading.Event(), threading.Event()

    def stay() -> None:
        with without_garbage_collection():
            entered.set()
            may_leave.wait(10)

    other = threading.Thread(target=stay)
    with without_garbage_collection():
        other.start()
        assert entered.wait(10)
    assert not gc.isenabled()
    may_leave.set()
    other.join(10)
    assert gc.isenabled()
