"""Database URLs: which driver serves one, and how one is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_SECRETS: Final = ("password", "sslpassword")


class Driver(NamedTuple):
    """How a driver of a database is named in URLs, found and installed.

    Attributes:
        drivername: how SQLAlchemy's URLs begin that ask for it.
        modules: what must be installed.
        package: what people install it with.
        extra: the extra of enfila's that brings it.
        adapted: the URL with its options as this driver calls them.
    """

    drivername: str
    modules: tuple[str, ...]
    package: str = ""
    extra: str = ""
    adapted: Callable[[URL], URL] = lambda url: url


Schemes = Mapping[str, tuple[Driver, ...]]
"""How the URLs of a database begin, and the drivers for each, the best first."""


def shown(url: URL) -> str:
    """A database URL for people to read: no driver, no password."""
    return (
        url.set(drivername=url.get_backend_name())
        .difference_update_query(_SECRETS)
        .render_as_string(hide_password=True)
    )


def as_given(text: str | URL) -> str:
    """A database URL as a refusal quotes it: whole, with stars in place of the password."""
    try:
        readable = make_url(text).render_as_string(hide_password=True)
    except (ArgumentError, TypeError, ValueError):
        readable = str(text)
    hidden = re.sub(r"(//[^:/]*):.*@", r"\1:***@", readable)
    return re.sub(rf"(?<=[?&])({'|'.join(_SECRETS)})=[^&]*", r"\1=***", hidden)
