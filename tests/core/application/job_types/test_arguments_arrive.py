"""Arguments and results of any type arrive as they are, or are refused with their place."""

import collections
import enum
import math
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    computed_field,
)
from typing_extensions import TypedDict

from enfila import Enfila, InvalidRequest, JobTypeRegistry, ResultRefused
from enfila.core.application.job_types.signature import Signature
from enfila.core.application.queue.adding.arrival import difference
from enfila.core.application.queue.adding.payload_codec import PayloadCodec
from enfila.core.domain.json_document import JsonDocument

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Pair(NamedTuple):
    left: int
    right: date


class Keys(TypedDict, total=False):
    at: datetime
    default: bytes


class Base(BaseModel):
    number: int


class More(Base):
    text: str = "more"


class Same(Base):
    pass


class Login(BaseModel):
    name: str
    password: SecretStr
    key: SecretBytes = SecretBytes(b"\xff\x00")
    raw: bytes = b"\xff"


@dataclass
class Credentials:
    token: SecretStr
    raw: bytes
    share: float = 0.0


@dataclass
class BaseData:
    number: int


@dataclass
class MoreData(BaseData):
    text: str = "more"


class Box(BaseModel, Generic[T]):
    content: T


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    born: date


class Hiding(BaseModel):
    kept: int
    lost: str = Field(default="usual", exclude=True)


class Private(BaseModel):
    number: int
    _note: str = PrivateAttr("usual")
    _lock: Any = PrivateAttr(default_factory=threading.Lock)


class Rich(BaseModel):
    model_config = ConfigDict(extra="allow")

    n: Annotated[int, Field(alias="number")]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.n * 2

    @cached_property
    def cached(self) -> int:
        return self.n


class RaisingEquality(BaseModel):
    number: int

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


class Node(BaseModel):
    secret: SecretStr
    next: "Node | None" = None


class Root(RootModel[list[bytes]]):
    pass


class Thing:
    """Of no class that pydantic knows, and without `__eq__`."""

    def __init__(self, number: int) -> None:
        self.number = number


class Opaque:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


AThing = Annotated[
    Thing,
    PlainSerializer(lambda it: it.number, return_type=int),
    AfterValidator(lambda it: it),
]


class HasThing(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    thing: Thing


Stripped = Annotated[str, AfterValidator(lambda text: text.strip().lower())]
Growing = Annotated[int, AfterValidator(lambda number: number + 1)]
rich = Rich.model_validate({"number": 2, "more": [1]})
_ = rich.cached

ARRIVES: list[tuple[Any, Any]] = [
    (int, 2**200),
    (float, -0.0),
    (float, 1e300),
    (str, "Zürich 🚀\x00\u2028"),
    (bool, True),
    (int | float, 1.0),
    (int | str, "1"),
    (str | int | None, 1),
    (bytes, b"\xff\x00"),
    (bytes, b"text"),
    (list[bytes], [b"", b"\xfe"]),
    (dict[str, bytes], {"default": b"\xff"}),
    (Keys, {"at": datetime(2026, 1, 1, tzinfo=UTC), "default": b"\xff"}),
    (SecretStr, SecretStr("hunter2")),
    (SecretBytes, SecretBytes(b"\xffhunter2")),
    (Secret[date], Secret[date](date(2026, 1, 1))),
    (list[SecretStr], [SecretStr("a"), SecretStr("b")]),
    (dict[SecretStr, int], {SecretStr("a"): 1, SecretStr("b"): 2}),
    (SecretStr | None, None),
    (Login, Login(name="ada", password=SecretStr("hunter2"))),
    (dict[str, list[Login]], {"a": [Login(name="ada", password=SecretStr("ü"))]}),
    (Credentials, Credentials(SecretStr("hunter2"), b"\xff", 1)),
    (Node, Node(secret=SecretStr("a"), next=Node(secret=SecretStr("b")))),
    (Box[Login], Box[Login](content=Login(name="ada", password=SecretStr("x")))),
    (Box[bytes], Box[bytes](content=b"\xff")),
    (Root, Root([b"\xff"])),
    (Decimal, Decimal("1.10")),
    (Decimal, Decimal("-1E+400")),
    (Fraction, Fraction(1, 3)),
    (UUID, UUID(int=7)),
    (datetime, datetime(2026, 1, 1, 12, 0, 0, 1)),  # noqa: DTZ001 - that is the case
    (datetime, datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    (datetime, datetime(2026, 5, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
    (datetime, datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))),
    (date, date(1, 1, 1)),
    (time, time(1, 2, 3, 4)),
    (timedelta, timedelta(days=-3, microseconds=1)),
    (Colour, Colour.RED),
    (Level, Level.LOW),
    (dict[Colour, Level], {Colour.RED: Level.LOW}),
    (dict[int, date], {1: date(2026, 1, 1)}),
    (Path, Path("a/b")),
    (IPv4Address, IPv4Address("127.0.0.1")),
    (HttpUrl, HttpUrl("http://example.org/a")),
    (re.Pattern[str], re.compile("a+")),
    (set[date], {date(2026, 1, 1), date(2026, 1, 2)}),
    (frozenset[tuple[int, str]], frozenset({(1, "a")})),
    (tuple[int, date], (1, date(2026, 1, 1))),
    (tuple[int, ...], (1, 2)),
    (Pair, Pair(1, date(2026, 1, 1))),
    (collections.deque[int], collections.deque([1, 2])),
    (collections.defaultdict[str, list[int]], collections.defaultdict(list, a=[1])),
    (Annotated[Cat | Dog, Field(discriminator="kind")], Dog(born=date(2026, 1, 1))),
    (list[Cat | Dog], [Cat(lives=7), Dog(born=date(2026, 1, 1))]),
    (Base | More, More(number=1)),
    (Base, Base(number=1)),
    (BaseData, BaseData(1)),
    (Hiding, Hiding(kept=1)),
    (Private, Private(number=1)),
    (Rich, rich),
    (RaisingEquality, RaisingEquality(number=1)),
    (Any, {"a": [1, None, 1.5, True, "x"]}),
    (object, ["a", {"b": {}}]),
    (dict, {"a": [1]}),
    (list, [1, "a"]),
]

note = Private(number=1)
note._note = "changed"  # noqa: SLF001
mutated = Base(number=1)
mutated.number = "5"  # type: ignore[assignment]

REFUSED: list[tuple[Any, Any, str]] = [
    (Any, date(2026, 1, 1), r"\$\.value is a date, and would come back as a str"),
    (object, {"a": [(1, 2)]}, r"\$\.value\.a\[0\] is a tuple, and would come back as a list"),
    (dict, {1: 2}, r"\$\.value\.\(key 1\) is a int, and would come back as a str"),
    (dict, {"a": Decimal(1)}, r"\$\.value\.a is a Decimal"),
    (dict, {1: 1, "1": 1}, r"\$\.value\[1\] would be lost"),
    (list, [UUID(int=1)], r"\$\.value\[0\] is a UUID"),
    (Any, Colour.RED, r"\$\.value is a Colour"),
    (Any, Level.LOW, r"\$\.value is a Level"),
    (Any, {1, 2}, r"\$\.value is a set"),
    (Any, b"text", r"\$\.value is a bytes"),
    (Any, Base(number=1), r"\$\.value is a Base, and would come back as a dict"),
    (Any, SecretStr("hunter2"), r"\$\.value is a SecretStr"),
    (list[Any], [math.nan], r"\$\.value\[0\] is nan, which JSON has no number for"),
    (Any, Thing(1), r"\$\.value is a Thing"),
    (Any, {"a": [Opaque()]}, r"\$\.value\.a\[0\] is a Opaque"),
    (dict[str, Any], {"a": "\ud800"}, r"\$\.value\.a is a str: "),
    (str, "\ud800", r"\$\.value"),
    (list[str], ["é", "\udfff"], r"\$\.value"),
    (float, math.nan, r"\$\.value is nan, which JSON has no number for"),
    (float | None, math.inf, r"\$\.value is inf, which JSON has no number for"),
    (dict[tuple[int, int], int], {(1, 2): 3}, r"\$\.value\.1,2\.\[key\] Input should be"),
    (str | bytes, b"\xff", r"\$\.value is a bytes, and would come back as a str"),
    (str | date, date(2026, 1, 1), r"\$\.value is a date, and would come back as a str"),
    (re.Pattern[str], re.compile("a", re.IGNORECASE), r"\$\.value is re\.compile"),
    (Base, More(number=1), r"\$\.value is a More, and would come back as a Base"),
    (Base, Same(number=1), r"\$\.value is a Same, and would come back as a Base"),
    (list[BaseData], [MoreData(1)], r"\$\.value\[0\] is a MoreData"),
    (Base, mutated, r"\$\.value\.number is a str, and would come back as a int"),
    (Hiding, Hiding(kept=1, lost="x"), r"\$\.value\.lost is 'x', and would come back as 'usual'"),
    (list[Hiding], [Hiding(kept=1, lost="x")], r"\$\.value\[0\]\.lost"),
    (Private, note, r"\$\.value\._note is 'changed', and would come back as 'usual'"),
    (Rich, Rich.model_validate({"number": 1, "more": (1,)}), r"\$\.value\.more is a tuple"),
    (Box[Any], Box[Any](content=date(2026, 1, 1)), r"\$\.value\.content is a date"),
    (HasThing, HasThing(thing=Thing(1)), r"\$\.value\.thing is a Thing"),
    (Growing, 1, r"\$\.value is 2, and would come back as 3"),
]


def taking(kind: Any) -> PayloadCodec:
    def function(value): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - given below

    function.__annotations__ = {"value": kind, "return": dict[Literal["value"], kind]}
    return Signature("typed", function, is_method=False).codec


@pytest.mark.parametrize(("kind", "value"), ARRIVES)
def test_what_is_taken_arrives_as_it_is(kind: Any, value: Any) -> None:
    codec = taking(kind)
    arrived = codec.read_payload(codec.write_payload({"value": value}))
    assert difference({"value": value}, arrived) is None
    back = codec.read_result(codec.write_result({"value": value}))
    assert difference({"value": value}, back) is None
    # What was stored can be stored again: a schedule does so.
    document = codec.write_payload({"value": value})
    assert codec.rewritten(document) == document


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED)
def test_what_would_arrive_changed_is_refused_with_its_place(
    kind: Any, value: Any, reason: str
) -> None:
    codec = taking(kind)
    with pytest.raises(InvalidRequest, match=f"payload: .*{reason}"):
        codec.write_payload({"value": value})
    with pytest.raises(ResultRefused, match=reason):
        codec.write_result({"value": value})


def test_the_validated_value_is_the_one_that_arrives() -> None:
    for kind, given_value, valid in [
        (int, "1", 1),
        (Stripped, "  ADA ", "ada"),
        (datetime, "2026-05-01T00:00:00Z", datetime(2026, 5, 1, tzinfo=UTC)),
        (Base, {"number": "1"}, Base(number=1)),
        (tuple[int, ...], [1, 2], (1, 2)),
        (float, 1, 1.0),
        (SecretStr, "hunter2", SecretStr("hunter2")),
    ]:
        codec = taking(kind)
        arrived = codec.read_payload(codec.write_payload({"value": given_value}))
        assert difference({"value": valid}, arrived) is None


def test_an_iterable_is_not_used_up_before_it_is_stored() -> None:
    codec = taking(Iterable[int])
    arrived = codec.read_payload(codec.write_payload({"value": iter([1, 2])}))
    assert list(arrived["value"]) == [1, 2]
    with pytest.raises(InvalidRequest, match=r"\$\.value\[0\] is a date"):
        taking(Iterable[Any]).write_payload({"value": [date(2026, 1, 1)]})


def test_bytes_travel_as_base64() -> None:
    assert taking(bytes).write_payload({"value": b"\xff"}).value == {"value": "_w=="}


@pytest.mark.parametrize("kind", [SecretStr, list[SecretStr], Login, Node, Credentials])
def test_no_error_shows_a_secret(kind: Any) -> None:
    codec = taking(kind)
    for wrong in ("hunter2", {"password": "hunter2", "secret": "hunter2"}, ["hunter2", 5]):
        for call in (
            lambda wrong=wrong: codec.write_payload({"value": wrong, "valeu": "hunter2"}),
            lambda wrong=wrong: codec.read_payload(
                JsonDocument.of({"value": wrong, "valeu": "hunter2"})
            ),
            lambda wrong=wrong: PayloadCodec(result_type=kind | int).read_result(
                JsonDocument.of({"wrong": "hunter2"})
            ),
        ):
            with pytest.raises(InvalidRequest) as refused:
                call()
            assert "hunter2" not in f"{refused.value} {refused.value.value}"


def test_other_arguments_than_secrets_are_still_shown() -> None:
    def log_in(name: str, password: SecretStr) -> None: ...

    signature = Signature("log in", log_in, is_method=False)
    with pytest.raises(InvalidRequest, match=r"'name': 5, 'password': '[*]+'"):
        signature.codec.write_payload({"name": 5, "password": "hunter2"})
    with pytest.raises(InvalidRequest, match=r"\('ada', '[*]+', '[*]+', pasword='[*]+'\)"):
        signature.arguments(("ada", "hunter2", "hunter2"), {"pasword": "hunter2"})


async def test_secrets_reach_the_function(types: JobTypeRegistry) -> None:
    @types.job("log in")
    async def log_in(login: Login, again: SecretStr) -> Login:
        assert again.get_secret_value() == "hunter2"
        return login

    login = Login(name="ada", password=SecretStr("hunter2"))
    assert await log_in.call_now(login, again=SecretStr("hunter2")) == login


def test_secrets_and_bytes_in_a_plain_payload_are_whole() -> None:
    plain = PayloadCodec()
    assert plain.write_payload(Login(name="ada", password=SecretStr("hunter2"))).value == {
        "name": "ada",
        "password": "hunter2",
        "key": "_wA=",
        "raw": "_w==",
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
any_values = st.recursive(
    json_values | st.dates() | st.decimals() | st.binary() | st.uuids() | st.timedeltas(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.dates(), inner)
    ),
)
typed_values: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just(Any), any_values),
    st.tuples(st.just(dict[str, Any]), st.dictionaries(st.text(), any_values)),
    st.tuples(st.just(dict[date, list[bytes]]), st.dictionaries(st.dates(), st.lists(st.binary()))),
    st.tuples(st.just(set[Decimal]), st.sets(st.decimals(allow_nan=False))),
    st.tuples(st.just(datetime), st.datetimes(timezones=st.none() | st.timezones())),
    st.tuples(st.just(time), st.times()),
    st.tuples(st.just(timedelta), st.timedeltas()),
    st.tuples(st.just(list[int | float | str | bool | None]), st.lists(json_values)),
    st.tuples(st.just(SecretBytes), st.binary()),
    st.tuples(st.just(Box[Any]), st.builds(Box[Any], content=any_values)),
)


@given(typed_values)
def test_any_value_arrives_or_is_refused(case: tuple[Any, Any]) -> None:
    kind, value = case
    codec = PayloadCodec(kind, kind)
    try:
        document = codec.write_payload(value)
    except InvalidRequest:
        with pytest.raises(ResultRefused):
            codec.write_result(value)
        return
    arrived = codec.read_payload(document)
    if kind is SecretBytes:
        value = SecretBytes(value)
    assert type(arrived) is type(value)
    assert arrived == value or difference(value, arrived) is None
    assert codec.read_result(codec.write_result(value)) == arrived


@pytest.fixture
def types() -> JobTypeRegistry:
    return JobTypeRegistry()


async def test_no_repr_of_a_job_or_a_schedule_shows_its_arguments() -> None:
    types = JobTypeRegistry()

    @types.job("log in")
    async def log_in(password: SecretStr, raw: bytes) -> None: ...

    async with Enfila("memory://", job_types=types) as app:
        job = await log_in.enqueue(SecretStr("hunter2"), b"\xff")
        storage: Any = app.storage
        stored = await storage.jobs.get(job.id)
        schedule = log_in.schedule("daily", "0 7 * * *")(SecretStr("hunter2"), b"\xff")
        created = await app.schedules.create(schedule)
        for shown in (job, stored, schedule, created):
            assert "hunter2" not in repr(shown)
        # Created from JSON: base64 is not written twice.
        assert (
            job.payload
            == schedule.target.document.value
            == {
                "password": "hunter2",
                "raw": "_w==",
            }
        )
