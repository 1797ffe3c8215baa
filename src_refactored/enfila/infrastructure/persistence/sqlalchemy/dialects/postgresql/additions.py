"""Jobs to be added, as the parameters of one statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from enfila.core.application.garbage import no_collection
from enfila.core.domain.job.job import Job
from enfila.infrastructure.persistence.sqlalchemy.database.instants import seconds
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    alike_parameters,
)
from enfila.infrastructure.persistence.sqlalchemy.jobs.uniform import kind_of

_quoted = json.encoder.encode_basestring_ascii


def alike_additions(jobs: Sequence[Job]) -> dict[str, Any]:
    """The parameters of `statements.add_alike`."""
    return alike_parameters(
        {
            **_in_common(jobs[0]),
            "id": [job.id for job in jobs],
            "payload": [job.document.text for job in jobs],
        }
    )


def additions(jobs: Sequence[Job]) -> dict[str, Any]:
    """The parameters of `statements.add_jobs`.

    What jobs of a kind have in common is written as JSON once.
    """
    common: dict[tuple[object, ...], str] = {}
    records: list[str] = []
    with no_collection():
        for job in jobs:
            # Options by identity: to hash them costs more than to write them.
            kind = (id(job.options), *kind_of(job))
            rest = common.get(kind)
            if rest is None:
                rest = common[kind] = _json_in_common(job)
            records.append(f'{{"id":"{job.id}","payload":{_quoted(job.document.text)},{rest}')
    return {"rows": f"[{','.join(records)}]"}


def _json_in_common(job: Job) -> str:
    """`_in_common` as JSON without the brace that opens the object."""
    return json.dumps(_in_common(job), default=datetime.isoformat, separators=(",", ":"))[1:]


def _in_common(job: Job) -> dict[str, Any]:
    options = job.options
    return {
        "queue": job.queue,
        "name": job.name,
        "state": job.state.value,
        "priority": job.priority,
        "lifo": options.lifo,
        "options": options.to_text(),
        "max_attempts": job.max_attempts,
        "run_at": options.run_at,
        "delay": options.delay.total_seconds(),
        "expires_in": seconds(options.expires_in),
        "blocked_by": job.blocked_by,
        "schedule_id": job.schedule_id,
        "batch_id": job.batch_id,
        "tenant": job.tenant,
    }
