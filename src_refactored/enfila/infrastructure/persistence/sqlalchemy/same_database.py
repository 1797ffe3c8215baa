"""Making sure that a caller's transaction is on the database of the jobs."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import Pool

from enfila.core.domain.errors import InvalidRequest, SchemaMismatch
from enfila.infrastructure.persistence.sqlalchemy.migrations.upgrading import HEAD, Upgrading


class SameDatabase:
    """Refuses the connections of callers that lead elsewhere; asks once for each pool.

    Attributes:
        name: the database as its server calls it; None while that was not asked.
    """

    def __init__(self, url: URL, upgrading: Upgrading) -> None:
        self._url = url
        self._upgrading = upgrading
        self._known: WeakSet[Pool] = WeakSet()
        self.name: str | None = None

    def check(self, connection: sa.Connection) -> None:
        """Returns if jobs can be written here.

        Raises:
            InvalidRequest: it is another database.
            SchemaMismatch: the tables are not there yet, or not up to date.
        """
        pool = connection.engine.pool
        if pool in self._known:
            return
        backend = self._url.get_backend_name()
        if connection.dialect.name != backend:
            raise _elsewhere(connection, f"on {backend}")
        if backend == "sqlite":
            self._check_file(connection)
        elif self.name not in (None, found := self.name_of(connection)):
            raise _elsewhere(connection, f"on database {self.name!r} and not on {found!r}")
        if self._upgrading.is_needed(connection):
            raise SchemaMismatch(
                self._upgrading.version(connection),
                HEAD,
                "open the app, or call `await enfila.migrate(url)`, before jobs are added in a "
                "transaction of your own",
            )
        self._known.add(pool)

    def name_of(self, connection: sa.Connection) -> str | None:
        """What its server calls the database of a connection; None where files have no names."""
        if connection.dialect.name == "sqlite":
            return None
        return connection.scalar(sa.select(sa.func.current_database()))

    def _check_file(self, connection: sa.Connection) -> None:
        ours = self._url.database or ":memory:"
        if ours.startswith("file:"):
            return
        rows = connection.exec_driver_sql("PRAGMA database_list").all()
        theirs = next(file for _, name, file in rows if name == "main")
        if not theirs or not Path(ours).exists() or not Path(ours).samefile(theirs):
            raise _elsewhere(connection, f"on {ours} and not on {theirs or 'one in memory'}")


def _elsewhere(connection: sa.Connection, wanted: str) -> InvalidRequest:
    url = connection.engine.url.render_as_string(hide_password=True)
    return InvalidRequest("session", url, f"give one {wanted}, where this queue's jobs are")
