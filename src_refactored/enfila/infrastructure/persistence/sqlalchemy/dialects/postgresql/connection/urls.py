"""The URLs that lead to PostgreSQL."""

from __future__ import annotations

import os
import re
from typing import Final

from sqlalchemy.engine import URL

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.showing import shown
from enfila.infrastructure.persistence.sqlalchemy.database.urls import Driver, Schemes, as_given

_SEVERAL_HOSTS: Final = re.compile(
    r"(?P<start>postgres(?:ql)?(?:\+\w+)?://(?:[^/?#]*@)?)"
    r"(?P<hosts>[^@/?#]*,[^@/?#]*)(?P<path>/?[^?#]*)(?:\?(?P<query>.*))?"
)
_NAMING: Final = {"database", "dbname", "service"}
"""Options that say which database is meant."""


def with_hosts_as_options(text: str) -> str:
    """`//a:1,b:2/database`, which libpq knows, as `///database?host=a:1&host=b:2`."""
    found = _SEVERAL_HOSTS.fullmatch(text)
    if found is None:
        return text
    options = [f"host={host}" for host in found["hosts"].split(",")]
    if found["query"]:
        options.append(found["query"])
    return f"{found['start']}{found['path'] or '/'}?{'&'.join(options)}"


def _with_asyncpg_options(url: URL) -> URL:
    """The URL with what providers write for libpq (`?sslmode=require`) as asyncpg calls it."""
    url = _with_database(url)
    for name, own_name in (("sslmode", "ssl"), ("connect_timeout", "timeout")):
        value = url.query.get(name)
        if value is not None:
            url = url.difference_update_query([name]).update_query_dict({own_name: value})
    return url


def _with_database(url: URL) -> URL:
    """The URL, if it names a database, or says where its name stands.

    Raises:
        InvalidRequest: it does not; PostgreSQL would take the one that is called like the user.
    """
    if url.database or "PGDATABASE" in os.environ or not _NAMING.isdisjoint(url.query):
        return url
    whole = as_given(url.set(drivername=url.get_backend_name(), database="database"))
    raise InvalidRequest(
        "url",
        as_given(url),
        f"give the name of a database, such as {whole}",
        problem=f"{shown(as_given(url.set(drivername=url.get_backend_name())))} names no database",
    )


_ASYNCPG: Final = Driver(
    "postgresql+asyncpg", ("asyncpg", "greenlet"), "asyncpg", "postgres", _with_asyncpg_options
)
_PSYCOPG: Final = Driver(
    "postgresql+psycopg", ("psycopg", "greenlet"), "psycopg[binary]", "psycopg", _with_database
)

SCHEMES: Final[Schemes] = {
    # A URL may be shared with a program that uses psycopg2, whose URLs look the same.
    **dict.fromkeys(
        ("postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg2cffi"),
        (_ASYNCPG, _PSYCOPG),
    ),
    "postgresql+asyncpg": (_ASYNCPG,),
    "postgresql+psycopg": (_PSYCOPG,),
    "postgresql+psycopg_async": (_PSYCOPG,),
}
EXAMPLES: Final = "postgresql://user@host/database (postgresql+asyncpg://, postgresql+psycopg://)"
