import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions, options_from_text
from enfila.core.domain.job.policies.backoff import Backoff
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.core.domain.job.policies.retention import Retention

AWARE = datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2)))
LENGTH = "give seconds or a timedelta, more than 0"
DELAY = "give seconds or a timedelta, 0 or more"
CENTURY = "at most a hundred years"
TAGS = "give at most 100 texts of 1 to 255 characters"

WRONG: list[tuple[str, Any, str]] = [
    ("attempts", 0, "give a whole number from 1 to 1,000,000"),
    ("attempts", 1_000_001, "give a whole number from 1 to 1,000,000"),
    ("attempts", 1.0, "give a whole number from 1 to 1,000,000"),
    ("attempts", True, "give a whole number from 1 to 1,000,000"),
    ("attempts", "3", "give a whole number from 1 to 1,000,000"),
    ("backoff", 5, "give a Backoff"),
    ("delay", -1, DELAY),
    ("delay", timedelta(seconds=-1), DELAY),
    ("delay", "1", DELAY),
    ("delay", True, DELAY),
    ("delay", float("nan"), CENTURY),
    ("delay", float("inf"), CENTURY),
    ("delay", 10**400, CENTURY),
    ("delay", timedelta(days=36_501), CENTURY),
    ("run_at", datetime(2026, 1, 1), "give an aware datetime (with a time zone)"),  # noqa: DTZ001
    ("run_at", 1_700_000_000, "give an aware datetime (with a time zone)"),
    ("priority", 2**31, "give a whole number from -2,147,483,647 to 2,147,483,647"),
    ("priority", -(2**31), "give a whole number from -2,147,483,647 to 2,147,483,647"),
    ("priority", 0.5, "give a whole number from -2,147,483,647 to 2,147,483,647"),
    ("priority", "high", "give a whole number from -2,147,483,647 to 2,147,483,647"),
    ("lifo", 1, "give True or False"),
    ("timeout", 0, LENGTH),
    ("timeout", -1, LENGTH),
    ("timeout", 1e-9, LENGTH),
    ("expires_in", 0, LENGTH),
    ("expires_in", "soon", LENGTH),
    ("deduplication", "key", "give a Deduplication"),
    ("remove_on_complete", "no", "give a Retention, True, False, a number of jobs or a timedelta"),
    ("remove_on_fail", 1.5, "give a Retention, True, False, a number of jobs or a timedelta"),
    ("tags", "red", TAGS),
    ("tags", 7, TAGS),
    ("tags", ["ok", ""], TAGS),
    ("tags", ["x" * 256], TAGS),
    ("tags", [7], TAGS),
    ("tags", ["a\x00b"], TAGS),
    ("tags", ["t"] * 101, TAGS),
    ("metadata", [1], "give a JSON object"),
    ("metadata", {"a": float("nan")}, "give a JSON object: $.a is nan"),
    ("metadata", {"a": object()}, "give a JSON object: $.a is a object"),
    ("metadata", {1: "a"}, "give a JSON object: $ has the key 1"),
    ("keep_logs", -1, "give a whole number from 0 to 2,147,483,647"),
]


@pytest.mark.parametrize(("field", "value", "allowed"), WRONG)
def test_a_wrong_option_is_refused_with_its_name_and_what_is_allowed(
    field: str, value: Any, allowed: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        JobOptions(**{field: value})
    message = str(refusal.value)
    assert message.startswith(f"{field}: ")
    assert "is not allowed" in message
    assert allowed in message
    assert refusal.value.field == field
    assert isinstance(refusal.value, ValueError)


def test_delay_and_run_at_exclude_each_other() -> None:
    with pytest.raises(InvalidRequest, match="give either delay or run_at, not both"):
        JobOptions(delay=1, run_at=AWARE)


@pytest.mark.parametrize("newest", [-1, -100])
def test_a_negative_number_of_jobs_cannot_be_kept(newest: int) -> None:
    with pytest.raises(InvalidRequest, match=r"retention\.newest: .* from 0 to"):
        JobOptions(remove_on_complete=newest)


def test_a_long_wrong_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        JobOptions(backoff="x" * 1000)  # type: ignore[arg-type]
    assert len(str(refusal.value)) < 200


RIGHT: list[tuple[str, Any, Any]] = [
    ("attempts", 1_000_000, 1_000_000),
    ("backoff", Backoff.fixed(1), Backoff.fixed(1)),
    ("delay", 0, timedelta(0)),
    ("delay", 1.5, timedelta(seconds=1.5)),
    ("delay", timedelta(minutes=1), timedelta(minutes=1)),
    ("run_at", AWARE, datetime(2026, 5, 1, 10, tzinfo=UTC)),
    ("priority", -(2**31 - 1), -(2**31 - 1)),
    ("lifo", False, False),
    ("timeout", 0.001, timedelta(milliseconds=1)),
    ("expires_in", timedelta(days=1), timedelta(days=1)),
    ("deduplication", Deduplication.replace("k"), Deduplication.replace("k")),
    ("remove_on_complete", True, Retention.nothing()),
    ("remove_on_complete", False, Retention.forever()),
    ("remove_on_complete", 5, Retention.keep_newest(5)),
    ("remove_on_fail", timedelta(days=2), Retention.for_time(timedelta(days=2))),
    ("remove_on_fail", Retention.keep_newest(3, age=9), Retention.keep_newest(3, age=9)),
    ("tags", ["a", "b"], ("a", "b")),
    ("tags", (tag for tag in "ab"), ("a", "b")),
    ("metadata", {"a": [None, 1, "ü"]}, {"a": [None, 1, "ü"]}),
    ("keep_logs", 0, 0),
]


@pytest.mark.parametrize(("field", "given", "kept"), RIGHT)
def test_a_right_option_is_kept_and_survives_storage(field: str, given: Any, kept: Any) -> None:
    options = JobOptions(**{field: given})
    assert getattr(options, field) == kept
    stored = options_from_text(options.to_text())
    assert stored == options
    assert getattr(stored, field) == kept


def test_all_options_survive_storage_together() -> None:
    options = JobOptions(
        attempts=4,
        backoff=Backoff.exponential(1, factor=3, maximum=60, jitter=0.5),
        delay=2,
        priority=-1,
        lifo=True,
        timeout=3,
        expires_in=4,
        deduplication=Deduplication.for_time("k", 5),
        remove_on_complete=Retention.keep_newest(6, age=7),
        remove_on_fail=False,
        tags=["x"],
        metadata={"y": {"z": 1}},
        keep_logs=8,
    )
    assert options_from_text(options.to_text()) == options
    assert pickle.loads(pickle.dumps(options)) == options


def test_default_options_take_no_room() -> None:
    assert JobOptions().to_text() == ""
    assert options_from_text("") is DEFAULT_OPTIONS
    assert JobOptions() == DEFAULT_OPTIONS


def test_the_defaults_are_those_of_the_design() -> None:
    options = JobOptions()
    assert (options.attempts, options.priority, options.lifo) == (1, 0, False)
    assert options.backoff == Backoff.none()
    assert (options.delay, options.run_at, options.timeout) == (timedelta(0), None, None)
    assert (options.remove_on_complete, options.remove_on_fail) == (None, None)
    assert (options.tags, options.metadata, options.keep_logs) == ((), {}, None)


def test_options_cannot_be_changed() -> None:
    options = JobOptions(attempts=2)
    with pytest.raises(AttributeError, match="immutable; make new ones to change attempts"):
        options.attempts = 3
    assert copy.deepcopy(options) == options


def test_equal_options_have_equal_hashes() -> None:
    said, default = JobOptions(attempts=1, priority=0), JobOptions()
    assert said == default
    assert hash(said) == hash(default)
    assert JobOptions(attempts=2) != default
    assert default != "options"


def test_what_is_left_out_comes_from_the_defaults_of_the_queue() -> None:
    defaults = JobOptions(attempts=5, priority=3, tags=["q"])
    options = JobOptions(priority=0).over(defaults)
    assert (options.attempts, options.priority, options.tags) == (5, 0, ("q",))
    assert JobOptions().over(defaults) == defaults
    assert defaults.over(JobOptions()) == defaults


def test_the_nearer_of_delay_and_run_at_wins() -> None:
    later = JobOptions(run_at=AWARE).over(JobOptions(delay=60))
    assert (later.delay, later.run_at) == (timedelta(0), AWARE)
    sooner = JobOptions(delay=1).over(JobOptions(run_at=AWARE))
    assert (sooner.delay, sooner.run_at) == (timedelta(seconds=1), None)


def test_options_show_what_was_given() -> None:
    assert repr(JobOptions(attempts=2, lifo=True)) == "JobOptions(attempts=2, lifo=True)"
