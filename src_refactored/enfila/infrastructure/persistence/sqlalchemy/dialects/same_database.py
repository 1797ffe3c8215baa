"""Making sure that a caller's transaction is on the database of the jobs."""

from __future__ import annotations

from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import Pool

from enfila.core.domain.errors import InvalidRequest, SchemaMismatch
from enfila.infrastructure.persistence.sqlalchemy.dialects.dialect import Dialect
from enfila.infrastructure.persistence.sqlalchemy.migrations.upgrading import HEAD, Upgrading


class SameDatabase:
    """Refuses the transactions of callers that are on another database.

    Attributes:
        name: the database as its server calls it; None while that was not asked.
    """

    def __init__(self, url: URL, dialect: Dialect, upgrading: Upgrading) -> None:
        self._url = url
        self._dialect = dialect
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
            given = connection.engine.url.render_as_string(hide_password=True)
            allowed = f"give one on {backend}, where this queue's jobs are"
            raise InvalidRequest("session", given, allowed)
        self._dialect.check_same(self._url, self.name, connection)
        if self._upgrading.is_needed(connection):
            raise SchemaMismatch(
                self._upgrading.version(connection),
                HEAD,
                "open the app, or call `await enfila.migrate(url)`, before jobs are added in a "
                "transaction of your own",
            )
        self._known.add(pool)
