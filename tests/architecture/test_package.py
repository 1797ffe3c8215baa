"""What the package says about itself, before anybody has built it."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import enfila

PROJECT = Path(__file__).parents[2]
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def test_postgresql_has_the_name_of_its_urls_and_the_short_one() -> None:
    extras = METADATA["optional-dependencies"]
    assert extras["postgres"] == ["enfila[postgresql]"]
    assert any(each.startswith("asyncpg") for each in extras["postgresql"])


def test_the_version_is_that_of_the_installed_package() -> None:
    assert enfila.__version__ == version("enfila")
    assert METADATA["dynamic"] == ["version"], "it comes from the tag"


def test_nothing_of_development_is_published() -> None:
    published = set(METADATA["optional-dependencies"])
    assert published == {"postgresql", "postgres", "psycopg", "rich"}


def test_all_that_development_needs_has_a_lowest_version() -> None:
    lines = (PROJECT / "requirements-dev.txt").read_text().splitlines()
    needed = [line for line in lines if not line.startswith("#")]
    assert [line for line in needed if not re.match(r"[\w.\[\]-]+[>=]=", line)] == []


def test_every_address_is_one_of_the_repository() -> None:
    assert METADATA["urls"]
    assert all(url.startswith("https://github.com/enfila/") for url in METADATA["urls"].values())
