"""The URLs that lead to PostgreSQL."""

from __future__ import annotations

from typing import Final

from sqlalchemy.engine import URL

from enfila.infrastructure.persistence.sqlalchemy.database.urls import Driver, Schemes


def _with_asyncpg_options(url: URL) -> URL:
    """The URL with what providers write for libpq (`?sslmode=require`) as asyncpg calls it."""
    mode = url.query.get("sslmode")
    if mode is None:
        return url
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


_ASYNCPG: Final = Driver(
    "postgresql+asyncpg", ("asyncpg", "greenlet"), "asyncpg", "postgres", _with_asyncpg_options
)
_PSYCOPG: Final = Driver(
    "postgresql+psycopg", ("psycopg", "greenlet"), "psycopg[binary]", "psycopg"
)

SCHEMES: Final[Schemes] = {
    "postgresql": (_ASYNCPG, _PSYCOPG),
    "postgres": (_ASYNCPG, _PSYCOPG),
    "postgresql+asyncpg": (_ASYNCPG,),
    "postgresql+psycopg": (_PSYCOPG,),
}
EXAMPLES: Final = "postgresql://user@host/database (postgresql+asyncpg://, postgresql+psycopg://)"
