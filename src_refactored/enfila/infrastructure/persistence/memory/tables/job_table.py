"""All jobs of a repository, in the orders in which they are asked for."""

from __future__ import annotations

import copy
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from heapq import merge
from typing import TypeVar

from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.state import JobState
from enfila.core.domain.json_document import JsonDocument

Place = tuple[int, int, JobId]
"""Priority, position, id: the order of claims."""
Appointment = tuple[datetime, int, JobId]
"""`run_at`, position, id: the order in which delayed jobs become due."""

Entry = TypeVar("Entry", Place, Appointment)


class JobTable:
    """The jobs in memory by id, with the orders in which they are looked up.

    Jobs that are in it are never changed, only replaced. They share no JSON value with a caller:
    `put` and `copied` make documents of their own.
    """

    def __init__(self) -> None:
        self._jobs: dict[JobId, Job] = {}
        self._in_state: defaultdict[tuple[str, JobState], dict[JobId, Job]] = defaultdict(dict)
        self._dependents: defaultdict[JobId, dict[JobId, Job]] = defaultdict(dict)
        self._waiting: defaultdict[str, list[Place]] = defaultdict(list)
        self._delayed: defaultdict[str, list[Appointment]] = defaultdict(list)

    def get(self, job_id: JobId) -> Job | None:
        """The job with this id, if there is one."""
        return self._jobs.get(job_id)

    def put(self, job: Job) -> None:
        """Stores a new job, or a newer version of one that is there."""
        self.delete(job.id)
        stored = copied(job)
        self._jobs[job.id] = stored
        self._in_state[job.queue, job.state][job.id] = stored
        for parent in job.depends_on:
            self._dependents[parent][job.id] = stored
        if job.state is JobState.WAITING:
            insort(self._waiting[job.queue], _place(job))
        if job.state is JobState.DELAYED:
            insort(self._delayed[job.queue], _appointment(job))

    def delete(self, job_id: JobId) -> None:
        """Forgets a job, if it is there."""
        job = self._jobs.pop(job_id, None)
        if job is None:
            return
        del self._in_state[job.queue, job.state][job_id]
        for parent in job.depends_on:
            del self._dependents[parent][job_id]
            if not self._dependents[parent]:
                del self._dependents[parent]
        if job.state is JobState.WAITING:
            _take_out(self._waiting[job.queue], _place(job))
        if job.state is JobState.DELAYED:
            _take_out(self._delayed[job.queue], _appointment(job))

    def in_states(self, queue: str, states: Collection[JobState]) -> list[Job]:
        """The jobs of a queue in these states, in the order in which they were added."""
        found = [job for state in set(states) for job in self._in_state[queue, state].values()]
        return sorted(found, key=order_of_addition)

    def count(self, queue: str, state: JobState) -> int:
        """How many jobs of a queue are in this state."""
        return len(self._in_state[queue, state])

    def dependents(self, job_id: JobId) -> list[Job]:
        """The jobs that wait for this one, in the order in which they were added."""
        return sorted(self._dependents.get(job_id, {}).values(), key=order_of_addition)

    def in_line(self, queue: str, now: datetime) -> Iterator[Job]:
        """Waiting and due jobs of a queue in the order of claims; not to be written meanwhile."""
        due = sorted(_place(self._jobs[job_id]) for job_id in self._due(queue, now))
        return (self._jobs[job_id] for _, _, job_id in merge(self._waiting[queue], due))

    def next_due(self, queue: str) -> datetime | None:
        """When the next delayed job of a queue is due."""
        delayed = self._delayed[queue]
        return delayed[0][0] if delayed else None

    def _due(self, queue: str, now: datetime) -> Iterator[JobId]:
        for run_at, _, job_id in self._delayed[queue]:
            if run_at > now:
                break
            yield job_id


def copied(job: Job) -> Job:
    """A deep copy of a job, so that nobody changes the stored one."""
    own = copy.copy(job)
    own.document = JsonDocument(job.document.text)
    own.progress_document = JsonDocument(job.progress_document.text)
    if job.result_document is not None:
        own.result_document = JsonDocument(job.result_document.text)
    return own


def order_of_addition(job: Job) -> int:
    """The key that sorts jobs as they were added."""
    return abs(job.position)


def _place(job: Job) -> Place:
    return (job.priority, job.position, job.id)


def _appointment(job: Job) -> Appointment:
    return (job.run_at, job.position, job.id)


def _take_out(line: list[Entry], entry: Entry) -> None:
    del line[bisect_left(line, entry)]
