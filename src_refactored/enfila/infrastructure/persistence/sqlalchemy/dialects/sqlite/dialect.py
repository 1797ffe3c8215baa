"""What SQLite is told, and how."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL

from enfila.core.application.ports.wake_up import WakeUp
from enfila.core.domain.errors import InvalidRequest, RepositoryUnavailable
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.database.urls import shown
from enfila.infrastructure.persistence.sqlalchemy.dialects.dialect import Dialect
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.errors import SqliteErrors
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.file_database import (
    FileDatabase,
    path_of,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.wake_up import SqliteWakeUp
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.writes import SqliteJobWrites
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.jobs.writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class SqliteDialect(Dialect):
    """`Dialect` of SQLite, in a file or in memory."""

    has_schemas: ClassVar[bool] = False
    server_now: ClassVar[sa.ColumnElement[datetime] | None] = None
    errors: ClassVar[DriverErrors] = SqliteErrors()
    insert: UpsertingInsert = staticmethod(sqlite.insert)

    def make_database(self, url: URL, *, pool_size: int, synchronous: str) -> Database:
        """See `Dialect.make_database`."""
        del pool_size  # one connection writes, and a few read
        return FileDatabase(url, synchronous=synchronous)

    def make_job_writes(self, tables: Tables, clock: DatabaseClock, effects: Effects) -> JobWrites:
        """See `Dialect.make_job_writes`."""
        return SqliteJobWrites(tables, clock, effects)

    def make_wake_up(
        self, url: URL, installation: str, *, notify: bool, listen_url: URL | None
    ) -> WakeUp:
        """See `Dialect.make_wake_up`: the commit itself is what others see."""
        del installation, notify, listen_url
        return SqliteWakeUp(path_of(url))

    def check_reachable(self, url: URL) -> None:
        """See `Dialect.check_reachable`."""
        path = url.database
        if not path or path == ":memory:" or path.startswith("file:"):
            return
        file = Path(path).resolve()
        folder = file.parent
        if file.is_dir():
            raise RepositoryUnavailable(shown(url), f"{file} is a folder; give the path of a file")
        if not folder.is_dir():
            raise RepositoryUnavailable(shown(url), f"the folder {folder} does not exist")

    def lock_for_migration(self, connection: sa.Connection, schema: str | None) -> None:
        """See `Dialect.lock_for_migration`: whoever writes holds the file's lock already."""

    def database_name(self, connection: sa.Connection) -> str | None:
        """See `Dialect.database_name`."""
        del connection
        return None

    def check_same(self, url: URL, name: str | None, connection: sa.Connection) -> None:
        """See `Dialect.check_same`."""
        del name
        ours = url.database or ":memory:"
        if ours.startswith("file:"):
            return
        rows = connection.exec_driver_sql("PRAGMA database_list").all()
        theirs = next(file for _, name, file in rows if name == "main")
        if not theirs or not Path(ours).exists() or not Path(ours).samefile(theirs):
            given = connection.engine.url.render_as_string(hide_password=True)
            wanted = f"on {ours} and not on {theirs or 'one in memory'}"
            raise InvalidRequest(
                "session", given, f"give one {wanted}, where this queue's jobs are"
            )
