"""JobDecorator job types, and calling what was declared."""

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

from enfila import (
    ActiveJob,
    Backoff,
    InvalidRequest,
    JobOptions,
    JobTypeRegistry,
    SyncActiveJob,
)


@pytest.fixture
def types() -> JobTypeRegistry:
    return JobTypeRegistry()


def test_the_definition_holds_what_the_decorator_was_given(types: JobTypeRegistry) -> None:
    @types.job(
        "biz:pipeline",
        queue="biz",
        attempts=3,
        backoff=Backoff.fixed(5),
        timeout=60,
        priority=-1,
        options=JobOptions(attempts=9, tags=["biz"]),
        max_concurrency=2,
        display_name="The pipeline",
    )
    async def pipeline(to: str) -> None:
        """Moves the day's orders
        to the warehouse.

        Not read by people.
        """

    [definition] = types
    assert definition is types["biz:pipeline"] is pipeline.definition
    assert (definition.queue, definition.max_concurrency) == ("biz", 2)
    assert definition.display_name == "The pipeline"
    assert definition.description == "Moves the day's orders to the warehouse."
    assert definition.options == JobOptions(
        attempts=3, backoff=Backoff.fixed(5), timeout=60, priority=-1, tags=["biz"]
    )


async def test_without_a_name_the_one_of_the_function_or_class_is_taken(
    types: JobTypeRegistry,
) -> None:
    @types.job
    async def bare(value: int) -> int:
        """Doubles."""
        return value * 2

    @types.job()
    def called(value: int) -> int:
        return value * 2

    @types.job(queue="slow")
    async def moved(value: int) -> int:
        return value * 2

    class Doubling:
        async def run(self, value: int) -> int:
            return value * 2

    doubling = types.job(Doubling)
    assert [(each.name, each.queue) for each in types] == [
        ("bare", "default"),
        ("called", "default"),
        ("moved", "slow"),
        ("Doubling", "default"),
    ]
    assert bare.definition.description == "Doubles."
    for declared in (bare, called, moved, doubling):
        assert await declared.call_now(21) == 42


class NamelessTarget:
    def run(self) -> None: ...


@pytest.mark.parametrize("nameless", [lambda: None, partial(print), NamelessTarget()])
def test_what_has_no_name_has_to_be_given_one(types: JobTypeRegistry, nameless: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^name: this target has none .*types\.job\('name'\)"):
        types.job(nameless)
    assert not len(types)


def test_types_are_found_by_name_in_the_order_of_their_declaration(types: JobTypeRegistry) -> None:
    for name, queue in (("b", "two"), ("a", "one"), ("c", "two")):
        types.job(name, queue=queue)(lambda: None)
    assert [each.name for each in types] == ["b", "a", "c"]
    assert (len(types), types.queues) == (3, ["one", "two"])
    assert "a" in types
    assert "d" not in types


def test_a_name_is_declared_once(types: JobTypeRegistry) -> None:
    types.job("a")(lambda: None)
    with pytest.raises(InvalidRequest, match="name: 'a' is not allowed; a job type of this name"):
        types.job("a")(lambda: None)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"queue": ""}, "queue"),
        ({"attempts": 0}, "attempts"),
        ({"backoff": 3}, "backoff"),
        ({"timeout": -1}, "timeout"),
        ({"priority": "high"}, "priority"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"description": "\x00"}, "description"),
    ],
)
def test_a_wrong_definition_is_refused(
    types: JobTypeRegistry, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: "):
        types.job(**{"name": "a", **given})(lambda: None)
    assert len(types) == 0


# ── kinds of targets ─────────────────────────────────────────────────────────────────────────


async def test_a_declared_function_is_called_as_it_is(types: JobTypeRegistry) -> None:
    @types.job("double")
    async def double(value: int) -> int:
        """Doubles."""
        return value * 2

    @types.job("half")
    def half(value: int) -> float:
        return value / 2

    assert await double("a") == "aa"  # type: ignore[arg-type, comparison-overlap]
    assert half(3) == 1.5
    assert (double.__name__, double.__doc__, double.__module__) == ("double", "Doubles.", __name__)


async def test_a_plain_function_runs_in_a_thread(types: JobTypeRegistry) -> None:
    @types.job("where")
    def where(job: SyncActiveJob[Any]) -> bool:
        job.log("in a thread, where a log may be waited for")
        return threading.current_thread() is threading.main_thread()

    assert await where.call_now() is False


async def test_the_active_job_is_no_part_of_the_payload(types: JobTypeRegistry) -> None:
    @types.job("told")
    async def told(job: ActiveJob[Any], to: str) -> list[Any]:
        await job.log("hello")
        await job.update_progress(50)
        await job.extend_lock(60)
        return [job.name, job.attempt, job.payload]

    assert await told.call_now(to="ada") == ["told", 1, {"to": "ada"}]


async def test_a_plain_function_that_asks_for_the_async_job_runs_on_the_loop(
    types: JobTypeRegistry,
) -> None:
    @types.job("sly")
    def sly(job: ActiveJob[Any]) -> bool:
        return asyncio.get_running_loop().is_running()

    assert await sly.call_now() is True  # type: ignore[call-arg]


async def test_a_class_is_made_anew_for_each_run(types: JobTypeRegistry) -> None:
    class Pipeline:
        """Counts its runs."""

        def __init__(self) -> None:
            self.runs = 0

        async def run(self, step: int, job: ActiveJob[Any] | None = None) -> list[int]:
            self.runs += 1
            return [self.runs, step]

    pipeline = types.job("pipeline")(Pipeline)
    assert [await pipeline.call_now(step) for step in (1, 2)] == [[1, 1], [1, 2]]
    assert isinstance(pipeline(), Pipeline)
    assert types["pipeline"].description == "Counts its runs."


async def test_an_object_with_what_it_needs_can_be_declared(types: JobTypeRegistry) -> None:
    class Greeter:
        def __init__(self, greeting: str) -> None:
            self.greeting = greeting

        async def run(self, name: str) -> str:
            return f"{self.greeting}, {name}"

    greet = types.job("greet")(Greeter("Olá"))
    assert await greet.call_now(name="Ada") == "Olá, Ada"


def test_a_class_that_needs_arguments_is_refused(types: JobTypeRegistry) -> None:
    class Greeter:
        def __init__(self, greeting: str) -> None: ...

        async def run(self, name: str) -> str:
            return name

    with pytest.raises(InvalidRequest, match="no arguments to make it with"):
        types.job("greet")(Greeter)


# ── without an app ───────────────────────────────────────────────────────────────────────────


async def test_without_an_app_there_is_nowhere_to_add_jobs(types: JobTypeRegistry) -> None:
    send = types.job("send")(lambda: None)
    with pytest.raises(InvalidRequest, match=r"job_types: .* make Enfila"):
        await send.enqueue()


def test_a_wrong_option_is_refused_when_it_is_given(types: JobTypeRegistry) -> None:
    send = types.job("send")(lambda: None)
    with pytest.raises(InvalidRequest, match=r"^priority: "):
        send.with_options(priority="high")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"^options: .* give JobOptions"):
        send.with_options({"delay": 5})  # type: ignore[arg-type]


def test_a_limited_type_is_refused_in_a_queue_where_nobody_would_take_it() -> None:
    types = JobTypeRegistry()

    @types.job("slow", queue="slow", max_concurrency=1)
    async def slow() -> None: ...

    @types.job("quick", queue="quick")
    async def quick() -> None: ...

    assert types.terms("slow", "slow") is not None
    with pytest.raises(InvalidRequest, match="runs in its own queue 'slow'"):
        types.terms("quick", "slow")
    assert types.terms("slow", "quick") is not None
