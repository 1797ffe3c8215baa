"""What the drivers of PostgreSQL are told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple
from uuid import uuid4

from sqlalchemy.engine import URL

from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import Row
from enfila.infrastructure.persistence.sqlalchemy.database.server import server_driver
from enfila.infrastructure.persistence.sqlalchemy.database.server.server_driver import (
    DirectExecution,
    ServerDriver,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.errors import (
    PostgresErrors,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.options import (
    Reader,
    one_of,
    read_options,
    seconds,
    text,
    whole_number,
    whole_number_or_none,
    yes_or_no,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.pooler import (
    SERVERS_DATESTYLE,
    PoolerFoundError,
    beginning,
    is_sign_of_pooler,
    without_names,
)
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.settings import (
    as_options,
    session_settings,
)

logger = logging.getLogger("enfila")


class _Keepalive(NamedTuple):
    """How the system finds out that a path is dead; seconds, and a number of probes."""

    idle: int
    interval: int
    probes: int
    unacknowledged: int


_KEEPALIVE: Final = _Keepalive(idle=10, interval=3, probes=3, unacknowledged=15)
_OF_SQLALCHEMY: Final = (
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "async_creator_fn",
)
_SSL_MODE: Final = one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SERVER_KIND: Final = one_of(
    "any", "primary", "standby", "read-write", "read-only", "prefer-standby"
)


class PostgresDriver(ServerDriver):
    """One driver of PostgreSQL, with what a URL says to it.

    Attributes:
        known: the options that may stand in a URL, and how each is read.

    Raises:
        InvalidRequest: the URL says what the driver does not know.
    """

    known: ClassVar[Mapping[str, Reader]]

    def __init__(self, url: URL) -> None:
        self.errors: DriverErrors = PostgresErrors()
        self._url = url
        self._options = read_options(url, {**self.known, "pooler": yes_or_no})
        self._arguments = dict(self._options.arguments)
        self._settings = session_settings(dict(self._options.settings))
        self._pooler: bool | None = self._arguments.pop("pooler", None)
        self.is_pooled = self._pooler is True

    @property
    def beginning(self) -> str:
        """See `ServerDriver.beginning`."""
        return beginning(self._settings)

    def notices_pooler(self, error: BaseException) -> bool:
        """See `ServerDriver.notices_pooler`."""
        if self._pooler is False or not is_sign_of_pooler(error):
            return False
        if not self.is_pooled:
            logger.info("a connection pooler was noticed: %s", error)
        self.is_pooled = True
        return True

    async def say(self, connection: Any, text: str) -> None:
        """See `ServerDriver.say`; with both drivers the text may be several statements."""
        await connection.execute(text)

    async def connect(self, **arguments: Any) -> Any:
        """A connection of the driver's own, with what a server or a pooler can be told.

        Raises:
            PoolerFoundError: there is a pooler, which was not known.
        """
        as_pooled = self.is_pooled
        connection = await self._connect(self._for_pooler(arguments) if as_pooled else arguments)
        if as_pooled or self._pooler is False:
            return connection
        if self.is_pooled or self._datestyle(connection) != SERVERS_DATESTYLE:
            self.break_off(connection)
            with contextlib.suppress(Exception):
                await connection.close()
            raise PoolerFoundError("a connection pooler answers in place of the server")
        return connection

    @abstractmethod
    async def _connect(self, arguments: dict[str, Any]) -> Any: ...

    @abstractmethod
    def _for_pooler(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments without settings and names of statements, which poolers lose."""

    @abstractmethod
    def _datestyle(self, connection: Any) -> str | None:
        """The setting that was told when the connection began."""

    def engine_url(self) -> URL:
        """See `ServerDriver.engine_url`."""
        return self._url.set(query={})

    async def is_answered(self, seconds: float) -> bool:
        """See `ServerDriver.is_answered`; a refusal in words is an answer."""
        try:
            async with asyncio.timeout(seconds):
                connection = await self.connect_directly("enfila")
        except Exception as error:  # noqa: BLE001 - drivers raise many kinds; the answer is one
            return self.errors.is_answer(error)
        self.break_off(connection)
        with contextlib.suppress(Exception):
            await connection.close()
        return True

    async def connect_directly(self, application_name: str) -> Any:
        """A connection of the driver's own, beside the pool."""
        arguments = self._beside_the_pool(application_name)
        try:
            return await self.connect(**arguments)
        except Exception as error:
            if not self.notices_pooler(error):
                raise
        return await self.connect(**arguments)

    def _beside_the_pool(self, application_name: str) -> dict[str, Any]:
        arguments = self.direct_arguments(application_name)
        for name in _OF_SQLALCHEMY:
            arguments.pop(name, None)
        return arguments

    def direct_arguments(self, application_name: str) -> dict[str, Any]:
        """What the driver's own `connect` is called with, for a connection beside the pool."""
        url = self.engine_url()
        arguments = dict(url.get_dialect()().create_connect_args(url)[1])
        return arguments | self.connect_arguments(application_name)


def driver_of(url: URL) -> PostgresDriver:
    """The driver of PostgreSQL that a URL names.

    Raises:
        InvalidRequest: the URL says what the driver does not know.
    """
    return PsycopgDriver(url) if url.get_driver_name() == "psycopg" else AsyncpgDriver(url)


class AsyncpgDriver(PostgresDriver):
    """How connections to PostgreSQL over asyncpg are set up; it prepares each statement once."""

    known: ClassVar[Mapping[str, Reader]] = {
        **dict.fromkeys(("database", "user", "password", "passfile"), text),
        **dict.fromkeys(("service", "servicefile", "krbsrvname", "gsslib"), text),
        **dict.fromkeys(("statement_cache_size", "prepared_statement_cache_size"), whole_number),
        **dict.fromkeys(
            ("max_cached_statement_lifetime", "max_cacheable_statement_size"), whole_number
        ),
        **dict.fromkeys(("timeout", "command_timeout"), seconds),
        "direct_tls": yes_or_no,
        "ssl": _SSL_MODE,
        "target_session_attrs": _SERVER_KIND,
        # As libpq calls them; see `urls`.
        "sslmode": _SSL_MODE,
        "connect_timeout": seconds,
    }

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self.direct: DirectExecution | None = _AsyncpgExecution()

    def connect_arguments(self, application_name: str = "enfila") -> dict[str, Any]:
        """See `ServerDriver.connect_arguments`."""
        arguments: dict[str, Any] = {
            "timeout": server_driver.CONNECT_SECONDS,
            **self._arguments,
            "async_creator_fn": self.connect,
            "server_settings": {"application_name": application_name, **self._settings},
        }
        hosts = self._options.hosts
        if hosts:
            arguments |= {"host": [host for host, _ in hosts], "port": [port for _, port in hosts]}
        if len(hosts) > 1:
            arguments.setdefault("target_session_attrs", "read-write")
        if arguments.get("statement_cache_size") == 0:
            # A pooler lends one server connection to many clients: no name may come twice on it.
            arguments.setdefault("prepared_statement_cache_size", 0)
            arguments["prepared_statement_name_func"] = _statement_name
        return arguments

    def break_off(self, connection: Any) -> None:
        """See `ServerDriver.break_off`."""
        connection.terminate()

    def is_closed(self, connection: Any) -> bool:
        """See `ServerDriver.is_closed`."""
        answer: bool = connection.is_closed()
        return answer

    async def begin_set_up(self, connection: Any) -> None:
        """See `ServerDriver.begin_set_up`: what follows takes two messages for each statement."""
        without_names(connection)
        await self.say(connection.driver_connection, "BEGIN")

    async def end_set_up(self, connection: Any) -> None:
        """See `ServerDriver.end_set_up`."""
        await self.say(connection.driver_connection, "COMMIT")

    async def _connect(self, arguments: dict[str, Any]) -> Any:
        return await connect_asyncpg(**arguments)

    def _for_pooler(self, arguments: dict[str, Any]) -> dict[str, Any]:
        name = arguments["server_settings"]["application_name"]
        return arguments | {
            "server_settings": {"application_name": name},
            "statement_cache_size": 0,
        }

    def _datestyle(self, connection: Any) -> str | None:
        return getattr(connection.get_settings(), "DateStyle", None)


class PsycopgDriver(PostgresDriver):
    """How connections to PostgreSQL over psycopg 3 are set up."""

    known: ClassVar[Mapping[str, Reader]] = {
        **dict.fromkeys(("dbname", "user", "password", "passfile", "hostaddr"), text),
        **dict.fromkeys(("service", "servicefile", "krbsrvname", "gsslib", "gssencmode"), text),
        **dict.fromkeys(("sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl"), text),
        **dict.fromkeys(("sslcrldir", "sslsni", "sslcompression", "sslnegotiation"), text),
        **dict.fromkeys(("ssl_min_protocol_version", "ssl_max_protocol_version"), text),
        **dict.fromkeys(("requirepeer", "require_auth", "channel_binding"), text),
        **dict.fromkeys(("fallback_application_name", "load_balance_hosts"), text),
        **dict.fromkeys(("connect_timeout", "tcp_user_timeout", "keepalives"), whole_number),
        **dict.fromkeys(
            ("keepalives_idle", "keepalives_interval", "keepalives_count"), whole_number
        ),
        "prepare_threshold": whole_number_or_none,
        "sslmode": _SSL_MODE,
        "target_session_attrs": _SERVER_KIND,
    }

    def engine_url(self) -> URL:
        """See `ServerDriver.engine_url`."""
        return super().engine_url().set(drivername="postgresql+psycopg_async")

    def connect_arguments(self, application_name: str = "enfila") -> dict[str, Any]:
        """See `ServerDriver.connect_arguments`."""
        settings = dict(self._settings)
        arguments: dict[str, Any] = {
            "connect_timeout": server_driver.CONNECT_SECONDS,
            "keepalives_idle": _KEEPALIVE.idle,
            "keepalives_interval": _KEEPALIVE.interval,
            "keepalives_count": _KEEPALIVE.probes,
            "tcp_user_timeout": _KEEPALIVE.unacknowledged * 1000,
            **self._arguments,
            "async_creator_fn": self.connect,
            "application_name": settings.pop("application_name", application_name),
            "client_encoding": "UTF8",
            "options": as_options(settings),
        }
        hosts = self._options.hosts
        if hosts:
            arguments["host"] = ",".join(host for host, _ in hosts)
            arguments["port"] = ",".join(str(port) for _, port in hosts)
        if len(hosts) > 1:
            arguments.setdefault("target_session_attrs", "read-write")
        return arguments

    def is_closed(self, connection: Any) -> bool:
        """See `ServerDriver.is_closed`."""
        answer: bool = connection.closed
        return answer

    async def begin_set_up(self, connection: Any) -> None:
        """See `ServerDriver.begin_set_up`: each statement is one message already."""

    async def end_set_up(self, connection: Any) -> None:
        """See `ServerDriver.end_set_up`."""

    async def _connect(self, arguments: dict[str, Any]) -> Any:
        from psycopg import AsyncConnection  # noqa: PLC0415 - only where it is installed

        return await AsyncConnection.connect(**arguments)

    def _for_pooler(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {**arguments, "options": "", "prepare_threshold": None}

    def _datestyle(self, connection: Any) -> str | None:
        answer: str | None = connection.info.parameter_status("DateStyle")
        return answer

    def _beside_the_pool(self, application_name: str) -> dict[str, Any]:
        return super()._beside_the_pool(application_name) | {"autocommit": True}

    def break_off(self, connection: Any) -> None:
        """See `ServerDriver.break_off`.

        To cancel its task would not do: psycopg then asks the server to cancel the statement, and
        waits for the answer.
        """
        if connection.closed:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.shutdown(socket.SHUT_RDWR)


async def connect_asyncpg(**arguments: Any) -> Any:
    """A connection of asyncpg's, to the first of several hosts that can be used.

    Its own `connect` has one timeout for all hosts together: a first one that is silent would use
    it up.
    """
    import asyncpg  # noqa: PLC0415 - only where it is installed

    hosts, ports = arguments.get("host"), arguments.get("port")
    if not isinstance(hosts, list) or not isinstance(ports, list):
        return _watched(await asyncpg.connect(**arguments))  # type: ignore[no-untyped-call]
    errors, failure = PostgresErrors(), None
    for host, port in zip(hosts, ports, strict=True):
        try:
            return _watched(await asyncpg.connect(**arguments | {"host": host, "port": port}))  # type: ignore[no-untyped-call]
        except Exception as error:
            if not errors.is_outage(error):
                raise
            failure = error
    raise failure or AssertionError("there is at least one host")


def _watched(connection: Any) -> Any:
    """The same connection of asyncpg's, over whose path the system watches."""
    end = connection._transport.get_extra_info("socket")  # noqa: SLF001 - it has no public way
    if end is not None and end.family in {socket.AF_INET, socket.AF_INET6}:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _KEEPALIVE.idle),
            ("TCP_KEEPINTVL", _KEEPALIVE.interval),
            ("TCP_KEEPCNT", _KEEPALIVE.probes),
            ("TCP_USER_TIMEOUT", _KEEPALIVE.unacknowledged * 1000),
        ):
            if hasattr(socket, name):  # not every system has them all
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


def _statement_name() -> str:
    return f"__enfila_{uuid4().hex}__"


class _AsyncpgExecution(DirectExecution):
    async def fetch(self, connection: Any, text: str, values: tuple[Any, ...]) -> Sequence[Row]:
        rows: Sequence[Row] = await connection.fetch(text, *values)
        return rows

    def is_closed(self, connection: Any) -> bool:
        answer: bool = connection.is_closed()
        return answer
