"""Bringing the tables of an installation up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from enfila.core.domain.errors import SchemaMismatch

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005")
"""All revisions, oldest first. Kept here too, so that an up-to-date start need not load Alembic."""

HEAD: Final = REVISIONS[-1]

COMPATIBLE_FROM: Final = "0004"
"""The oldest revision whose programs work on the tables of `HEAD`.

A migration that only adds leaves it as it is; one that changes what older programs rely on raises
it to its own number (docs/decisions/0031).
"""


_MARK: Final = "compatible_from"


class Upgrading:
    """Compares the version of the tables with this enfila's, and runs the migrations between.

    Ten processes may do so at the same moment: the first holds a lock, the others find the work
    done.

    Args:
        lock: keeps others out until the commit, and makes the schema if it is missing.
    """

    def __init__(
        self,
        schema: str | None,
        prefix: str,
        lock: Callable[[sa.Connection, str | None], None],
        *,
        auto_migrate: bool,
    ) -> None:
        self._schema = schema
        self._prefix = prefix
        self._take_lock = lock
        self._auto_migrate = auto_migrate
        self._versions = sa.Table(
            f"{prefix}schema_version",
            sa.MetaData(schema=schema),
            sa.Column("version_num", sa.String(32), primary_key=True),
        )

    def is_needed(self, connection: sa.Connection) -> bool:
        """Whether there is something to do.

        Raises:
            SchemaMismatch: the tables are newer, or older and not to be migrated on the way.
        """
        found = self.version(connection)
        if found == HEAD:
            return False
        if found is not None and found not in REVISIONS:
            if self._compatible_from(connection, found) in REVISIONS:
                return False
            raise SchemaMismatch(found, HEAD, "it is newer: update enfila in this process")
        if not self._auto_migrate:
            raise SchemaMismatch(
                found, HEAD, "bring it up to date with `await enfila.migrate(url)` first"
            )
        return True

    def version(self, connection: sa.Connection) -> str | None:
        """The revision of the tables; None when there are none."""
        if not sa.inspect(connection).has_table(self._versions.name, schema=self._schema):
            return None
        return cast("str | None", connection.scalar(sa.select(self._versions.c.version_num)))

    def _compatible_from(self, connection: sa.Connection, found: str) -> str | None:
        """Since which revision programs work on the tables of a newer one; None if it is unknown.

        The mark names the revision that it was made for: one that somebody else has put there is
        not trusted.
        """
        columns = sa.inspect(connection).get_columns(self._versions.name, schema=self._schema)
        if _MARK not in {column["name"] for column in columns}:
            return None
        mark = connection.scalar(sa.select(sa.column(_MARK)).select_from(self._versions))
        revision, _, oldest = str(mark).partition(":")
        return oldest if revision == found else None

    def _mark(self, connection: sa.Connection) -> None:
        """Notes which older programs may go on with the tables."""
        versions = sa.table(self._versions.name, sa.column(_MARK), schema=self._schema)
        mark = f"{HEAD}:{COMPATIBLE_FROM}"
        connection.execute(sa.update(versions).values({_MARK: mark}))

    def upgrade(self, connection: sa.Connection) -> None:
        """Runs what is missing, in the caller's transaction: all of it or nothing."""
        self._take_lock(connection, self._schema)
        if self.version(connection) != HEAD:
            self._migrate(connection, HEAD)
            self._mark(connection)

    def downgrade(self, connection: sa.Connection, revision: str) -> None:
        """Goes back to an older revision, or to `base`, which removes the tables."""
        self._take_lock(connection, self._schema)
        self._migrate(connection, revision, backwards=True)
        if revision == "base":
            connection.execute(sa.schema.DropTable(self._versions))

    def _migrate(
        self, connection: sa.Connection, revision: str, *, backwards: bool = False
    ) -> None:
        # Alembic takes longer to import than all the rest; only a start with work to do pays.
        from alembic.config import Config  # noqa: PLC0415
        from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
        from alembic.script import ScriptDirectory  # noqa: PLC0415

        config = Config()
        scripts: ScriptDirectory = ScriptDirectory(str(Path(__file__).parent))

        def steps(current: Any, _context: object) -> list[object]:
            if backwards:
                return list(scripts._downgrade_revs(revision, current))  # noqa: SLF001 - Alembic's own
                # environments do so; the public command needs files of configuration.
            return list(scripts._upgrade_revs(revision, current))  # noqa: SLF001 - as above

        with EnvironmentContext(config, scripts, fn=steps) as environment:
            environment.configure(
                connection=connection,
                version_table=self._versions.name,
                version_table_schema=self._schema,
            )
            environment.run_migrations(schema=self._schema, prefix=self._prefix)
