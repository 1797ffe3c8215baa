"""The hot statements on PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.claim import Claim
from enfila.core.domain.job.running.lock import Extension, Lock
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.sqlalchemy.database.access import Access
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import followed_up
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.calls import PostgresJobCalls
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.record_set import (
    rows_parameter,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.statements import Statements
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.jobs.logs import JobLogs
from enfila.infrastructure.persistence.sqlalchemy.jobs.writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class PostgresJobWrites(JobWrites):
    """`JobWrites` for PostgreSQL: one statement for a set where that is enough."""

    def __init__(self, tables: Tables, clock: DatabaseClock, effects: Effects) -> None:
        self._clock = clock
        self._effects = effects
        self._logs = JobLogs(tables)
        self._statements = Statements(tables, clock, effects)
        self._calls = PostgresJobCalls(self._statements, clock, effects)

    async def add(self, access: Access, jobs: Sequence[Job], notice: Notice | None) -> list[Job]:
        """See `JobWrites.add`."""
        if len(jobs) <= self._calls.most_added:
            return await access.execute(self._calls.add(jobs, notice))
        return await access.write(lambda connection: self.add_on(connection, jobs))

    def add_on(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Job]:
        """See `JobWrites.add_on`.

        What is to be sent is written, and what was answered is read, while the server is busy
        with another chunk.
        """
        size = self._calls.most_added
        if len(jobs) <= size:
            return self._calls.add(jobs).on(connection)
        chunks = [jobs[start : start + size] for start in range(0, len(jobs), size)]
        with ThreadPoolExecutor(1, thread_name_prefix="enfila-bulk") as beside:
            calls = beside.map(self._calls.add, chunks)
            try:
                answers = [beside.submit(call.read, call.rows(connection)) for call in calls]
            except BaseException:
                beside.shutdown(cancel_futures=True)
                raise
        return [job for answer in answers for job in followed_up(answer.result(), connection)]

    async def claim(self, access: Access, claim: Claim) -> list[Job]:
        """See `JobWrites.claim`."""
        return await access.execute(self._calls.claim(claim))

    async def apply(
        self, access: Access, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply`.

        Jobs that their end removes go in a statement of their own. A job that others depend on is
        left alone by the first statements, as if it were stale.
        """
        leaving = [index for index, move in enumerate(transitions) if move.removes]
        if not leaving:
            return await self._move(access, transitions)
        removals = [transitions[index] for index in leaving]
        removed = await access.execute(self._calls.remove_ended(removals))
        written: list[datetime | None] = [None] * len(transitions)
        for index, answer in zip(leaving, removed, strict=True):
            written[index] = answer
        rest = [index for index, answer in enumerate(written) if answer is None]
        if rest:
            await self._fill_in(written, rest, self._move(access, [transitions[i] for i in rest]))
        return written

    async def _move(
        self, access: Access, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        written = await access.execute(self._calls.apply(transitions))
        left = [
            index
            for index, transition in enumerate(transitions)
            if (written[index] is None and transition.target.is_final)
        ]
        if left:
            # Those of the jobs that others depend on are ended, and these released.
            ends = [transitions[index] for index in left]
            ending = access.write(lambda connection: self.apply_on(connection, ends))
            await self._fill_in(written, left, ending)
        return written

    async def _fill_in(
        self,
        written: list[datetime | None],
        places: Sequence[int],
        writing: Awaitable[list[datetime | None]],
    ) -> None:
        """Puts the answers of a further statement in their places."""
        try:
            answers = await writing
        except RepositoryUnavailable as error:
            # The others, if there are any, are written, and would be stale at another try.
            uncertain = error.uncertain or any(instant is not None for instant in written)
            raise RepositoryUnavailable(error.target, error.reason, uncertain=uncertain) from error
        for index, answer in zip(places, answers, strict=True):
            written[index] = answer

    def apply_on(
        self, connection: sa.Connection, transitions: Sequence[Transition]
    ) -> list[datetime | None]:
        """See `JobWrites.apply_on`."""
        written = self._calls.apply(transitions, with_dependents=True).on(connection)
        applied = [
            transition
            for transition, instant in zip(transitions, written, strict=True)
            if instant is not None and transition.target.is_final
        ]
        self._release(connection, [transition.job_id for transition in applied])
        return written

    def _release(self, connection: sa.Connection, ended: Sequence[JobId]) -> None:
        """Meets the dependencies on jobs that have ended or are gone."""
        if ended:
            parameters = {"ended": list(ended), **self._clock.parameters()}
            connection.execute(self._release_dependents, parameters)

    async def extend(
        self, access: Access, locks: Sequence[Lock], duration: timedelta
    ) -> list[Extension]:
        """See `JobWrites.extend`."""
        return await access.execute(self._calls.extend(locks, duration))

    async def update_progress(
        self, access: Access, updates: Sequence[ProgressUpdate]
    ) -> list[bool]:
        """See `JobWrites.update_progress`."""
        return await access.write(lambda connection: self._update(connection, updates))

    def _update(self, connection: sa.Connection, updates: Sequence[ProgressUpdate]) -> list[bool]:
        latest = _latest_progress(updates)
        records = [
            {"id": job_id, "token": token, "state": JobState.ACTIVE, "progress": progress}
            for (job_id, token), progress in latest.items()
        ]
        records.sort(key=itemgetter("id"))
        rows = connection.execute(self._progress, {"rows": rows_parameter(records)})
        held = {(row[0], row[1]) for row in rows}
        answers = [(update.job_id, update.token) in held for update in updates]
        accepted = [update for update, is_held in zip(updates, answers, strict=True) if is_held]
        self._logs.append(connection, accepted, self._clock.read(connection))
        return answers

    def remove_on(self, connection: sa.Connection, jobs: sa.Select[tuple[JobId]]) -> list[JobId]:
        """See `JobWrites.remove_on`."""
        statement = self._statements.remove(jobs)
        removed = connection.execute(statement, self._clock.parameters()).all()
        self._release(connection, [row[0] for row in removed if row[1]])
        return [row[0] for row in removed]

    @cached_property
    def _release_dependents(self) -> sa.Select[Any]:
        return self._statements.release()

    @cached_property
    def _progress(self) -> sa.UpdateBase:
        return self._statements.store_progress()


def _latest_progress(updates: Sequence[ProgressUpdate]) -> dict[tuple[JobId, int], str | None]:
    """Per holder the newest progress; a holder may stand in one call more than once."""
    latest: dict[tuple[JobId, int], str | None] = {}
    for update in updates:
        holder = (update.job_id, update.token)
        newest = None if update.progress is None else update.progress.text
        latest[holder] = newest or latest.get(holder)
    return latest
