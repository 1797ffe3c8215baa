"""What a URL says to the drivers of PostgreSQL behind its `?`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

from sqlalchemy.engine import URL

from enfila.core.domain.errors import InvalidRequest
from enfila.infrastructure.persistence.sqlalchemy.dialects.postgresql.connection.settings import (
    settings_of,
)

_PORT: Final = 5432
_HIGHEST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class UrlOptions:
    """Value object: what a URL says to a driver, each part as the driver takes it.

    Attributes:
        hosts: the servers of a URL that names them as options; the first that can be used is.
        settings: of the session.
        arguments: of the driver's `connect`.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


Reader = Callable[[str, str], Any]
"""Reads the text of an option, of this name."""


def read_options(url: URL, known: Mapping[str, Reader]) -> UrlOptions:
    """The options of a URL.

    Args:
        url: the URL.
        known: what the driver knows, and how it is read.

    Raises:
        InvalidRequest: the driver does not know it, or it is wrong.
    """
    query = dict(url.query)
    hosts = _hosts(url, _texts(query.pop("host", ())), _texts(query.pop("port", ())))
    settings: dict[str, str] = {}
    arguments: dict[str, Any] = {}
    for name, value in query.items():
        if not isinstance(value, str):
            raise InvalidRequest("url", name, "give each option once")
        if name == "options":
            settings = settings_of(value) | settings
        elif name == "application_name":
            settings[name] = value
        elif name in known:
            arguments[name] = known[name](name, value)
        else:
            allowed = ", ".join(sorted({*known, "application_name", "host", "options", "port"}))
            driver = url.get_driver_name()
            raise InvalidRequest(
                "url", name, f"with {driver} these options may be given: {allowed}"
            )
    return UrlOptions(hosts, settings, arguments)


def _texts(value: str | tuple[str, ...]) -> list[str]:
    given = [value] if isinstance(value, str) else value
    return [part for text in given for part in text.split(",")]


def _hosts(url: URL, hosts: list[str], ports: list[str]) -> tuple[tuple[str, int], ...]:
    if not hosts and ports:
        hosts = [url.host or "localhost"]
    if len(ports) not in {0, 1, len(hosts)}:
        raise InvalidRequest("port in the URL", ",".join(ports), "give one, or one for each host")
    if not ports:
        ports = [str(url.port or _PORT)]
    if len(ports) == 1:
        ports *= len(hosts)
    return tuple(_host(host, port) for host, port in zip(hosts, ports, strict=True))


def _host(text: str, port: str) -> tuple[str, int]:
    """From `host`, `host:port`, `[address]:port` or the folder of a socket."""
    name, is_bracketed, rest = text.removeprefix("[").partition("]")
    if not is_bracketed and not text.startswith("/") and text.count(":") == 1:
        name, _, rest = text.partition(":")
        rest = f":{rest}"
    port = rest.removeprefix(":") or port
    if not name:
        raise InvalidRequest("host in the URL", text, "give a name or an address")
    if not port.isdecimal() or not 0 < int(port) <= _HIGHEST_PORT:
        raise InvalidRequest("port in the URL", port, f"give a number from 1 to {_HIGHEST_PORT}")
    return name, int(port)


# ── readers ──────────────────────────────────────────────────────────────────────────────────


def text(_name: str, value: str) -> str:
    """As it is."""
    return value


def whole_number(name: str, value: str) -> int:
    """A number of 0 or more."""
    if not value.isdecimal():
        raise InvalidRequest(f"{name} in the URL", value, "give a whole number of 0 or more")
    return int(value)


def whole_number_or_none(name: str, value: str) -> int | None:
    """A number of 0 or more; None for `None`."""
    if value.lower() == "none":
        return None
    if not value.isdecimal():
        raise InvalidRequest(f"{name} in the URL", value, "give a whole number, or None for never")
    return int(value)


def seconds(name: str, value: str) -> float:
    """A length of time."""
    try:
        length = float(value)
    except ValueError:
        length = 0
    if not (isfinite(length) and length > 0):
        raise InvalidRequest(f"{name} in the URL", value, "give a number of seconds above 0")
    return length


def yes_or_no(name: str, value: str) -> bool:
    """A truth value."""
    if value.lower() not in {"true", "false", "1", "0"}:
        raise InvalidRequest(f"{name} in the URL", value, "give true or false")
    return value.lower() in {"true", "1"}


def one_of(*words: str) -> Reader:
    """One of these words."""

    def read(name: str, value: str) -> str:
        if value not in words:
            raise InvalidRequest(f"{name} in the URL", value, f"give {', '.join(words)}")
        return value

    return read
