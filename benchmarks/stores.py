"""Empty databases for measurements: made here, counted in, and dropped at the end."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Final, LiteralString
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psutil
import psycopg
from psycopg import sql

STANDARD_POSTGRES: Final = os.environ.get(
    "ENFILA_BENCH_POSTGRES_URL", "postgresql://127.0.0.1:5432/postgres"
)
STANDARD_REDIS: Final = "redis://127.0.0.1:6379"
SCRATCH: Final = Path(__file__).parents[1] / ".bench"


class NoServerError(Exception):
    """A server that does not answer."""


class Store(ABC):
    """A database that one system has for itself.

    Attributes:
        url: what the system connects to.
        server: the server's main process, if it is on this machine and can be watched.
    """

    url: str
    server: psutil.Process | None = None

    @abstractmethod
    def reset(self) -> None:
        """Makes the database empty."""

    @abstractmethod
    def count(self, question: LiteralString) -> int:
        """The number that answers a question in the store's language."""

    def settle(self) -> None:
        """Does what a database does by itself some time after many rows have come."""

    @abstractmethod
    def close(self) -> None:
        """Removes the database."""


class SqlStore(Store):
    """One that is asked in SQL."""

    @abstractmethod
    def execute(self, statement: str) -> None:
        """Runs a statement and commits it."""

    @abstractmethod
    def columns(self, table: str) -> list[str]:
        """The names of a table's columns."""

    @abstractmethod
    def held_open(self, table: str) -> AbstractContextManager[None]:
        """A transaction that has read the table, and is not ended for a while."""


class SqliteStore(SqlStore):
    """A file in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / f"sqlite-{uuid4().hex}"
        self._path = self._folder.absolute() / "bench.db"
        self.url = f"sqlite:///{self._path}"

    def reset(self) -> None:
        self.close()
        self._folder.mkdir(parents=True)

    def count(self, question: LiteralString) -> int:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection:
            (answer,) = connection.execute(question).fetchone()
        return int(answer)

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            connection.execute(statement)

    def columns(self, table: str) -> list[str]:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection:
            return [row[1] for row in connection.execute(f"pragma table_info ({table})")]

    @contextmanager
    def held_open(self, table: str) -> Iterator[None]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("begin")
            connection.execute(f"select * from {table} limit 1").fetchall()
            yield

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


class PostgresStore(SqlStore):
    """A database of its own on a server."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._name = f"enfila_bench_{uuid4().hex[:12]}"
        self._connection: psycopg.Connection | None = None
        try:
            with psycopg.connect(server_url, connect_timeout=3) as connection:
                self.server = _parent_of(connection.info.backend_pid)
                user = connection.info.user
        except psycopg.OperationalError as error:
            raise NoServerError(str(error).splitlines()[0]) from None
        place = urlsplit(server_url)
        # Not every driver takes the user's name from the system, as libpq does.
        server = place.netloc if place.username else f"{user}@{place.netloc}"
        self.url = urlunsplit(place._replace(netloc=server, path=f"/{self._name}"))

    def reset(self) -> None:
        self.close()
        self._on_server(sql.SQL("create database {}"))
        self._connection = psycopg.connect(self.url, autocommit=True)

    def count(self, question: LiteralString) -> int:
        return int(self._open.execute(question).fetchall()[0][0])

    def execute(self, statement: str) -> None:
        self._open.execute(statement.encode())

    def columns(self, table: str) -> list[str]:
        described = self._open.execute(f"select * from {table} limit 0".encode()).description
        return [column.name for column in described or ()]

    @contextmanager
    def held_open(self, table: str) -> Iterator[None]:
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute(f"select * from {table} limit 1".encode())
            yield
            connection.rollback()

    def settle(self) -> None:
        self._open.execute("vacuum analyze")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._on_server(sql.SQL("drop database if exists {} with (force)"))

    @property
    def _open(self) -> psycopg.Connection:
        if self._connection is None:
            raise RuntimeError("reset the store first")
        return self._connection

    def _on_server(self, statement: sql.SQL) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(statement.format(sql.Identifier(self._name)))


class RedisStore(Store):
    """A database number that nobody uses."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._number = 0
        try:
            described = str(self._ask("INFO server"))
            self._number = next(n for n in range(15, 0, -1) if self._ask("DBSIZE", n) == 0)
        except (OSError, RuntimeError) as error:
            raise NoServerError(str(error)) from None
        except StopIteration:
            raise NoServerError("none of its databases 1 to 15 is empty") from None
        self.url = f"redis://{self._address[0]}:{self._address[1]}/{self._number}"
        (process,) = (line for line in described.splitlines() if line.startswith("process_id:"))
        self.server = _process(int(process.partition(":")[2]), "redis")

    def reset(self) -> None:
        self._ask("FLUSHDB", self._number)

    def count(self, question: LiteralString) -> int:
        return int(self._ask(question, self._number))

    def close(self) -> None:
        self.reset()

    def _ask(self, command: str, number: int = 0) -> int | str:
        with socket.create_connection(self._address, timeout=3) as connection:
            connection.sendall(f"SELECT {number}\r\n{command}\r\n".encode())
            answers = connection.makefile("rb")
            answers.readline()
            kind, value = (answer := answers.readline().decode().strip())[:1], answer[1:]
            match kind:
                case ":":
                    return int(value)
                case "$":
                    return answers.read(int(value)).decode()
                case "+":
                    return value
                case _:
                    raise RuntimeError(f"{command}: {answer}")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Below the project: a folder for temporary files may not be on the disk to be measured."""
    folder = SCRATCH / f"run-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _parent_of(backend: int) -> psutil.Process | None:
    with suppress(psutil.Error):
        parent = psutil.Process(backend).parent()
        return _process(parent.pid, "postgres") if parent else None
    return None


def _process(pid: int, name: str) -> psutil.Process | None:
    """That process, unless the server is on another machine and the number means nothing here."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return process if process.name().startswith(name) else None
    return None
