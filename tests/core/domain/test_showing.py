"""Whatever is quoted in a message, the message is short, on one line, and no second error."""

import logging
import pickle
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

import enfila
from enfila import InvalidRequest, JobError, JobOptions, NewJob
from enfila.core.application.emitter import Emitter
from enfila.core.domain import errors, events
from enfila.core.domain.json_document import JsonDocument
from enfila.core.domain.schedule import events as schedule_events
from enfila.core.domain.showing import (
    LONGEST_SHOWN,
    class_name,
    clipped,
    described,
    message_of,
    plain,
    shown,
)
from tests.wrong_values import HOSTILE, WRONG, deep_list

Make = Callable[[], Any]
MOST = 2_500

each_value = pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())


def is_fit_for_a_message(text: str, longest: int = LONGEST_SHOWN + 1) -> bool:
    return type(text) is str and text.isprintable() and 0 < len(text) <= longest


@each_value
def test_a_value_is_shown_in_short_on_one_line(make: Make) -> None:
    value = make()
    assert is_fit_for_a_message(shown(value), 300)
    assert is_fit_for_a_message(class_name(type(value)))
    assert plain(value) == "" or is_fit_for_a_message(plain(value), 1_001)


@pytest.mark.parametrize(
    "value",
    [
        *(1, -2.5, None, "it's", b"a", (), (1,), (1, 2), [], [1, [2]], {}, {"a": [1]}, set(), {1}),
        *(frozenset(), frozenset({1}), True, ..., int, datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_short_value_is_shown_as_python_does(value: Any) -> None:
    assert shown(value) == repr(value)


def test_what_is_long_ends_with_a_mark() -> None:
    assert shown("x" * 500) == f"'{'x' * 119}…"
    assert shown(list(range(1_000))).startswith("[0, 1, 2")
    assert shown(list(range(1_000)))[-1] == "…"
    assert clipped("abcdef", 3) == "abc…"
    assert shown(deep_list()) == "[[[[[[[…]]]]]]]"


def test_a_value_in_a_list_hides_only_itself() -> None:
    text = shown([1, HOSTILE["raises MemoryError"](), 2])
    assert text == "[1, <Hostile, which cannot be shown: MemoryError>, 2]"


def test_an_interrupt_by_the_user_goes_on() -> None:
    class Interrupted(Exception):
        def __repr__(self) -> str:
            raise KeyboardInterrupt

        __str__ = __repr__

    with pytest.raises(KeyboardInterrupt):
        _ = shown([Interrupted()])
    with pytest.raises(KeyboardInterrupt):
        _ = message_of(Interrupted())


@each_value
def test_a_refusal_quotes_any_value(make: Make) -> None:
    refusal = InvalidRequest("field", make(), "give another one")
    assert str(refusal).startswith("field: ")
    assert str(refusal).endswith(" is not allowed; give another one")
    assert is_fit_for_a_message(str(refusal), 400)


ERRORS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.EnfilaError) and "__init__" in vars(each)
    # They compare names, and tell a length of time.
    if each not in {errors.JobTypeNotFound, errors.AttemptTimedOut}
]


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_error_falls_over_what_it_is_about(kind: type[errors.EnfilaError], make: Make) -> None:
    value = make()
    arguments = {
        "known": [value],
        "allowed_from": [value],
        "problems": [value],
        "nearest": value,
    }
    names = kind.__init__.__code__.co_varnames[1 : kind.__init__.__code__.co_argcount]
    error = kind(*[arguments.get(name, value) for name in names])
    assert is_fit_for_a_message(str(error), 2 * MOST)
    assert is_fit_for_a_message(described(error), MOST)
    assert len(repr(error)) < 4 * MOST


class _Silent(Exception):
    def __init__(self, make: Make) -> None:
        self.make = make

    def __str__(self) -> str:
        return str(self.make())

    __repr__ = __str__


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_any_error_can_be_stored_and_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # A handler of its own, for pytest's report of the log cannot have every character.
    written = StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("enfila")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    with pytest.raises(_Silent) as caught:
        raise _Silent(make)
    stored = JobError.of(caught.value)
    assert is_fit_for_a_message(described(caught.value), 1_100)
    Emitter(frozenset()).report_error(caught.value, "a test")
    assert stored.type == "_Silent"
    assert len(stored.message) <= 4_096
    assert 0 < len(stored.trace) <= 16_384
    assert "\x00" not in stored.message
    [first, *_] = written.getvalue().splitlines()
    assert first.startswith("during a test: _Silent: ")
    assert len(first) < MOST


EVENTS = [
    each
    for module in (events, schedule_events)
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, events.Event) and hasattr(each, "name")
]


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_event_can_be_printed(kind: type[events.Event], make: Make) -> None:
    value = make()
    event = kind(**{each.name: value for each in fields(kind)})
    assert repr(event).startswith(f"{kind.__qualname__}(at=")
    assert is_fit_for_a_message(repr(event), MOST)


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_new_job_can_be_printed(make: Make) -> None:
    assert is_fit_for_a_message(repr(NewJob("a", make())), MOST)
    assert is_fit_for_a_message(repr(NewJob(make(), None, make())), MOST)


def test_what_holds_a_whole_document_is_printed_in_short() -> None:
    document = JsonDocument.of({"text": "x" * 1_000_000})
    assert is_fit_for_a_message(repr(document), 200)
    options = JobOptions(metadata={"text": "x" * 100_000}, tags=["t" * 255] * 100)
    assert is_fit_for_a_message(repr(options), MOST)
    assert pickle.loads(pickle.dumps(options)) == options
    assert is_fit_for_a_message(repr(enfila.Target("a", document, options)), MOST)
