"""Arguments on their way into a job and back, and what is no job type."""

import enum
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from pydantic import BaseModel, Field

from enfila import ActiveJob, InvalidRequest, JobTypeRegistry, ResultRefused, Retry, Snooze
from enfila.core.application.job_types.signature import Signature


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Address:
    street: str
    number: int


class Order(BaseModel):
    id: UUID
    at: datetime
    to: Address


ORDER = Order(
    id=UUID(int=7), at=datetime(2026, 5, 1, tzinfo=UTC), to=Address(street="Rua A", number=3)
)


@pytest.fixture
def types() -> JobTypeRegistry:
    return JobTypeRegistry()


async def test_arguments_are_rebuilt_in_the_types_of_the_parameters(
    types: JobTypeRegistry,
) -> None:
    seen: list[Any] = []

    @types.job("ship")
    async def ship(order: Order, colour: Colour, tags: set[str]) -> None:
        seen.extend([order, colour, tags])

    await ship.call_now(ORDER, Colour.RED, tags={"a"})
    assert seen == [ORDER, Colour.RED, {"a"}]


async def test_a_first_parameter_named_job_without_annotation_gets_the_active_job(
    types: JobTypeRegistry,
) -> None:
    @types.job
    async def on_loop(job, to: str) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001 - it is meant
        return f"{type(job).__name__} {to}"

    @types.job
    def in_thread(job, to: str) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001 - it is meant
        return f"{type(job).__name__} {to}"

    class Method:
        async def run(self, job, to: str) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001 - it is meant
            return f"{type(job).__name__} {to}"

    assert await on_loop.call_now(to="a") == "ActiveJob a"
    assert await in_thread.call_now("a") == "SyncActiveJob a"
    for target in (Method, Method()):
        declared: Any = types.job(f"by {target}")(target)
        assert await declared.call_now("a") == "ActiveJob a"


async def test_a_parameter_named_job_is_an_argument_where_it_says_so(
    types: JobTypeRegistry,
) -> None:
    @types.job
    async def annotated(job: str) -> str:
        return job

    @types.job
    async def with_default(job="none"):  # type: ignore[no-untyped-def]  # noqa: ANN001,ANN202 - it is meant
        return job

    @types.job
    async def second(to: str, job) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001 - it is meant
        return f"{to} {job}"

    assert await annotated.call_now("baker") == "baker"
    assert await with_default.call_now("baker") == "baker"
    assert await second.call_now("ada", "baker") == "ada baker"


def typed(
    number: int, share: float, text: str, *, at: datetime, key: UUID, colours: list[Colour] | None
) -> None: ...


values = st.fixed_dictionaries(
    {
        "number": st.integers(),
        "share": st.floats(allow_nan=False, allow_infinity=False),
        "text": st.text(st.characters(codec="utf-8")),
        "at": st.datetimes(timezones=st.just(UTC)),
        "key": st.uuids(),
        "colours": st.none() | st.lists(st.sampled_from(Colour)),
    }
)


@given(values)
def test_arguments_read_back_as_they_were_given(arguments: dict[str, Any]) -> None:
    signature = Signature("typed", typed, is_method=False)
    document = signature.codec.write_payload(signature.arguments((), arguments))
    assert signature.codec.read_payload(document) == arguments


async def test_json_is_as_good_as_the_values_that_it_stands_for(types: JobTypeRegistry) -> None:
    @types.job("later")
    async def later(at: datetime, count: int = 1) -> datetime:
        return at.replace(day=count)

    assert await later.call_now("2026-05-01T00:00:00Z", count="3") == datetime(  # type: ignore[arg-type]
        2026, 5, 3, tzinfo=UTC
    )


async def test_what_a_caller_leaves_out_is_left_to_the_function(types: JobTypeRegistry) -> None:
    @types.job("count")
    async def count(first: int, second: int = 2, *, third: int = 3) -> list[int]:
        return [first, second, third]

    assert await count.call_now(1) == [1, 2, 3]
    assert await count.call_now(1, third=30) == [1, 2, 30]


@pytest.mark.parametrize(
    "name",
    ["self", "args", "options", "session", "delay", "model_config", "copy", "_hidden", "payload"],
)
async def test_a_parameter_may_have_any_name(types: JobTypeRegistry, name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"async def named({name}: int) -> int: return {name}", scope)
    declared: Any = types.job("named")(scope["named"])
    assert await declared.call_now(**{name: 5}) == 5


async def test_a_parameter_without_annotation_takes_any_json(types: JobTypeRegistry) -> None:
    @types.job("any")
    async def anything(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - that is the case
        return value

    assert await anything.call_now({"a": [1, None]}) == {"a": [1, None]}


async def test_a_constraint_of_an_annotation_counts(types: JobTypeRegistry) -> None:
    @types.job("few")
    async def few(count: Annotated[int, Field(gt=0)]) -> int:
        return count

    assert await few.call_now(1) == 1
    with pytest.raises(
        InvalidRequest, match=r"payload of 'few': \$\.count Input should be greater"
    ):
        await few.call_now(0)


async def test_a_call_that_the_function_does_not_take_is_refused_with_its_signature(
    types: JobTypeRegistry,
) -> None:
    @types.job("send")
    async def send(job: ActiveJob[Any], to: str, copies: int = 1) -> None: ...

    with pytest.raises(InvalidRequest) as refused:
        await send.call_now("ada", too=1)
    assert str(refused.value) == (
        "arguments: 'send' cannot be called with ('ada', too=1); "
        "got an unexpected keyword argument 'too'; it takes (to: str, copies: int = 1)"
    )
    with pytest.raises(InvalidRequest, match="missing a required argument: 'to'"):
        await send.call_now()


async def test_an_argument_that_does_not_fit_is_refused_with_its_place(
    types: JobTypeRegistry,
) -> None:
    @types.job("ship")
    async def ship(order: Order) -> None: ...

    wrong = {"id": "x", "at": "2026-05-01T00:00:00Z", "to": {"street": "a", "number": 1}}
    with pytest.raises(InvalidRequest, match=r"payload of 'ship': \$\.order\.id "):
        await ship.call_now(wrong)  # type: ignore[arg-type]


async def test_the_result_is_written_and_read_by_the_return_type(types: JobTypeRegistry) -> None:
    @types.job("whole")
    async def whole(order: Order) -> Order:
        return order

    @types.job("wrong")
    async def wrong() -> int:
        return "seven"  # type: ignore[return-value]

    assert await whole.call_now(ORDER) == ORDER
    with pytest.raises(ResultRefused, match="it is not an int"):
        await wrong.call_now()


async def test_words_that_end_a_run_are_no_part_of_the_result(types: JobTypeRegistry) -> None:
    @types.job("maybe")
    async def maybe(wait: float) -> int | Snooze:
        return Snooze(wait) if wait else 7

    @types.job("again")
    async def again() -> Retry:
        return Retry("not yet")

    assert await maybe.call_now(0) == 7
    with pytest.raises(Snooze):
        await maybe.call_now(5)
    with pytest.raises(Retry, match="not yet"):
        await again.call_now()


def several(*args: int) -> None: ...
def by_name(**kwargs: int) -> None: ...
def by_place(first: int, /) -> None: ...
def of_a_strange_type(value: ModuleNotFoundError) -> None: ...
def with_a_strange_result() -> ModuleNotFoundError:
    return ModuleNotFoundError()


def with_an_unknown_name(value: "NoSuchType") -> None: ...  # type: ignore[name-defined]  # noqa: F821


def counting(count: int) -> "Iterator[int]":
    yield from range(count)


async def counting_slowly(count: int) -> "AsyncIterator[int]":
    yield count


def with_a_wrong_annotation(value: "int | 'x' + 1") -> None: ...  # type: ignore[valid-type]  # noqa: F821


def _of_a_class(kind: type) -> None: ...


class Abstract(ABC):
    @abstractmethod
    def run(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (counting, "it has `yield`"),
        (counting_slowly, "it has `yield`"),
        (partial(counting, 1), "it has `yield`"),
        (partial(Colour), "a partial of a class"),
        (Abstract, "the class is abstract"),
        (with_a_wrong_annotation, "one of its annotations cannot be evaluated: TypeError: "),
        (min, "Python cannot tell its parameters"),
        (classmethod(_of_a_class), "give a function, a class with a method `run`"),
        (several, "no \\*args, \\*\\*kwargs or `/`"),
        (by_name, "no \\*args, \\*\\*kwargs or `/`"),
        (by_place, "no \\*args, \\*\\*kwargs or `/`"),
        (of_a_strange_type, "types for JSON: .*ModuleNotFoundError"),
        (with_a_strange_result, "types for JSON: .*ModuleNotFoundError"),
        (with_an_unknown_name, "name 'NoSuchType' is not defined"),
        (7, "give a function, a class with a method `run`, or an object with one"),
        (Colour, "a class with a method `run`"),
    ],
    ids=itertools.count(),
)
def test_what_cannot_be_a_job_type_is_refused_when_it_is_declared(
    types: JobTypeRegistry, function: Any, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^job type 'odd': .*{reason}"):
        types.job("odd")(function)
    assert "odd" not in types


class Adder:
    """Adds."""

    amount: "NoSuchType"  # type: ignore[name-defined]  # noqa: F821

    def __call__(self, number: int, more: int = 1) -> int:
        return number + more


class SlowAdder:
    async def __call__(self, number: int) -> int:
        return number + 1


def add(number: int, more: int) -> int:
    """Adds two numbers."""
    return number + more


async def add_slowly(more: int, number: int) -> int:
    return number + more


@pytest.mark.parametrize(
    "function",
    [
        Adder(),
        SlowAdder(),
        Adder().__call__,
        partial(add, more=1),
        partial(add_slowly, 1),
        partial(partial(add_slowly, 1)),
        partial(Adder(), more=1),
        staticmethod(partial(add, more=1)),
        lru_cache(Adder().__call__),
    ],
    ids=itertools.count(),
)
async def test_whatever_can_be_called_is_a_job_type(types: JobTypeRegistry, function: Any) -> None:
    declared = types.job("add")(function)
    assert await declared.call_now(number=41) == 42
    with pytest.raises(InvalidRequest, match=r"payload of 'add'"):
        await declared.call_now(number="many")


def test_a_partial_is_described_by_its_function(types: JobTypeRegistry) -> None:
    assert types.job("add")(partial(add, more=1)).definition.description == "Adds two numbers."
