"""The URLs that lead to PostgreSQL."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy.engine import URL

from enfila.infrastructure.persistence.sqlalchemy.database.urls import Driver, Schemes

_SEVERAL_HOSTS: Final = re.compile(
    r"(?P<start>postgres(?:ql)?(?:\+\w+)?://(?:[^/?#]*@)?)"
    r"(?P<hosts>[^@/?#]*,[^@/?#]*)(?P<path>/?[^?#]*)(?:\?(?P<query>.*))?"
)


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
    for name, own_name in (("sslmode", "ssl"), ("connect_timeout", "timeout")):
        value = url.query.get(name)
        if value is not None:
            url = url.difference_update_query([name]).update_query_dict({own_name: value})
    return url


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
