"""What may be noted on a new job."""

from dataclasses import replace
from typing import Any

import pytest

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.adding.annotation import fixed_part
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.options import JobOptions, options_from_text
from enfila.core.domain.job.policies.deduplication import Deduplication
from enfila.testing import FrozenClock
from tests.contract.building import make_job

OPTIONS = JobOptions(
    priority=3,
    deduplication=Deduplication.while_unfinished("k"),
    metadata={"trace": "old", "user": 1},
    tags=["a", "b"],
)


def new_job(options: JobOptions = OPTIONS) -> Job:
    return make_job("email", options=options, clock=FrozenClock())


def test_metadata_is_merged_tags_are_joined_and_the_tenant_is_set() -> None:
    job = new_job()
    annotated = job.annotated(metadata={"trace": "new"}, tags=["b", "c"], tenant="acme")
    assert dict(annotated.options.metadata) == {"trace": "new", "user": 1}
    assert annotated.options.tags == ("a", "b", "c")
    assert annotated.tenant == "acme"
    assert fixed_part(annotated) == fixed_part(job)
    assert options_from_text(annotated.options.to_text()) == annotated.options


def test_a_job_and_its_options_stay_as_they_were() -> None:
    job = new_job()
    job.annotated(metadata={"trace": "new"}, tags=["c"], tenant="acme")
    assert (dict(OPTIONS.metadata), OPTIONS.tags, job.tenant) == (
        {"trace": "old", "user": 1},
        ("a", "b"),
        None,
    )


def test_what_is_not_given_is_left_alone() -> None:
    job = new_job().annotated(tenant="acme")
    assert job.annotated() == job
    assert job.annotated(metadata={}, tags=[]).tenant == "acme"


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": "x" * 256}, "tenant"),
        ({"tenant": "a\0"}, "tenant"),
        ({"tenant": 7}, "tenant"),
        ({"metadata": {"at": object()}}, "metadata"),
        ({"metadata": ["a"]}, "metadata"),
        ({"metadata": {"half": "x" * 600_000}}, "metadata"),
        ({"tags": "word"}, "tags"),
        ({"tags": [f"t{n}" for n in range(99)]}, "tags"),
    ],
)
def test_a_wrong_annotation_is_refused(annotation: dict[str, Any], field: str) -> None:
    job = new_job(JobOptions(metadata={"other": "x" * 600_000}, tags=["a", "b"]))
    with pytest.raises(InvalidRequest) as refused:
        job.annotated(**annotation)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"queue": "other"},
        {"name": "other"},
        {"priority": 9},
        {"depends_on": ("other",)},
        {"schedule_id": "other"},
        {"options": OPTIONS.over(JobOptions(attempts=2))},
        {"options": JobOptions(metadata=OPTIONS.metadata, priority=3)},
    ],
)
def test_everything_else_is_fixed(change: dict[str, Any]) -> None:
    job = new_job()
    assert fixed_part(replace(job, **change)) != fixed_part(job)
