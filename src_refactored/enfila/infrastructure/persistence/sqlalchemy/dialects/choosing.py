"""Which dialect serves which URL. A dialect is imported only when it is chosen."""

from __future__ import annotations

from sqlalchemy.engine import URL

from enfila.infrastructure.persistence.sqlalchemy.dialects.dialect import Dialect


def dialect_of(url: URL) -> Dialect:
    """The dialect of a URL that `engine_url` has accepted."""
    if url.get_backend_name() == "sqlite":
        from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.dialect import (  # noqa: PLC0415
            SqliteDialect,
        )

        return SqliteDialect()
    from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.dialect import (  # noqa: PLC0415
        PostgresDialect,
    )

    return PostgresDialect()
