"""What is nested too deeply, or is no JSON at all, is refused in words where it is handed in."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from enfila import InvalidRequest, JobOptions, JobState, NewJob, QueueService, WorkerService
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.domain.errors import ResultRefused
from tests.infrastructure.queue.bench import Bench, Queue
from tests.wrong_values import (
    HOSTILE,
    circular_dict,
    circular_list,
    deep_dict,
    deep_list,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

Make = Callable[[], Any]

TOO_DEEP: Mapping[str, Make] = {
    "201 levels": lambda: deep_list(201),
    "250 levels": lambda: deep_list(250),
    "300 levels": lambda: deep_list(300),
    "500 levels": lambda: deep_list(500),
    "990 levels": lambda: deep_list(990),
    "2,000 levels": deep_list,
    "100,000 levels": lambda: deep_list(100_000),
    "objects": deep_dict,
    "within an object": lambda: {"a": [{"b": deep_list()}]},
    "circular list": circular_list,
    "circular object": circular_dict,
}
NOT_JSON: Mapping[str, Make] = {
    name: make
    for name, make in HOSTILE.items()
    if name.startswith(("raises", "in a", "repr", "nameless", "deep tuple"))
}
each_refused = pytest.mark.parametrize(
    "make", [*TOO_DEEP.values(), *NOT_JSON.values()], ids=[*TOO_DEEP, *NOT_JSON]
)
each_deep = pytest.mark.parametrize("make", TOO_DEEP.values(), ids=TOO_DEEP.keys())


class Holder(BaseModel, extra="forbid"):
    inner: Any = None


class Node(BaseModel):
    next: "Node | None" = None


def is_a_sentence(refusal: InvalidRequest, field: str) -> bool:
    text = str(refusal)
    return refusal.field == field and text.startswith(f"{field}: ") and len(text) < 800


@each_refused
async def test_a_payload_is_refused_before_it_is_written(queue: Queue, make: Make) -> None:
    for payload in (make(), [make()], {"a": make()}):
        with pytest.raises(InvalidRequest) as refusal:
            await queue.add("a", payload)
        assert is_a_sentence(refusal.value, "payload")
    with pytest.raises(InvalidRequest) as refusal:
        await queue.add_bulk([NewJob("a", 1), ("a", make()), {"name": "a"}])
    assert is_a_sentence(refusal.value, "payload")
    with pytest.raises(InvalidRequest):
        queue.add_sync("a", make())
    assert (await queue.counts()).total == 0


@each_refused
async def test_an_instance_of_a_model_is_refused_like_what_it_holds(
    queue: Queue, make: Make
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        await queue.add("a", Holder.model_construct(inner=make()))
    assert is_a_sentence(refusal.value, "payload")
    assert (await queue.counts()).total == 0


@each_refused
async def test_what_is_no_payload_of_the_queues_type_is_refused(queue: Queue, make: Make) -> None:
    for kind in (Any, list[Any], Holder, dict[str, Any]):
        typed: Any = QueueService(queue.name, queue._repository, payload_type=kind)  # noqa: SLF001
        with pytest.raises(InvalidRequest) as refusal:
            await typed.add("a", make())
        assert is_a_sentence(refusal.value, "payload")
        await typed.close()
    assert (await queue.counts()).total == 0


async def test_a_chain_of_models_is_refused_when_it_is_too_deep(queue: Queue) -> None:
    def chain(length: int) -> Node:
        node = Node()
        for _ in range(length):
            node = Node.model_construct(next=node)
        return node

    assert (await queue.add("a", chain(100))).payload is not None
    for length in (250, 2_000):
        with pytest.raises(InvalidRequest) as refusal:
            await queue.add("a", chain(length))
        assert is_a_sentence(refusal.value, "payload")


@each_refused
async def test_metadata_is_refused(make: Make) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        JobOptions(metadata={"a": make()})
    assert is_a_sentence(refusal.value, "metadata")
    with pytest.raises(InvalidRequest):
        JobOptions().annotated(metadata={"a": make()})


@each_refused
async def test_progress_and_log_lines_are_refused(bench: Bench, make: Make) -> None:
    await bench.queue.add("a")
    job = await bench.fetch_one()
    with pytest.raises(InvalidRequest) as refusal:
        await bench.queue.update_job_progress(job, {"a": make()})
    assert is_a_sentence(refusal.value, "progress")
    with pytest.raises(InvalidRequest) as refusal:
        await bench.queue.update_job_progress(job, make())
    assert is_a_sentence(refusal.value, "progress")
    with pytest.raises(InvalidRequest) as refusal:
        await bench.queue.add_job_log(job, make())
    assert is_a_sentence(refusal.value, "line")
    with pytest.raises(ResultRefused):
        await bench.queue.mark_job_as_completed(job, make())
    handle = await bench.queue.get_job(job.id)
    assert handle is not None
    assert handle.state is JobState.ACTIVE
    assert handle.progress is None
    assert await handle.logs() == []


@each_deep
async def test_an_attempt_fails_over_a_result_that_is_too_deep(queue: Queue, make: Make) -> None:
    refused: list[InvalidRequest] = []

    async def run(job: Any) -> Any:
        for say in (job.log, job.update_progress):
            try:
                await say(make())
            except InvalidRequest as refusal:
                refused.append(refusal)
        return make()

    added = await queue.add("a")
    options = WorkerOptions(maintenance=None, handle_signals=False)
    async with WorkerService(queue, run, options):
        ended = await added.wait(30)
    assert ended.state is JobState.FAILED
    assert [each.field for each in refused] == ["line", "progress"]
    assert ended.error is not None
    assert ended.error.type == "ResultRefused"
    assert "is nested too deeply: at most 200 levels" in ended.error.message


@each_refused
async def test_an_attempt_fails_over_any_error_that_is_raised(queue: Queue, make: Make) -> None:
    class Failure(Exception):
        def __str__(self) -> str:
            return repr(self.args)

    def run(job: Any) -> None:
        raise Failure(make())

    added = await queue.add("a")
    options = WorkerOptions(maintenance=None, handle_signals=False)
    async with WorkerService(queue, run, options):
        ended = await added.wait(30)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error.type == "Failure"
    assert len(ended.error.message) <= 4_096


async def test_what_is_nested_200_levels_deep_goes_all_the_way(queue: Queue) -> None:
    async def run(job: Any) -> Any:
        await job.update_progress({"in": deep_list(199)})
        return job.payload

    added = await queue.add("a", deep_list(200), JobOptions(metadata={"in": deep_list(199)}))
    async with WorkerService(queue, run, WorkerOptions(maintenance=None, handle_signals=False)):
        assert await added.result(30) == deep_list(200)
    _ = await added.refresh()
    assert added.progress == {"in": deep_list(199)}
    assert TypeAdapter(Any).validate_python(added.options.metadata) == {"in": deep_list(199)}
