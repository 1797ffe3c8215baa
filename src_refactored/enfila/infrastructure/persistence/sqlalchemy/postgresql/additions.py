"""Jobs to be added, as records of one statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import attrgetter

from enfila.core.application.garbage import no_collection
from enfila.core.domain.job.job import Job
from enfila.infrastructure.persistence.sqlalchemy.instants import seconds

# All that a record takes from a job besides its options, its id and its payload.
_kind_of = attrgetter(
    "queue",
    "name",
    "state",
    "priority",
    "max_attempts",
    "blocked_by",
    "schedule_id",
    "batch_id",
    "tenant",
)
_quoted = json.encoder.encode_basestring_ascii


def additions(jobs: Sequence[Job]) -> str:
    """The value of the parameter `rows` of `statements.add_jobs`.

    Jobs of one bulk are mostly of a kind: what they have in common is written as JSON once, which
    takes a third of the time.
    """
    common: dict[tuple[object, ...], str] = {}
    records: list[str] = []
    with no_collection():
        for job in jobs:
            # Options by identity: to compare them costs more than to write them.
            kind = (id(job.options), *_kind_of(job))
            rest = common.get(kind)
            if rest is None:
                rest = common[kind] = _in_common(job)
            records.append(f'{{"id":"{job.id}","payload":{_quoted(job.document.text)},{rest}')
    return f"[{','.join(records)}]"


def _in_common(job: Job) -> str:
    """All fields but the id and the payload, without the brace that opens the object."""
    options = job.options
    fields = {
        "queue": job.queue,
        "name": job.name,
        "state": job.state,
        "priority": job.priority,
        "lifo": options.lifo,
        "options": options.to_text(),
        "max_attempts": job.max_attempts,
        "run_at": None if options.run_at is None else options.run_at.isoformat(),
        "delay": options.delay.total_seconds(),
        "expires_in": seconds(options.expires_in),
        "blocked_by": job.blocked_by,
        "schedule_id": job.schedule_id,
        "batch_id": job.batch_id,
        "tenant": job.tenant,
    }
    return json.dumps(fields, separators=(",", ":"))[1:]
