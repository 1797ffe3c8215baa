import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, Json, computed_field

from enfila.core.application.queue.adding.payload_codec import PayloadCodec
from enfila.core.domain.errors import InvalidRequest, ResultRefused
from enfila.core.domain.json_document import NULL, JsonDocument


class Mail(BaseModel):
    to: str
    copies: int = 1
    at: datetime | None = None


@dataclass
class Point:
    x: float
    y: float | None = None


class Loose(BaseModel):
    any: Any


class Peculiar(BaseModel):
    """Whatever makes what is dumped differ from what is accepted."""

    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(alias="n")]
    text: Annotated[str, Field(serialization_alias="t")] = "a"
    inner: Json[list[int]] = Field(default_factory=list)
    numbers: set[int] = set()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.number * 2


PECULIAR = Peculiar.model_validate({"n": 2, "inner": "[1]"})
plain = PayloadCodec()


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1.5,
        "",
        "Zürich 🚀 \u2028",
        2**200,
        [],
        {},
        {"a": [1, {"b": None}], "": "empty key"},
    ],
)
def test_plain_json_comes_back_unaltered(value: Any) -> None:
    assert plain.read_payload(plain.write_payload(value)) == value
    assert plain.read_result(plain.write_result(value)) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"a": {"b": [1, math.nan]}}, r"give JSON: \$\.a\.b\[1\] is nan"),
        ({"a": math.inf}, r"\$\.a is inf"),
        ({"when": datetime(2026, 1, 1, tzinfo=UTC)}, r"\$\.when is a datetime"),
        ({1: "a"}, r"\$ has the key 1; JSON keys are strings"),
        ({"a": (1, 2)}, r"\$\.a is a tuple"),
        (b"bytes", r"\$ is a bytes"),
        ({"mails": [Mail(to="ada")]}, r"\$\.mails\[0\] is a Mail"),
        ("x" * 2_000_000, r"2,000,002 bytes, the limit is 1,048,576"),
    ],
)
def test_what_is_not_json_is_refused_with_place_and_reason(value: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=f"payload: .*{reason}"):
        plain.write_payload(value)
    with pytest.raises(ResultRefused, match=reason.removeprefix("give JSON: ")):
        plain.write_result(value)


def test_the_limit_can_be_set() -> None:
    codec = PayloadCodec(limit=5)
    assert codec.write_payload("abc").text == '"abc"'
    with pytest.raises(InvalidRequest, match="6 bytes, the limit is 5"):
        codec.write_payload("abcd")


def test_models_and_dataclasses_are_dumped_without_a_type() -> None:
    mail = Mail(to="ada", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert plain.write_payload(mail).value == {
        "to": "ada",
        "copies": 1,
        "at": "2026-01-01T00:00:00Z",
    }
    assert plain.write_result(Point(1.0)).value == {"x": 1.0, "y": None}


@pytest.mark.parametrize("value", [Point(1.0, math.nan), Loose(any={"a": [{"b": math.nan}]})])
def test_nan_in_a_model_is_refused_and_not_made_null(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="nan, which JSON has no number for"):
        plain.write_payload(value)
    with pytest.raises(ResultRefused, match="inf, which JSON has no number for"):
        PayloadCodec(result_type=Point).write_result({"x": math.inf})


def test_a_payload_type_validates_on_the_way_in_and_rebuilds_on_the_way_out() -> None:
    codec = PayloadCodec(Mail)
    document = codec.write_payload({"to": "ada", "copies": "2"})
    assert document.value == {"to": "ada", "copies": 2, "at": None}
    assert codec.read_payload(document) == Mail(to="ada", copies=2)


def test_what_does_not_fit_the_payload_type_is_refused_with_all_places() -> None:
    with pytest.raises(
        InvalidRequest, match=r"give a Mail: \$\.to Field required; \$\.copies Input should be"
    ):
        PayloadCodec(Mail).write_payload({"copies": "many"})


def test_of_many_wrong_places_only_the_first_are_named() -> None:
    with pytest.raises(InvalidRequest, match=r"\$\.2 .*; and 7 more"):
        PayloadCodec(list[int]).write_payload(["a"] * 10)


def test_a_result_type_validates_on_the_way_in_and_rebuilds_on_the_way_out() -> None:
    codec = PayloadCodec(result_type=list[Point])
    document = codec.write_result([Point(1.0), {"x": 2, "y": 3}])
    assert codec.read_result(document) == [Point(1.0), Point(2.0, 3.0)]
    with pytest.raises(ResultRefused, match=r"it is not a list.*Point.*: \$ Input should be"):
        codec.write_result(5)
    with pytest.raises(ResultRefused):
        codec.write_result(None)


@pytest.mark.parametrize("given", [PECULIAR, {"n": 2, "inner": "[1]"}])
def test_aliases_computed_fields_and_json_in_json_survive(given: Any) -> None:
    codec = PayloadCodec(Peculiar)
    rebuilt = codec.read_payload(codec.write_payload(given))
    assert rebuilt == PECULIAR


def test_an_annotation_is_a_type_too() -> None:
    codec = PayloadCodec(Literal["a", "b"] | None)
    assert codec.read_payload(codec.write_payload("a")) == "a"
    assert codec.write_payload(None) is not None
    with pytest.raises(InvalidRequest):
        codec.write_payload("c")


def test_what_was_stored_under_another_type_is_refused_on_the_way_out() -> None:
    codec = PayloadCodec(Mail, Mail)
    with pytest.raises(InvalidRequest, match=r"payload: .*what was stored is not a Mail: \$\.to"):
        codec.read_payload(JsonDocument("{}"))
    with pytest.raises(InvalidRequest, match="result: "):
        codec.read_result(NULL)


def test_a_type_that_pydantic_does_not_know_is_refused_when_it_is_needed() -> None:
    class Unknown:
        pass

    codec = PayloadCodec(Unknown)
    with pytest.raises(InvalidRequest, match=r"payload_type: .*give a type that pydantic knows"):
        codec.write_payload({})
