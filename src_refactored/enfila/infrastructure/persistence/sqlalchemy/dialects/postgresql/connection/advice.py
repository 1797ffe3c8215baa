"""What to do about errors of PostgreSQL, one sentence for each."""

from __future__ import annotations

from typing import Final

_POOLER: Final = (
    "behind a connection pooler, add ?pooler=true to enfila's URL, and use no prepared statements "
    "on connections of your own"
)
_TABLES: Final = (
    "see that schema, table_prefix and the search_path of this role lead to enfila's tables, and "
    "bring them up to date with `await enfila.migrate(url)`"
)
_SETTINGS: Final = "correct what ?options= in the URL, or the settings of this role, say"
_ADVICE: Final = {
    "25006": "connect to a server, and as a role, that may write",
    "28": "correct the user and the password in the URL, or the server's pg_hba.conf",
    "3D": "make the database, or correct its name in the URL",
    "3F": "give `schema`, or set a search_path for this role",
    "42501": "grant this role what the page 'Roles on PostgreSQL' of enfila's documentation lists",
    "42P01": _TABLES,
    "42703": _TABLES,
    "42704": _SETTINGS,
    "22023": _SETTINGS,
    "55P02": _SETTINGS,
    "26000": _POOLER,
    "42P05": _POOLER,
    "53100": "make room on the server's disk",
    "53300": "use fewer processes or a smaller pool_size, or raise max_connections",
    "55P03": "find who holds the lock for so long, or raise the lock_timeout of this role",
    "57014": "find what makes it slow, or add ?options=-cstatement_timeout=… to the URL",
}

UNAVAILABLE: Final = tuple(_ADVICE)
"""SQLSTATEs, or their classes, that say something of the server, the role or the tables."""


def advice_on(state: str) -> str | None:
    """What to do about an error with this SQLSTATE."""
    return next((_ADVICE[known] for known in _ADVICE if state.startswith(known)), None)
