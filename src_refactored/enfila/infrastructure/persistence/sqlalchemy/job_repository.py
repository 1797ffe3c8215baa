"""`IJobRepository` on SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from types import ModuleType
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import (
    Added,
    CallersTransaction,
    Claim,
    IJobRepository,
    Report,
)
from enfila.core.application.ports.wake_up import Notice
from enfila.core.domain.duration import ZERO
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.identity import JobId, LockToken
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.lock import Extension, Lock
from enfila.core.domain.job.retention import RetentionPolicy
from enfila.core.domain.job.state import JobState
from enfila.core.domain.job.transition import Amendment, Transition
from enfila.infrastructure.persistence.sqlalchemy.amending import Amending
from enfila.infrastructure.persistence.sqlalchemy.database import Database, Work
from enfila.infrastructure.persistence.sqlalchemy.deduplicating import Deduplicating
from enfila.infrastructure.persistence.sqlalchemy.driver_errors import translating
from enfila.infrastructure.persistence.sqlalchemy.file_database import (
    FileDatabase,
    check_directory,
)
from enfila.infrastructure.persistence.sqlalchemy.instants import Instants
from enfila.infrastructure.persistence.sqlalchemy.job_reader import SqlAlchemyJobReader
from enfila.infrastructure.persistence.sqlalchemy.job_type_statements import JobTypeStatements
from enfila.infrastructure.persistence.sqlalchemy.job_types import SqlAlchemyJobTypes
from enfila.infrastructure.persistence.sqlalchemy.job_writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.logs import JobLogs
from enfila.infrastructure.persistence.sqlalchemy.migrations.upgrading import Upgrading
from enfila.infrastructure.persistence.sqlalchemy.postgresql.writes import PostgresJobWrites
from enfila.infrastructure.persistence.sqlalchemy.question import Question
from enfila.infrastructure.persistence.sqlalchemy.queue_control import (
    SqlAlchemyQueueControl,
    SqlAlchemyWorkerRegistry,
)
from enfila.infrastructure.persistence.sqlalchemy.queues_and_workers import Queues, Workers
from enfila.infrastructure.persistence.sqlalchemy.reading import Reading
from enfila.infrastructure.persistence.sqlalchemy.removing import Removing
from enfila.infrastructure.persistence.sqlalchemy.row_wise.writes import RowWiseJobWrites
from enfila.infrastructure.persistence.sqlalchemy.same_database import SameDatabase
from enfila.infrastructure.persistence.sqlalchemy.schedule_run_statements import (
    ScheduleRunStatements,
)
from enfila.infrastructure.persistence.sqlalchemy.schedule_statements import ScheduleStatements
from enfila.infrastructure.persistence.sqlalchemy.schedules import SqlAlchemySchedules
from enfila.infrastructure.persistence.sqlalchemy.tables import DEFAULT_PREFIX, build_tables
from enfila.infrastructure.persistence.sqlalchemy.tidying import Tidying
from enfila.infrastructure.persistence.sqlalchemy.urls import engine_url, shown

T = TypeVar("T")
_Key = tuple[JobId, LockToken, JobState]


class SqlAlchemyJobRepository(
    SqlAlchemyJobReader,
    SqlAlchemyQueueControl,
    SqlAlchemyWorkerRegistry,
    SqlAlchemyJobTypes,
    SqlAlchemySchedules,
    IJobRepository,
):
    """Jobs in SQLite (one file) or PostgreSQL.

    It opens itself at first use; `open` does so at a moment of your choice.

    Args:
        url: `sqlite:///file.db`, or `postgresql://…` with asyncpg (or psycopg 3, if asyncpg is not
            installed or `postgresql+psycopg://` is given).
        clock: instants for the rows; None for the server's clock, on SQLite this machine's.
        schema: PostgreSQL schema that holds the tables; it is made when it does not exist.
        table_prefix: what the names of the tables begin with.
        auto_migrate: `open` brings the tables up to date; otherwise it refuses old ones.
        pool_size: connections kept to a server; as many again are opened under load.
        synchronous: SQLite only: FULL survives a power cut, NORMAL is faster and may then lose
            the last commits.

    Raises:
        InvalidRequest: a wrong argument.
        DriverMissing: the database's driver is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        schema: str | None = None,
        table_prefix: str = DEFAULT_PREFIX,
        auto_migrate: bool = True,
        pool_size: int = 5,
        synchronous: str = "FULL",
    ) -> None:
        self._url = engine_url(url)
        is_file = self._url.get_backend_name() == "sqlite"
        self._dialect = self._url.get_backend_name()
        self._schema = None if is_file else schema
        self._prefix = table_prefix
        self._tables = build_tables(self._schema, table_prefix)
        self._instants = Instants(clock, has_server=not is_file)
        self._database = (
            FileDatabase(self._url, synchronous=synchronous)
            if is_file
            else _server_database(self._url, pool_size)
        )
        self._writes: JobWrites = (
            RowWiseJobWrites(self._tables, self._instants)
            if is_file
            else PostgresJobWrites(self._tables, self._instants)
        )
        self._upgrading = Upgrading(
            self._schema, table_prefix, self._url, auto_migrate=auto_migrate
        )
        self._same_database = SameDatabase(self._url, self._upgrading)
        self._reading = Reading(self._tables, self._instants)
        self._amending = Amending(self._tables)
        self._removing = Removing(self._tables, self._instants, self._writes)
        insert = sqlite.insert if is_file else postgresql.insert
        self._queues = Queues(self._tables, insert)
        self._workers = Workers(self._tables)
        self._job_types = JobTypeStatements(self._tables, insert)
        self._schedules = ScheduleStatements(self._tables, insert)
        self._runs = ScheduleRunStatements(self._tables, insert, self._add)
        self._tidying = Tidying(self._tables)
        self._logs = JobLogs(self._tables)
        self._deduplicating = Deduplicating(
            self._tables,
            self._amending,
            self._writes.add,
            insert,
        )
        self._uncertain: set[_Key] = set()
        self._known_queues: set[str] = set()
        self._is_open = False

    @property
    def url(self) -> sa.URL:
        """The database, with the driver in use."""
        return self._url

    @property
    def file(self) -> str | None:
        """The path of the SQLite file; None for a server or a database in memory."""
        return self._database.path if isinstance(self._database, FileDatabase) else None

    @property
    def installation(self) -> str:
        """What tells this installation's tables from others in the same database."""
        return f"{self._schema or ''}.{self._prefix}"

    async def open(self) -> None:
        """See `IJobRepository.open`.

        Raises:
            SchemaMismatch: the tables are newer than this enfila, or older without `auto_migrate`.
        """
        if self._dialect == "sqlite":
            check_directory(self._url)
        if await self._database.read(self._upgrading.is_needed):
            await self._database.write(self._upgrading.upgrade)
        self._same_database.name = await self._database.read(self._same_database.name_of)
        self._is_open = True

    async def close(self) -> None:
        """See `IJobRepository.close`."""
        await self._database.close()

    async def _write(self, work: Work[T]) -> T:
        if not self._is_open:
            await self.open()
        return await self._database.write(work)

    async def _ask(self, question: Question[T]) -> T:
        if not self._is_open:
            await self.open()
        return await self._database.ask(question)

    async def _read(self, work: Work[T]) -> T:
        if not self._is_open:
            await self.open()
        return await self._database.read(work)

    # ── adding ───────────────────────────────────────────────────────────────────────────────

    async def add(self, jobs: Sequence[Job], notice: Notice | None = None) -> list[Added]:
        """See `IJobRepository.add`."""
        if not jobs:
            return []
        await self._register({job.queue for job in jobs})
        questions = self._writes.questions
        if questions is not None and len(jobs) <= questions.most_added and _are_plain(jobs):
            return [Added(job) for job in await self._ask(questions.add(jobs, notice))]
        return await self._write(lambda connection: self._add(connection, jobs))

    async def add_within(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """See `IJobRepository.add_within`."""
        if not self._is_open:
            await self.open()
        added: list[Added] = await _callers_transaction().run_within(
            transaction, lambda connection: self._add_here(connection, jobs)
        )
        return added

    def add_within_sync(self, jobs: Sequence[Job], transaction: CallersTransaction) -> list[Added]:
        """See `IJobRepository.add_within_sync`."""
        added: list[Added] = _callers_transaction().run_within_sync(
            transaction, lambda connection: self._add_here(connection, jobs)
        )
        return added

    def after_commit(self, transaction: CallersTransaction, callback: Callable[[], None]) -> None:
        """See `IJobRepository.after_commit`."""
        _callers_transaction().after_commit(transaction, callback)

    def _add_here(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Added]:
        """Adds on a connection that is not ours."""
        with translating(shown(self._url)):
            self._same_database.check(connection)
            return self._add(connection, jobs)

    async def _register(self, queues: set[str]) -> None:
        """Notes queues that this process has not added to before, so that they can be listed."""
        if new := queues - self._known_queues:
            await self._write(lambda connection: self._queues.register(connection, sorted(new)))
            self._known_queues |= new

    def _add(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Added]:
        if not jobs:
            return []
        if _are_plain(jobs):
            return [Added(job) for job in self._writes.add(connection, jobs)]
        return self._deduplicating.add(connection, jobs, self._instants.read(connection))

    # ── running ──────────────────────────────────────────────────────────────────────────────

    async def claim(self, claim: Claim) -> list[Job]:
        """See `IJobRepository.claim`."""
        if (questions := self._writes.questions) is not None:
            return await self._ask(questions.claim(claim))
        return await self._write(lambda connection: self._writes.claim(connection, claim))

    async def apply(self, transitions: Sequence[Transition]) -> list[datetime | None]:
        """See `IJobRepository.apply`."""
        if not transitions:
            return []
        try:
            written = await self._applied(transitions)
        except RepositoryUnavailable as error:
            if error.uncertain:
                self._uncertain.update(map(_key, transitions))
            raise
        if self._uncertain:
            self._uncertain.difference_update(map(_key, transitions))
        return written

    async def _applied(self, transitions: Sequence[Transition]) -> list[datetime | None]:
        questions = self._writes.questions
        if questions is None:
            written = await self._write(
                lambda connection: self._writes.apply(connection, transitions)
            )
        else:
            written = await self._ask(questions.apply(transitions))
        if None not in written:
            return written
        try:
            if questions is not None:
                written = await self._with_followers(transitions, written)
            return await self._with_earlier_writes(transitions, written)
        except RepositoryUnavailable as error:
            # Some of them may be written, and would be stale when all are tried again.
            raise RepositoryUnavailable(error.target, error.reason, uncertain=True) from error

    async def _with_followers(
        self, transitions: Sequence[Transition], written: list[datetime | None]
    ) -> list[datetime | None]:
        """Tries those again that may not be stale but have jobs waiting behind them."""
        left = [
            index
            for index, transition in enumerate(transitions)
            if written[index] is None and transition.target.is_final
        ]
        if left:
            ends = [transitions[index] for index in left]
            answers = await self._write(
                lambda connection: self._writes.apply_with_followers(connection, ends)
            )
            for index, answer in zip(left, answers, strict=True):
                written[index] = answer
        return written

    async def _with_earlier_writes(
        self, transitions: Sequence[Transition], written: list[datetime | None]
    ) -> list[datetime | None]:
        """Answers for transitions that an earlier call wrote, whose answer never arrived.

        Such a transition is stale now because of itself: the job stands where it leads, under the
        same token.
        """
        doubtful = [
            transition.job_id
            for transition, instant in zip(transitions, written, strict=True)
            if instant is None and _key(transition) in self._uncertain
        ]
        standing = await self.get(doubtful) if doubtful else {}
        return [
            instant or _instant_of(standing.get(transition.job_id), transition)
            for transition, instant in zip(transitions, written, strict=True)
        ]

    async def extend(self, locks: Sequence[Lock], duration: timedelta) -> list[Extension]:
        """See `IJobRepository.extend`."""
        if not locks:
            return []
        if (questions := self._writes.questions) is not None:
            return await self._ask(questions.extend(locks, duration))
        return await self._write(
            lambda connection: self._writes.extend(connection, locks, duration)
        )

    async def report(self, reports: Sequence[Report]) -> list[bool]:
        """See `IJobRepository.report`."""
        if not reports:
            return []
        return await self._write(lambda connection: self._writes.report(connection, reports))

    # ── changing and removing ────────────────────────────────────────────────────────────────

    async def amend(self, amendment: Amendment) -> datetime | None:
        """See `IJobRepository.amend`."""

        def amend(connection: sa.Connection) -> datetime | None:
            now = self._instants.read(connection)
            return now if self._amending.amend(connection, amendment, now) else None

        return await self._write(amend)

    async def request_cancellation(self, job_id: JobId, reason: str) -> bool:
        """See `IJobRepository.request_cancellation`."""
        return await self._write(
            lambda connection: self._amending.request_cancellation(connection, job_id, reason)
        )

    async def remove(self, jobs: Sequence[Job]) -> list[bool]:
        """See `IJobRepository.remove`."""
        return await self._write(lambda connection: self._removing.remove(connection, jobs))

    async def remove_all(
        self,
        queue: str,
        states: Collection[JobState],
        *,
        finished_before: timedelta | None = None,
        limit: int,
    ) -> int:
        """See `IJobRepository.remove_all`."""
        return await self._write(
            lambda connection: self._removing.remove_all(
                connection, queue, states, finished_before, limit
            )
        )

    async def apply_retention(self, queue: str, policy: RetentionPolicy, limit: int) -> int:
        """See `IJobRepository.apply_retention`."""
        return await self._write(
            lambda connection: self._removing.apply_retention(connection, queue, policy, limit)
        )

    async def obliterate(self, queue: str, *, force: bool) -> int | None:
        """See `IJobRepository.obliterate`."""
        self._known_queues.discard(queue)
        return await self._write(
            lambda connection: self._removing.obliterate(connection, queue, force=force)
        )

    async def tidy(self) -> None:
        """See `IJobRepository.tidy`."""
        await self._write(self._tidying.fold_counters)
        await self._write(
            lambda connection: self._tidying.drop_free_keys(
                connection, self._instants.read(connection)
            )
        )


def _callers_transaction() -> ModuleType:
    # It needs SQLAlchemy's ORM, 9 MB that a worker can do without.
    from enfila.infrastructure.persistence.sqlalchemy import (  # noqa: PLC0415
        callers_transaction,
    )

    return callers_transaction


def _server_database(url: sa.URL, pool_size: int) -> Database:
    # SQLAlchemy's asyncio part needs greenlet, which a bare install for SQLite does not have.
    from enfila.infrastructure.persistence.sqlalchemy.server_database import (  # noqa: PLC0415
        ServerDatabase,
    )

    return ServerDatabase(url, pool_size=pool_size)


def _are_plain(jobs: Sequence[Job]) -> bool:
    """Whether no key decides about them."""
    return all(job.options.deduplication is None for job in jobs)


def _key(transition: Transition) -> _Key:
    return transition.job_id, transition.token, transition.target


def _instant_of(job: Job | None, transition: Transition) -> datetime | None:
    """When the job reached where the transition leads; None if it is not there."""
    reached = (transition.target, transition.token, transition.attempt, transition.stalled_count)
    if job is None or (job.state, job.token, job.attempt, job.stalled_count) != reached:
        return None
    return job.finished_at or job.run_at - (transition.run_after or ZERO)
