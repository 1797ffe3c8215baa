"""Which dialect and which driver serve a URL. A dialect is imported only when it is chosen."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from enfila.core.domain.errors import DriverMissing, InvalidRequest
from enfila.core.domain.showing import shown
from enfila.infrastructure.persistence.sqlalchemy.database.urls import (
    Schemes,
    as_given,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.dialect import Dialect
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection import (
    urls as postgresql,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.sqlite import urls as sqlite

_SCHEMES: Final[Schemes] = {**sqlite.SCHEMES, **postgresql.SCHEMES}
_ALLOWED: Final = f"give {sqlite.EXAMPLES}, {postgresql.EXAMPLES} or memory://"
_ENCODE: Final = (
    "in a URL the characters @ : / ? # % of a name or password are percent-encoded "
    "(urllib.parse.quote(password, safe='')); "
)


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
    url = _parsed(text, field)
    candidates = _SCHEMES.get(url.drivername)
    if candidates is None:
        raise InvalidRequest(field, as_given(url), f"{_hint(url)}{_ALLOWED}")
    for driver in candidates:
        if all(find_spec(module) for module in driver.modules):
            return driver.adapted(url.set(drivername=driver.drivername))
    wanted = candidates[0]
    raise DriverMissing(url.drivername, wanted.package, wanted.extra)


def _parsed(text: str | URL, field: str) -> URL:
    try:
        url = sa.make_url(postgresql.with_hosts_as_options(text) if isinstance(text, str) else text)
    except (ArgumentError, TypeError, ValueError):
        hint = _ENCODE if _has_several_signs(text) else ""
        raise InvalidRequest(field, as_given(text), f"{hint}{_ALLOWED}") from None
    if "@" in (url.host or ""):
        raise InvalidRequest(field, as_given(text), f"{_ENCODE}{_ALLOWED}")
    return url


def _has_several_signs(text: str | URL) -> bool:
    """Whether there is more than the one @ before the host, as in a password that has one."""
    return str(text).partition("?")[0].count("@") > 1


def _hint(url: URL) -> str:
    """What to write in place of a driver that enfila does not use."""
    kind, _, driver = url.drivername.partition("+")
    if not driver or kind not in _SCHEMES:
        return ""
    return f"enfila does not use the driver {shown(driver)}: begin with {kind}://; "


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
