"""A stored value reads back unaltered, or is refused."""

import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from enfila.core.domain.json_document import MOST_LEVELS, NULL, JsonDocument, JsonRefused
from tests.wrong_values import WRONG

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_reads_back_as_it_was(value: Any) -> None:
    document = JsonDocument.of(value)
    assert document.value == value
    assert JsonDocument(document.text).value == value
    assert document.text.isascii()
    assert "\x00" not in document.text


REFUSED: list[tuple[Any, str]] = [
    (math.nan, "$ is nan, which JSON has no number for"),
    ({"a": [1, math.inf]}, "$.a[1] is inf, which JSON has no number for"),
    (object(), "$ is a object, which JSON has no form for"),
    ({"when": datetime(2026, 1, 1)}, "$.when is a datetime"),  # noqa: DTZ001
    ([b"bytes"], "$[0] is a bytes"),
    ({1: "a"}, "$ has the key 1; JSON keys are strings"),
    ({None: "a"}, "$ has the key None; JSON keys are strings"),
    ((1, 2), "$ is a tuple"),
    ({"a": {"b": (1,)}}, "$.a.b is a tuple"),
    ({1, 2}, "$ is a set"),
    (Decimal("1.1"), "$ is a Decimal"),
]


@pytest.mark.parametrize(("value", "reason"), REFUSED)
def test_what_is_not_json_is_refused_with_its_place(value: Any, reason: str) -> None:
    with pytest.raises(JsonRefused) as refusal:
        JsonDocument.of(value)
    assert reason in str(refusal.value)


def test_nesting_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(JsonRefused, match="nested too deeply"):
        JsonDocument.of(deep)
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(JsonRefused):
        JsonDocument.of(endless)


@pytest.mark.parametrize("innermost", ["ascii", "ünicode", "\ud800", 1.5, None])
@pytest.mark.parametrize(
    "in_one", [lambda it: [it], lambda it: {"in": it}], ids=["lists", "objects"]
)
def test_a_value_may_be_nested_200_levels_deep(
    innermost: Any, in_one: Callable[[Any], Any]
) -> None:
    value = innermost
    for _ in range(MOST_LEVELS):
        value = in_one(value)
    document = JsonDocument.of(value)
    assert JsonDocument(document.text).value == value
    with pytest.raises(JsonRefused, match=r"^\$.* is nested too deeply: at most 200 levels are"):
        JsonDocument.of(in_one(value))


def test_a_deep_place_is_named_in_short() -> None:
    long_key = "k" * 100_000
    with pytest.raises(JsonRefused) as refusal:
        JsonDocument.of({long_key: {long_key: [object()]}})
    assert str(refusal.value).startswith("$.kkk")
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_any_value_is_stored_unaltered_or_refused_in_words(make: Callable[[], Any]) -> None:
    for value in (make(), [make()], {"a": make()}):
        assert _stored_or_refused(value)


def _stored_or_refused(value: Any) -> bool:
    try:
        document = JsonDocument.of(value)
    except JsonRefused as refusal:
        return 0 < len(str(refusal)) < 600
    return bool(JsonDocument(document.text).value == document.value)


def test_an_integer_that_python_would_not_read_back_is_refused() -> None:
    assert JsonDocument.of(10**4000).value == 10**4000
    with pytest.raises(JsonRefused):
        JsonDocument.of(10**5000)


def test_a_text_over_its_limit_is_refused() -> None:
    assert JsonDocument.of("x" * 98, limit=100).text == f'"{"x" * 98}"'
    with pytest.raises(JsonRefused, match="has 101 bytes, the limit is 100"):
        JsonDocument.of("x" * 99, limit=100)


def test_the_limit_counts_bytes_not_characters() -> None:
    with pytest.raises(JsonRefused):
        JsonDocument.of("ü" * 50, limit=100)


def test_documents_are_equal_when_their_texts_are() -> None:
    assert JsonDocument.of([1]) == JsonDocument("[1]")
    assert hash(JsonDocument.of([1])) == hash(JsonDocument("[1]"))
    assert JsonDocument.of(1) != JsonDocument.of(1.0)
    assert JsonDocument.of(None) == NULL
    assert NULL != "null"
    assert repr(JsonDocument.of([1])) == "JsonDocument('[1]')"


def test_a_value_is_decoded_apart_from_the_one_it_was_made_of() -> None:
    value = {"a": [1]}
    document = JsonDocument.of(value)
    value["a"].append(2)
    assert document.value == {"a": [1]}
