"""The URLs that lead to SQLite."""

from __future__ import annotations

from math import isfinite
from typing import Final

from sqlalchemy.engine import URL

from enfila.core.domain.errors import InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.database.urls import Driver, Schemes, shown

_OPTIONS: Final = ("cached_statements", "timeout", "uri")
_OPTIONS_OF_FILES: Final = ("cache", "immutable", "mode", "modeof", "nolock", "psow", "vfs")


def _checked(url: URL) -> URL:
    """The URL, if it is one of a file and says nothing that would be dropped.

    Raises:
        InvalidRequest: two slashes instead of three, or an unknown option.
    """
    if url.host or url.username or url.password or url.port:
        path = "/".join(part for part in (url.host, url.database) if part)
        raise InvalidRequest(
            "url", shown(url), f"give three slashes before a relative path: sqlite:///{path}"
        )
    for name, value in url.query.items():
        _check_option(url, name, value if isinstance(value, str) else ", ".join(value))
    return url


def _check_option(url: URL, name: str, value: str) -> None:
    is_known = name in _OPTIONS or (name in _OPTIONS_OF_FILES and "uri" in url.query)
    if not is_known:
        files = f"with sqlite:///file:…&uri=true also {', '.join(_OPTIONS_OF_FILES)}"
        allowed = f"with SQLite these options may be given: {', '.join(_OPTIONS)}; {files}"
        raise InvalidRequest("url", name, allowed)
    if name == "uri" and value.lower() not in {"true", "1"}:
        raise InvalidRequest("uri in the URL", value, "give true, or leave it out")
    if name == "cached_statements" and not value.isdecimal():
        raise InvalidRequest(f"{name} in the URL", value, "give a whole number of 0 or more")
    if name == "timeout" and not _is_length(value):
        raise InvalidRequest(f"{name} in the URL", value, "give a number of seconds of 0 or more")


def _is_length(text: str) -> bool:
    try:
        length = float(text)
    except ValueError:
        return False
    return isfinite(length) and length >= 0


_PYSQLITE: Final = Driver("sqlite+pysqlite", ("sqlite3",), adapted=_checked)

SCHEMES: Final[Schemes] = dict.fromkeys(
    # A URL may be shared with a program that reaches the file over aiosqlite.
    ("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"),
    (_PYSQLITE,),
)
EXAMPLES: Final = "sqlite:///file.db"
