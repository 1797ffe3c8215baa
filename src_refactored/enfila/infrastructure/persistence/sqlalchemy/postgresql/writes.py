"""The hot statements on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from enfila.core.application.ports.job_repository import Claim, Report
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.instants import Instants
from enfila.infrastructure.persistence.sqlalchemy.job_writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.logs import JobLogs
from enfila.infrastructure.persistence.sqlalchemy.postgresql import (
    statements,
)
from enfila.infrastructure.persistence.sqlalchemy.postgresql.questions import PostgresJobQuestions
from enfila.infrastructure.persistence.sqlalchemy.postgresql.record_set import rows_parameter
from enfila.infrastructure.persistence.sqlalchemy.question import answered
from enfila.infrastructure.persistence.sqlalchemy.tables import Tables


class PostgresJobWrites(JobWrites):
    """The questions, and what takes more than one statement."""

    def __init__(self, tables: Tables, instants: Instants) -> None:
        self._tables = tables
        self._instants = instants
        self._logs = JobLogs(tables)
        self.questions = self._ask = PostgresJobQuestions(tables, instants)

    def add(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """See `JobWrites.add`.

        What is to be sent is written, and what was answered is read, while the server is busy
        with another chunk.
        """
        size = self._ask.most_added
        if len(jobs) <= size:
            return self._ask.add(jobs).ask(connection)
        chunks = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        with ThreadPoolExecutor(1, thread_name_prefix="enfila-bulk") as beside:
            questions = beside.map(self._ask.add, chunks)
            try:
                answers = [
                    beside.submit(question.read, question.rows(connection))
                    for question in questions
                ]
            except BaseException:
                beside.shutdown(cancel_futures=True)
                raise
        return [job for answer in answers for job in answered(answer.result(), connection)]

    def claim(self, connection: sa.Connection, claim: Claim) -> list[Job]:
        """See `JobWrites.claim`."""
        return self._ask.claim(claim).ask(connection)

    def apply(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply`."""
        return self._ask.apply(transitions).ask(connection)

    def apply_with_followers(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply_with_followers`."""
        written = self._ask.apply_with_followers(transitions).ask(connection)
        self._unblock(
            connection,
            [
                transition.job_id
                for transition, instant in zip(transitions, written, strict=True)
                if transition.target.is_final and instant is not None
            ],
        )
        return written

    def _unblock(self, connection: sa.Connection, ended: Sequence[JobId]) -> None:
        if ended:
            connection.execute(
                self._unblock_followers, {"ended": list(ended), **self._instants.parameters()}
            )

    def extend(
        self, connection: sa.Connection, locks: Sequence[Lock], duration: timedelta
    ) -> list[Extension]:
        """See `JobWrites.extend`."""
        return self._ask.extend(locks, duration).ask(connection)

    def report(self, connection: sa.Connection, reports: Sequence[Report]) -> list[bool]:
        """See `JobWrites.report`."""
        latest = _latest_progress(reports)
        records = [
            {"id": job_id, "token": token, "state": JobState.ACTIVE, "progress": progress}
            for (job_id, token), progress in latest.items()
        ]
        records.sort(key=itemgetter("id"))
        rows = connection.execute(self._progress, {"rows": rows_parameter(records)})
        held = {(row[0], row[1]) for row in rows}
        answers = [(report.job_id, report.token) in held for report in reports]
        accepted = [report for report, held in zip(reports, answers, strict=True) if held]
        self._logs.append(connection, accepted, self._instants.read(connection))
        return answers

    def remove(self, connection: sa.Connection, jobs: sa.Select[tuple[JobId]]) -> list[JobId]:
        """See `JobWrites.remove`."""
        statement = statements.remove_jobs(self._tables, jobs)
        removed = list(connection.scalars(statement, self._instants.parameters()))
        self._unblock(connection, removed)
        return removed

    @cached_property
    def _unblock_followers(self) -> sa.Select[Any]:
        return statements.unblock_followers(self._tables, self._instants)

    @cached_property
    def _progress(self) -> sa.UpdateBase:
        return statements.store_progress(self._tables)


def _latest_progress(reports: Sequence[Report]) -> dict[tuple[JobId, int], str | None]:
    """Per holder the newest progress; a holder may report more than once in one call."""
    latest: dict[tuple[JobId, int], str | None] = {}
    for report in reports:
        holder = (report.job_id, report.token)
        newest = None if report.progress is None else report.progress.text
        latest[holder] = newest or latest.get(holder)
    return latest
