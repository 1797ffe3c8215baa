"""From a database URL to an engine's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from enfila.core.domain.errors import DriverMissing, InvalidRequest


class _Driver(NamedTuple):
    drivername: str
    module: str
    package: str
    extra: str


_ASYNCPG: Final = _Driver("postgresql+asyncpg", "asyncpg", "asyncpg", "postgres")
_PSYCOPG: Final = _Driver("postgresql+psycopg", "psycopg", "psycopg[binary]", "psycopg")

_SERVERS: Final[Mapping[str, tuple[_Driver, ...]]] = {
    "postgresql": (_ASYNCPG, _PSYCOPG),
    "postgres": (_ASYNCPG, _PSYCOPG),
    "postgresql+asyncpg": (_ASYNCPG,),
    "postgresql+psycopg": (_PSYCOPG,),
}
_FILES: Final = ("sqlite", "sqlite+pysqlite")
_ALLOWED: Final = (
    "give sqlite:///file.db, postgresql://user@host/database "
    "(postgresql+asyncpg://, postgresql+psycopg://) or memory://"
)
_SECRETS: Final = ("password", "sslpassword")
# What SQLAlchemy takes from the URL for itself before it calls asyncpg.
_OPTIONS_OF_THE_DIALECT: Final = frozenset({"prepared_statement_cache_size"})


def engine_url(text: str) -> URL:
    """The URL of SQLAlchemy's, with the driver that is to be used.

    Raises:
        InvalidRequest: not a URL, or a database that enfila does not know.
        DriverMissing: the database's driver is not installed.
    """
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidRequest("url", without_password(text), _ALLOWED) from None
    if url.drivername in _FILES:
        return url.set(drivername="sqlite+pysqlite")
    candidates = _SERVERS.get(url.drivername)
    if candidates is None:
        raise InvalidRequest("url", shown(url), _ALLOWED)
    for driver in candidates:
        if find_spec(driver.module) and find_spec("greenlet"):
            chosen = url.set(drivername=driver.drivername)
            return _with_asyncpg_options(chosen) if driver is _ASYNCPG else chosen
    wanted = candidates[0]
    raise DriverMissing(url.drivername, wanted.package, wanted.extra)


def _with_asyncpg_options(url: URL) -> URL:
    """The URL with what providers write for libpq (`?sslmode=require`) as asyncpg calls it."""
    mode = url.query.get("sslmode")
    if mode is None:
        return url
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def check_options(url: URL) -> None:
    """Refuses what asyncpg does not know in `?…`; psycopg says so itself when it connects.

    Raises:
        InvalidRequest: names the words.
    """
    if url.get_driver_name() != "asyncpg":
        return
    import asyncpg  # noqa: PLC0415 - only where it is installed

    known = _OPTIONS_OF_THE_DIALECT | set(inspect.signature(asyncpg.connect).parameters)
    if unknown := sorted(set(url.query) - known):
        raise InvalidRequest(
            "url", ", ".join(unknown), "asyncpg has no such option; leave it out of the URL"
        )


def shown(url: URL) -> str:
    """The URL for people to read: no driver, no password."""
    return (
        url.set(drivername=url.get_backend_name())
        .difference_update_query(_SECRETS)
        .render_as_string(hide_password=True)
    )


def without_password(text: object) -> str:
    """A text that is no URL, with whatever looks like a password left out."""
    return re.sub(r"(//[^:@/]*):.*@", r"\1:***@", str(text))
