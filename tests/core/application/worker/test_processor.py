"""What a worker accepts as a processor, and what it makes of its annotations."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

import pytest
from pydantic import BaseModel

from enfila.core.application.queue.abstract_queue import AnyQueue
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.application.worker.running.processor import Processor
from enfila.core.application.worker.worker_service import WorkerService
from enfila.core.domain.errors import InvalidRequest, JobNotCompleted, ProcessorMissing
from enfila.core.domain.job.options import JobOptions
from tests.core.application.worker.conftest import MakeWorker
from tests.core.application.worker.unreliable_repository import UnreliableRepository

P = TypeVar("P")


class Welcome(BaseModel):
    to: str
    copies: int = 1


@dataclass
class Receipt:
    number: int


class Address(TypedDict):
    street: str


class Unknown:
    """Nothing that pydantic could rebuild."""


async def by_model(job: ActiveJob[Welcome]) -> Receipt:
    return Receipt(job.payload.copies)


def by_model_in_thread(job: SyncActiveJob[Welcome]) -> Welcome:
    return job.payload


async def by_dict(job: "ActiveJob[dict[str, int]]") -> int:
    return sum(job.payload.values())


async def by_typed_dict(job: ActiveJob[Address]) -> str:
    return job.payload["street"]


async def by_type_variable(job: ActiveJob[P]) -> str:
    return type(job.payload).__name__


async def by_unresolved(job: "ActiveJob[Nowhere]") -> str:  # type: ignore[name-defined]  # noqa: F821 - that is the example
    return type(job.payload).__name__


class Office:
    async def welcome(self, job: ActiveJob[Welcome]) -> str:
        return job.payload.to

    async def __call__(self, job: ActiveJob[Welcome]) -> str:
        return f"called for {job.payload.to}"


@pytest.mark.parametrize(
    "given",
    [
        None,
        "send",
        42,
        {},
        lambda: None,
        lambda job, more: None,
        Office,
        {"send": None},
        {1: by_model},
        {"": by_model},
    ],
    ids=[
        "none",
        "text",
        "number",
        "no names",
        "no argument",
        "two arguments",
        "class",
        "name without function",
        "name that is a number",
        "empty name",
    ],
)
async def test_what_cannot_be_called_with_a_job_is_refused_at_once(
    queue: AnyQueue, given: Any
) -> None:
    with pytest.raises(InvalidRequest, match="processor"):
        WorkerService(queue, given)


async def test_a_payload_type_that_pydantic_does_not_know_is_refused_at_once(
    queue: AnyQueue,
) -> None:
    async def send(job: ActiveJob[Unknown]) -> None: ...

    with pytest.raises(InvalidRequest, match="pydantic"):
        WorkerService(queue, send)


@pytest.mark.parametrize(
    ("processor", "payload", "result"),
    [
        (by_model, {"to": "ada", "copies": "3"}, {"number": 3}),
        (by_model_in_thread, {"to": "ada"}, {"to": "ada", "copies": 1}),
        (by_dict, {"a": 1, "b": 2}, 3),
        (by_typed_dict, {"street": "Rua"}, "Rua"),
        (by_type_variable, {"to": "ada"}, "dict"),
        (by_unresolved, {"to": "ada"}, "dict"),
        (Office().welcome, {"to": "ada"}, "ada"),
        (Office(), {"to": "ada"}, "called for ada"),
        (functools.partial(by_model), {"to": "ada"}, {"number": 1}),
    ],
    ids=[
        "model",
        "model in a thread",
        "dict",
        "typed dict",
        "type variable",
        "unresolved",
        "method",
        "object",
        "partial",
    ],
)
async def test_the_payload_has_the_type_of_the_annotation(
    queue: AnyQueue, make_worker: MakeWorker, processor: Any, payload: Any, result: Any
) -> None:
    job = await queue.add("welcome", payload)
    async with make_worker(processor):
        assert await job.result(timeout=5) == result


async def test_a_payload_that_does_not_fit_fails_for_good_with_the_reason(
    queue: AnyQueue, make_worker: MakeWorker
) -> None:
    job = await queue.add("welcome", {"copies": "many"}, JobOptions(attempts=5))
    async with make_worker(by_model):
        with pytest.raises(JobNotCompleted, match=r"does not fit.*Welcome.*copies"):
            await job.result(timeout=5)
    assert job.attempt == 1


async def test_a_mapping_takes_only_jobs_with_its_names(
    queue: AnyQueue, make_worker: MakeWorker, repository: UnreliableRepository
) -> None:
    async def name(job: ActiveJob[Any]) -> str:
        return f"async {job.name}"

    def plain(job: SyncActiveJob[Any]) -> str:
        return f"plain {job.name}"

    other, first, second = [await queue.add(name) for name in ("other", "first", "second")]
    async with make_worker({"first": name, "second": plain}):
        assert await first.result(timeout=5) == "async first"
        assert await second.result(timeout=5) == "plain second"
    await other.refresh()
    assert other.state == "waiting"
    assert repository.claims[0].names == frozenset({"first", "second"})


async def test_a_job_that_no_processor_knows_fails(queue: AnyQueue) -> None:
    processor = Processor({"first": by_model, "second": by_dict}, queue)
    with pytest.raises(ProcessorMissing, match="'third'; this worker knows: first, second"):
        processor.handler_for("third")


def _wrapping(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(job: Any) -> Any:
        return function(job)

    return wrapper


def _annotated(job: ActiveJob[Any]) -> Any:
    return by_model(job)


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (by_model, True),
        (functools.partial(functools.partial(by_model)), True),
        (Office(), True),
        (functools.partial(Office()), True),
        (Office().welcome, True),
        (_wrapping(by_model), True),
        (_annotated, True),
        (by_model_in_thread, False),
        (lambda job: by_model(job), False),  # noqa: PLW0108 - that is the example
        (len, False),
    ],
    ids=[
        "async",
        "partial of partial",
        "object",
        "partial of object",
        "method",
        "wrapped",
        "annotated",
        "plain",
        "lambda",
        "builtin",
    ],
)
async def test_async_functions_are_known_in_any_wrapping(
    queue: AnyQueue, function: Any, *, is_async: bool
) -> None:
    assert Processor(function, queue).handler_for("any").is_async is is_async
