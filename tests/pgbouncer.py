"""PgBouncer in front of the tests' server."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from sqlalchemy import URL

# Debian has it where only administrators look.
_PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_START_SECONDS: Final = 30.0


class PgBouncer:
    """A pooler that can be stopped and started again.

    Attributes:
        url: leads to the database of `server`, through it.
    """

    def __init__(self, server: URL, folder: Path, settings: dict[str, str]) -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url: Final = server.set(host="127.0.0.1", port=port)
        self._ini = folder / "pgbouncer.ini"
        self._log = folder / "pgbouncer.log"
        given = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "any",
            **settings,
        }
        lines = [f"{name} = {value}" for name, value in given.items()]
        address = f"host={server.host} port={server.port or 5432} user={server.username}"
        self._ini.write_text("\n".join(["[databases]", f"* = {address}", "[pgbouncer]", *lines]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; returns when it takes connections."""
        assert _PROGRAM
        # It refuses to run as root.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([_PROGRAM, *user, self._ini], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"PgBouncer does not answer:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it at once, with all its connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            url = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
            psycopg.connect(url, connect_timeout=5, options="").close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def pgbouncer(server: URL, folder: Path, **settings: str) -> Iterator[PgBouncer]:
    """A running PgBouncer with these settings."""
    if _PROGRAM is None:
        missing = "pgbouncer is not installed (Debian: apt-get install pgbouncer)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    pooler = PgBouncer(server, folder, settings)
    pooler.start()
    try:
        yield pooler
    finally:
        pooler.stop()
