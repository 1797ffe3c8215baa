"""Jobs as JSON, for web frameworks and other programs."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from enfila import JobHandle, JobOptions
from tests.infrastructure.queue.bench import Bench, Queue

OPTIONS = JobOptions(priority=3, attempts=2, tags=["a", "b"], metadata={"trace": "x"})


async def test_a_new_job_says_what_was_asked_for(queue: Queue) -> None:
    job = await queue.add("send", {"to": ["ada"]}, OPTIONS)
    told = job.as_dict()
    assert json.loads(json.dumps(told)) == told
    assert {
        "id": job.id,
        "queue": queue.name,
        "name": "send",
        "state": "waiting",
        "payload": {"to": ["ada"]},
        "result": None,
        "error": None,
        "attempt": 0,
        "max_attempts": 2,
        "priority": 3,
        "tags": ["a", "b"],
        "metadata": {"trace": "x"},
        "created_at": job.created_at.isoformat(),
        "started_at": None,
        "finished_at": None,
    }.items() <= told.items()
    assert told == job.snapshot.as_dict() == dict(job)
    assert job["name"] == "send"


async def test_an_ended_job_says_how_it_ended(queue: Queue, bench: Bench) -> None:
    completed, failed = await queue.add("a"), await queue.add("b")
    await queue.mark_job_as_completed(await bench.fetch_one(), {"sent": 1})
    job = await bench.fetch_one()
    await queue.mark_job_as_failed(job, ValueError("boom"))
    told = (await completed.refresh()).as_dict()
    assert (told["state"], told["result"]) == ("completed", {"sent": 1})
    assert completed.finished_at is not None
    assert told["finished_at"] == completed.finished_at.isoformat()
    told = (await failed.refresh()).as_dict()
    assert (told["state"], told["worker_id"]) == ("failed", failed.worker_id)
    assert told["error"] == {"type": "ValueError", "message": "boom"}  # and no trace


class Answer(BaseModel):
    job: JobHandle[str]
    others: list[JobHandle[Any]]


async def test_pydantic_writes_a_handle_as_its_dict(queue: Queue) -> None:
    """As FastAPI does with what an endpoint returns, with or without an annotation."""
    job = await queue.add("a", 1)
    written = TypeAdapter(JobHandle[str]).dump_python(job, mode="json")
    assert written == job.as_dict()
    assert Answer(job=job, others=[job]).model_dump() == {
        "job": job.as_dict(),
        "others": [job.as_dict()],
    }
    assert TypeAdapter(JobHandle).json_schema(mode="serialization")["type"] == "object"


async def test_a_handle_is_no_sequence(queue: Queue) -> None:
    job = await queue.add("a", 1)
    assert not isinstance(job, Iterable)
    with pytest.raises(TypeError):
        iter(job)  # type: ignore[call-overload]
