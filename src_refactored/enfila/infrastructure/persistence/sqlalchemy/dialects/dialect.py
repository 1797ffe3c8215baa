"""Everything in which one database differs from another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import URL

from enfila.core.application.ports.wake_up import WakeUp
from enfila.infrastructure.persistence.sqlalchemy.database.database import Database
from enfila.infrastructure.persistence.sqlalchemy.database.database_clock import DatabaseClock
from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors
from enfila.infrastructure.persistence.sqlalchemy.database.upsert import UpsertingInsert
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.jobs.writes import JobWrites
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class Dialect(ABC):
    """One database: how it is connected, what it is told, and what it cannot do.

    Attributes:
        has_schemas: whether tables can be put into a schema.
        server_now: the server's instant, inside a statement; None where there is no server.
        errors: what the errors of its drivers mean.
        insert: an insert that knows what to do in a conflict.
    """

    has_schemas: ClassVar[bool]
    server_now: ClassVar[sa.ColumnElement[datetime] | None]
    errors: ClassVar[DriverErrors]
    insert: UpsertingInsert

    @abstractmethod
    def make_database(self, url: URL, *, pool_size: int, synchronous: str) -> Database:
        """How transactions are run; nothing is connected yet.

        Raises:
            InvalidRequest: a wrong setting.
        """

    @abstractmethod
    def make_job_writes(self, tables: Tables, clock: DatabaseClock, effects: Effects) -> JobWrites:
        """The hot statements about jobs."""

    @abstractmethod
    def make_wake_up(
        self, url: URL, installation: str, *, notify: bool, listen_url: URL | None
    ) -> WakeUp:
        """What carries hints between the processes on this database.

        Args:
            url: the database.
            installation: what tells this installation's tables from others in the same database.
            notify: whether the database may be asked to carry them.
            listen_url: the same database at the address where they are listened for; None for
                `url`.
        """

    @abstractmethod
    def check_reachable(self, url: URL) -> None:
        """Refuses, in a sentence of our own, what could only fail later.

        Raises:
            RepositoryUnavailable: there can be no database at this place.
        """

    @abstractmethod
    def lock_for_migration(self, connection: sa.Connection, schema: str | None) -> None:
        """Keeps others from migrating until the commit; makes the schema if it is missing."""

    @abstractmethod
    def database_name(self, connection: sa.Connection) -> str | None:
        """What the server calls the database of a connection; None where there is no server."""

    @abstractmethod
    def check_same(self, url: URL, name: str | None, connection: sa.Connection) -> None:
        """Refuses a connection that leads to another database than `url`, whose name is `name`.

        Raises:
            InvalidRequest: it is another one.
        """
