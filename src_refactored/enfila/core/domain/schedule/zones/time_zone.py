"""Time zones by IANA name, from the time zone database that Python's `zoneinfo` uses."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from enfila.core.domain.errors import UnknownTimeZone

DEFAULT_ZONE: Final = "UTC"
_LIKENESS: Final = 0.75


def load_zone(name: str) -> ZoneInfo:
    """Loads the zone of an IANA name, such as `America/Sao_Paulo`; equal names give one object.

    Raises:
        UnknownTimeZone: this machine knows no such zone: misspelt, or removed since it was stored.
    """
    if not isinstance(name, str):
        raise UnknownTimeZone(name, None)
    name = str.__str__(name)
    try:
        return ZoneInfo(name)
    # A folder of zones ("America") is an OSError, a path that leaves the database a ValueError.
    except (KeyError, ValueError, OSError):
        raise UnknownTimeZone(name, _nearest(name)) from None


def _nearest(name: str) -> str | None:
    """The known name with the same city, else the most similar one, ignoring case."""
    known = {each.lower(): each for each in sorted(available_timezones())}
    wanted = name.strip().replace(" ", "_").lower()
    cities = {each.rpartition("/")[2]: each for each in known}
    if (city := wanted.rpartition("/")[2]) in cities:
        return known[cities[city]]
    found = get_close_matches(wanted, known, n=1, cutoff=_LIKENESS)
    return known[found[0]] if found else None
