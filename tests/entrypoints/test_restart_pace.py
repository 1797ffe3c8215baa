"""How soon a process that died is replaced."""

from enfila.entrypoints.processes.restart_pace import RAN_WELL, RestartPace


def test_at_once_first_and_then_after_waits_that_double_up_to_half_a_minute() -> None:
    pace = RestartPace()
    waits = [pace.wait_after(0.0) for _ in range(10)]
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_after_a_thousand_deaths_the_wait_is_the_same() -> None:
    pace = RestartPace()
    assert [pace.wait_after(0.0) for _ in range(5_000)][-1] == 30.0


def test_who_ran_well_is_replaced_at_once() -> None:
    pace = RestartPace()
    for _ in range(5):
        _ = pace.wait_after(0.0)
    assert pace.wait_after(RAN_WELL) == 0.0
    assert pace.wait_after(RAN_WELL) == 0.0
    assert pace.wait_after(0.0) == 0.5
