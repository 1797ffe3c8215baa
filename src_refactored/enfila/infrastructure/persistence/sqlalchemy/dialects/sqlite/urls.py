"""The URLs that lead to SQLite."""

from __future__ import annotations

from typing import Final

from enfila.infrastructure.persistence.sqlalchemy.database.urls import Driver, Schemes

_PYSQLITE: Final = Driver("sqlite+pysqlite", ("sqlite3",))

SCHEMES: Final[Schemes] = {"sqlite": (_PYSQLITE,), "sqlite+pysqlite": (_PYSQLITE,)}
EXAMPLES: Final = "sqlite:///file.db"
