"""Settings of the sessions on PostgreSQL."""

from __future__ import annotations

import re
from typing import Final

from enfila.core.domain.errors import InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.database.server import server_driver

PLANNER: Final = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""Settings of the planner for each connection.

A plan that PostgreSQL caches while the table is small must still be right when it has grown, so
whatever visits the whole table is ruled out: rows are found by index, one by one. JIT never pays
for statements of milliseconds.
"""
_READING: Final = {"datestyle": "ISO,YMD", "intervalstyle": "postgres"}
"""How values are written in answers, whatever the role says: the drivers read nothing else.

The order of year, month and day tells a server from a pooler; see `pooler`. Nothing is sent whose
meaning depends on it.
"""
_FIXED: Final = frozenset({*_READING, "client_encoding", "default_transaction_isolation"})
_NAME: Final = re.compile(r"[a-z_][a-z0-9_.]*")
_ALLOWED: Final = "give -c name=value, once for each setting"


def session_settings(chosen: dict[str, str]) -> dict[str, str]:
    """All settings of a session, by their names in small letters; those of the user come first."""
    return {
        **PLANNER,
        **_READING,
        "timezone": "UTC",
        "default_transaction_isolation": "read committed",
        "statement_timeout": str(server_driver.STATEMENT_SECONDS * 1000),
        **chosen,
    }


def as_options(settings: dict[str, str]) -> str:
    """Settings as the `options` of libpq."""
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def settings_of(options: str) -> dict[str, str]:
    """Settings from the `options` of libpq, by their names in small letters.

    Raises:
        InvalidRequest: something else stands there, or a setting that enfila relies on.
    """
    words = [_unescaped(word) for word in re.findall(r"(?:\\.|[^\s\\])+", options)]
    settings: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word = f"-c{words.pop(0)}"
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_").lower()
        if word[:2] not in {"-c", "--"} or not equals or not _NAME.fullmatch(name):
            raise InvalidRequest("options", options, _ALLOWED)
        if name in _FIXED:
            raise InvalidRequest("options", f"{name}={value}", "enfila relies on its own setting")
        settings[name] = value
    return settings


def _escaped(value: str) -> str:
    return re.sub(r"([\s\\])", r"\\\1", value)


def _unescaped(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word)
