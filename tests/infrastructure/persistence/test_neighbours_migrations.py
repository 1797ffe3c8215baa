"""A project with Alembic of its own, on the database in which enfila's tables are."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config

import enfila
from enfila.alembic import include_name, leaving_out
from enfila.core.domain.errors import InvalidRequest
from tests.postgres_servers import new_database

ENV = """
from alembic import context
import sqlalchemy as sa
{imports}

metadata = sa.MetaData()
sa.Table("customers", metadata, sa.Column("id", sa.Integer, primary_key=True))

url = context.config.get_main_option("sqlalchemy.url")
with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, {options})
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database for a synchronous driver; enfila takes the same with its own."""
    if request.param == "sqlite":
        file: str = request.getfixturevalue("sqlite_url")
        yield file
        return
    with new_database(request.getfixturevalue("database_server")) as database:
        yield database.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def proposed(folder: Path, url: str, imports: str, options: str) -> str:
    """The revision that `alembic revision --autogenerate` writes."""
    config = Config()
    config.set_main_option("script_location", str(folder / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    config.config_file_name = str(folder / "alembic.ini")
    command.init(config, str(folder / "migrations"))
    (folder / "migrations" / "env.py").write_text(ENV.format(imports=imports, options=options))
    command.revision(config, "first", autogenerate=True)
    [revision] = (folder / "migrations" / "versions").glob("*.py")
    return revision.read_text()


def test_without_it_all_tables_of_enfila_would_be_dropped(url: str, tmp_path: Path) -> None:
    asyncio.run(enfila.migrate(url))
    revision = proposed(tmp_path, url, "", "")
    assert "drop_table('enfila_jobs')" in revision


def test_enfilas_tables_are_left_alone(url: str, tmp_path: Path) -> None:
    asyncio.run(enfila.migrate(url))
    revision = proposed(
        tmp_path, url, "from enfila.alembic import include_name", "include_name=include_name"
    )
    upgrade = revision.split("def downgrade")[0]
    assert "create_table('customers'" in upgrade
    assert "enfila_" not in revision
    assert "drop" not in upgrade


@pytest.mark.parametrize("schema", [None, "jobs_of_ours"])
def test_an_installation_of_another_name_is_left_alone_too(
    url: str, tmp_path: Path, schema: str | None
) -> None:
    schema = None if url.startswith("sqlite") else schema
    prefix = f"p{uuid4().hex[:6]}_"
    asyncio.run(enfila.migrate(url, schema=schema, table_prefix=prefix))
    revision = proposed(
        tmp_path,
        url,
        "from enfila.alembic import leaving_out",
        "include_schemas=True, "
        f"include_name=leaving_out(schema={schema!r}, table_prefix={prefix!r})",
    )
    assert "create_table('customers'" in revision
    assert prefix not in revision


def test_tables_of_the_project_are_its_own_whatever_they_are_called() -> None:
    assert include_name("enfila_statistics", "table", {"schema_name": None})
    assert include_name("enfila_jobs", "column", {"table_name": "customers"})
    assert not include_name("enfila_jobs", "table", {"schema_name": None})
    assert not include_name("enfila_job_dependencies", "table", {"schema_name": "public"})
    elsewhere = leaving_out(schema="ours")
    assert elsewhere("enfila_jobs", "table", {"schema_name": "theirs"})


def test_a_rule_of_the_project_is_asked_about_the_rest() -> None:
    rule = leaving_out(also=lambda name, type_, parents: name != "hidden")
    assert not rule("hidden", "table", {"schema_name": None})
    assert not rule("enfila_jobs", "table", {"schema_name": None})
    assert rule("customers", "table", {"schema_name": None})


def test_a_wrong_prefix_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="table_prefix"):
        leaving_out(table_prefix="no prefix")
