"""Which dialect and which driver serve a URL. A dialect is imported only when it is chosen."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from enfila.core.domain.errors import DriverMissing, InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.database.urls import (
    Schemes,
    shown,
    without_password,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.dialect import Dialect
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection import (
    urls as postgresql,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite import urls as sqlite

_SCHEMES: Final[Schemes] = {**sqlite.SCHEMES, **postgresql.SCHEMES}
_ALLOWED: Final = f"give {sqlite.EXAMPLES}, {postgresql.EXAMPLES} or memory://"


def engine_url(text: str, field: str = "url") -> URL:
    """Turns the URL that a user gave into SQLAlchemy's, with the driver that is to be used.

    Raises:
        InvalidRequest: not a URL, or a database that enfila does not know.
        DriverMissing: the database's driver is not installed.
    """
    if not isinstance(text, str | URL):
        raise InvalidRequest("url", text, _ALLOWED)
    if isinstance(text, str):
        text = str.__str__(text)  # the text itself: a class of the user's own may do anything
    try:
        url = sa.make_url(postgresql.with_hosts_as_options(text))
    except (ArgumentError, TypeError, ValueError):
        raise InvalidRequest(field, without_password(text), _ALLOWED) from None
    candidates = _SCHEMES.get(url.drivername)
    if candidates is None:
        raise InvalidRequest(field, shown(url), _ALLOWED)
    for driver in candidates:
        if all(find_spec(module) for module in driver.modules):
            return driver.adapted(url.set(drivername=driver.drivername))
    wanted = candidates[0]
    raise DriverMissing(url.drivername, wanted.package, wanted.extra)


def dialect_of(url: URL) -> Dialect:
    """The dialect for a database URL that `engine_url` has accepted."""
    if url.get_backend_name() == "sqlite":
        from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite.dialect import (  # noqa: PLC0415
            SqliteDialect,
        )

        return SqliteDialect()
    from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.dialect import (  # noqa: PLC0415
        PostgresDialect,
    )

    return PostgresDialect()
