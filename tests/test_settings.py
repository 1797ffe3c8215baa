"""What the environment says."""

import os
from pathlib import Path

import pytest

from enfila import Enfila, InvalidRequest, InvalidSettings, Settings
from enfila.settings import load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.upper().startswith("ENFILA_")]:
        monkeypatch.delenv(variable)


def test_without_variables_the_defaults_hold() -> None:
    assert load_settings() == Settings(
        database_url="sqlite:///enfila.db",
        table_prefix="enfila_",
        auto_migrate=True,
        pool_size=5,
        synchronous="FULL",
        notify=True,
        time_zone="UTC",
    )
    assert load_settings().schema_name is None


def test_every_setting_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": "postgresql://me@host/db",
        "SCHEMA": "jobs",
        "TABLE_PREFIX": "mine_",
        "AUTO_MIGRATE": "false",
        "POOL_SIZE": "7",
        "SYNCHRONOUS": "NORMAL",
        "NOTIFY": "0",
        "LISTEN_URL": "postgresql://me@direct/db",
        "TIME_ZONE": "Europe/Berlin",
    }.items():
        monkeypatch.setenv(f"ENFILA_{name}", value)
    settings = load_settings()
    assert settings.model_dump() == {
        "database_url": "postgresql://me@host/db",
        "schema_name": "jobs",
        "table_prefix": "mine_",
        "auto_migrate": False,
        "pool_size": 7,
        "synchronous": "NORMAL",
        "notify": False,
        "listen_url": "postgresql://me@direct/db",
        "time_zone": "Europe/Berlin",
    }


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().pool_size = 7  # type: ignore[misc]  # that is what is tested


def test_everything_that_is_wrong_is_said_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": "",
        "SCHEMA": "1-schema",
        "TABLE_PREFIX": "a b",
        "AUTO_MIGRATE": "perhaps",
        "POOL_SIZE": "0",
        "SYNCHRONOUS": "HALF",
        "NOTIFY": "loudly",
    }.items():
        monkeypatch.setenv(f"ENFILA_{name}", value)
    with pytest.raises(InvalidSettings) as refused:
        Enfila()
    variables = [problem.partition(":")[0] for problem in refused.value.problems]
    assert sorted(variables) == [
        "ENFILA_AUTO_MIGRATE",
        "ENFILA_DATABASE_URL",
        "ENFILA_NOTIFY",
        "ENFILA_POOL_SIZE",
        "ENFILA_SCHEMA",
        "ENFILA_SYNCHRONOUS",
        "ENFILA_TABLE_PREFIX",
    ]
    sentence = str(refused.value)
    assert sentence.startswith("settings: 7 of them are not allowed; ENFILA_")
    for given in ("'1-schema'", "'a b'", "'perhaps'", "'0'", "'HALF'", "'loudly'"):
        assert f"(given: {given})" in sentence


def test_an_app_without_a_url_takes_all_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENFILA_DATABASE_URL", f"sqlite:///{tmp_path / 'jobs.db'}")
    monkeypatch.setenv("ENFILA_TABLE_PREFIX", "mine_")
    monkeypatch.setenv("ENFILA_SCHEMA", "jobs")
    config = Enfila().container.config
    assert config.database_url() == f"sqlite:///{tmp_path / 'jobs.db'}"
    assert (config.table_prefix(), config.schema()) == ("mine_", "jobs")


def test_an_argument_comes_before_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENFILA_DATABASE_URL", "memory://")
    monkeypatch.setenv("ENFILA_POOL_SIZE", "7")
    assert Enfila(pool_size=3).container.config.pool_size() == 3
    assert Enfila().container.config.pool_size() == 7


def test_with_a_url_the_environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENFILA_POOL_SIZE", "many")
    assert Enfila("memory://").container.config.pool_size() == 5


def test_an_unknown_database_in_the_environment_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENFILA_DATABASE_URL", "mysql://me:s3cret@host/db")
    with pytest.raises(InvalidRequest, match=r"^url: 'mysql://me:\*\*\*@host/db' is not allowed"):
        Enfila()


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("ENFILA_DATABASE_UR", "perhaps ENFILA_DATABASE_URL is meant"),
        ("ENFILA_DB_URL", "perhaps ENFILA_DATABASE_URL is meant"),
        ("ENFILA_POOLSIZE", "perhaps ENFILA_POOL_SIZE is meant"),
        ("enfila_schem", "perhaps ENFILA_SCHEMA is meant"),
        ("ENFILA_COLOUR", "the settings are ENFILA_AUTO_MIGRATE, ENFILA_DATABASE_URL"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused(
    variable: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "postgresql://me:s3cret@host/db")
    with pytest.raises(InvalidSettings) as refused:
        Enfila()
    beginning = f"settings: one of them is not allowed; {variable}: there is no such setting; "
    assert str(refused.value).startswith(f"{beginning}{said}")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "variable",
    [
        "ENFILA_TEST_POSTGRES_URL",
        "ENFILA_BENCH_POSTGRES_URL",
        "ENFILA_PORT",
        "ENFILA_PORT_8000_TCP_ADDR",
        "ENFILA_WEB_SERVICE_HOST",
        "ENFILA_SERVICE_PORT_HTTP",
    ],
)
def test_variables_of_tests_and_of_kubernetes_are_left_alone(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "x")
    monkeypatch.setenv("ENFILA_DATABASE_URL", "memory://")
    assert Enfila().container.config.database_url() == "memory://"


def test_the_file_that_is_used_without_a_url_is_named_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        _ = Enfila()
    [warning] = caplog.records
    assert (warning.name, warning.levelname) == ("enfila", "WARNING")
    assert f"the jobs are in the file {tmp_path}/enfila.db;" in warning.message
    assert "ENFILA_DATABASE_URL" in warning.message


def test_a_url_in_the_environment_is_used_without_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ENFILA_DATABASE_URL", "memory://")
    _ = Enfila()
    assert not caplog.records
