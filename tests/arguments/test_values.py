"""Every constructor and class method of a value takes what it is given, or says what is wrong."""

from collections.abc import Callable
from typing import Any

import pytest

from enfila import (
    Backoff,
    Deduplication,
    EnfilaError,
    InvalidRequest,
    JobOptions,
    Misfire,
    Retention,
    RetentionPolicy,
    ScheduleDefinition,
    Target,
)
from enfila.core.domain.job.options import options_from_text
from enfila.core.domain.job_type import JobType
from tests.arguments.calls import Parameter, is_a_sentence, parameters_of_values, raises_by_itself
from tests.wrong_values import every

PARAMETERS = parameters_of_values()
VALUES = list(every())
STORED: dict[type, Callable[[Any], Any]] = {
    Backoff: lambda it: (Backoff.from_json(it.to_json()), it.delay_after(3, 0.5))[0],
    Deduplication: lambda it: Deduplication.from_json(it.to_json()),
    Retention: lambda it: Retention.from_json(it.to_json()),
    JobOptions: lambda it: options_from_text(it.to_text()),
    Misfire: lambda it: Misfire.from_document(it.to_document()),
    Target: lambda it: Target.from_document(it.to_document()),
    ScheduleDefinition: lambda it: ScheduleDefinition.from_document(it.to_document()),
}
"""How values are stored and read again."""


def test_there_are_values() -> None:
    assert {"JobOptions(run_at)", "Deduplication(key)", "FrozenClock(start)"} <= set(
        map(str, PARAMETERS)
    )


@pytest.mark.parametrize("parameter", PARAMETERS, ids=str)
def test_a_wrong_argument_is_refused_in_words(parameter: Parameter) -> None:
    fallen = [
        f"{name}: {wrong}"
        for name, value in VALUES
        if (wrong := _what_is_wrong(parameter, value)) and not raises_by_itself(name, wrong)
    ]
    assert not fallen


def _what_is_wrong(parameter: Parameter, value: Any) -> str | None:
    try:
        made = parameter.call(value)
        if (store := STORED.get(type(made))) is not None and store(made) != made:
            return "it is read back as something else"
        _ = repr(made) if type(made) in {*STORED, RetentionPolicy, JobType} else ""
    except EnfilaError as error:
        is_refused = isinstance(error, InvalidRequest) and is_a_sentence(error)
        return None if is_refused else f"no sentence: {type(error).__name__}"
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        return f"raises {type(error).__name__}"
    return None
