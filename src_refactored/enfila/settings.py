"""Settings from the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from enfila.core.domain.errors import InvalidSettings
from enfila.core.domain.showing import shown


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

    Raises:
        InvalidSettings: everything that is wrong, in one message.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise InvalidSettings(
            [
                f"{_variable(each['loc'])}: {each['msg']} (given: {shown(each.get('input'))})"
                for each in error.errors()
            ]
        ) from None


def _variable(place: tuple[int | str, ...]) -> str:
    name = str(place[0]).upper()
    return name if name.startswith("ENFILA_") else f"ENFILA_{name}"
