"""Settings from the environment."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from enfila.core.domain.errors import InvalidSettings
from enfila.core.domain.showing import shown

logger = logging.getLogger("enfila")

_PREFIX: Final = "ENFILA_"
_RESERVED: Final = ("TEST_", "BENCH_")
"""Of this project's own tests and measurements."""
_OF_KUBERNETES: Final = re.compile(r"(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_.*)?)")
"""What Kubernetes tells every container of a service that is named `enfila` or `enfila-…`."""


class Settings(BaseSettings):
    """What can be set by environment variables: `ENFILA_` and the name in capitals.

    Attributes:
        database_url: `ENFILA_DATABASE_URL`.
        schema_name: `ENFILA_SCHEMA`: the PostgreSQL schema of the tables; it is made if missing.
        table_prefix: `ENFILA_TABLE_PREFIX`: what the names of the tables begin with.
        auto_migrate: `ENFILA_AUTO_MIGRATE`: whether a start brings the tables up to date.
        pool_size: `ENFILA_POOL_SIZE`: connections kept to a server.
        synchronous: `ENFILA_SYNCHRONOUS`: SQLite: FULL survives a power cut, NORMAL is faster.
        notify: `ENFILA_NOTIFY`: whether PostgreSQL's NOTIFY wakes the workers of other processes.
        listen_url: `ENFILA_LISTEN_URL`: PostgreSQL itself, if `database_url` leads to a connection
            pooler.
        time_zone: `ENFILA_TIME_ZONE`: for schedules that name none, such as `America/Sao_Paulo`.
    """

    model_config = SettingsConfigDict(env_prefix="ENFILA_", frozen=True, extra="ignore")

    database_url: str = Field(default="sqlite:///enfila.db", min_length=1)
    schema_name: str | None = Field(
        default=None, validation_alias="ENFILA_SCHEMA", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,29}$"
    )
    table_prefix: str = Field(default="enfila_", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,29}$")
    auto_migrate: bool = True
    pool_size: int = Field(default=5, ge=1, le=1000)
    synchronous: Literal["FULL", "NORMAL", "EXTRA", "OFF"] = "FULL"
    notify: bool = True
    listen_url: str | None = Field(default=None, min_length=1)
    time_zone: str = "UTC"


def load_settings() -> Settings:
    """The settings of this process's environment.

    Says once, as a warning, which file is used where no database is given.

    Raises:
        InvalidSettings: everything that is wrong, in one message; also variables that begin with
            `ENFILA_` and are none of these.
    """
    problems = [_unknown(each) for each in _unknown_variables(os.environ)]
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [
            f"{_variable(each['loc'])}: {each['msg']} (given: {shown(each.get('input'))})"
            for each in error.errors()
        ]
    else:
        if not problems:
            if "database_url" not in settings.model_fields_set:
                _warn_of_default(str(Path(settings.database_url.partition("///")[2]).resolve()))
            return settings
    raise InvalidSettings(problems) from None


@cache
def _warn_of_default(file: str) -> None:
    logger.warning(
        "no database is given: the jobs are in the file %s; set ENFILA_DATABASE_URL, or give the "
        "URL as in Enfila('sqlite:///jobs.db')",
        file,
    )


def _unknown_variables(given: Iterable[str]) -> list[str]:
    """Those that begin like ours and are none, sorted: most likely they are misspelt."""
    names = sorted(name for name in given if name.upper().startswith(_PREFIX))
    known = _known()
    return [name for name in names if name.upper() not in known and not _is_of_others(name)]


def _is_of_others(name: str) -> bool:
    rest = name.upper().removeprefix(_PREFIX)
    return rest.startswith(_RESERVED) or _OF_KUBERNETES.fullmatch(rest) is not None


def _unknown(name: str) -> str:
    known = {each.removeprefix(_PREFIX): each for each in _known()}
    near = difflib.get_close_matches(name.upper().removeprefix(_PREFIX), known, n=1)
    if near:
        return f"{name}: there is no such setting; perhaps {known[near[0]]} is meant"
    return f"{name}: there is no such setting; the settings are {', '.join(sorted(_known()))}"


def _known() -> frozenset[str]:
    fields = Settings.model_fields.items()
    return frozenset(_variable((str(each.validation_alias or name),)) for name, each in fields)


def _variable(place: tuple[int | str, ...]) -> str:
    name = str(place[0]).upper()
    return name if name.startswith(_PREFIX) else f"{_PREFIX}{name}"
