"""Who may import whom, and what a bare import brings with it."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

OPTIONAL = ("asyncpg", "fastapi", "psycopg", "redis", "rich", "typer")


def test_dependencies_point_inward() -> None:
    contracts = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert contracts.returncode == 0, contracts.stdout + contracts.stderr


@pytest.mark.parametrize("optional", OPTIONAL)
def test_importing_enfila_leaves_optional_packages_alone(
    optional: str, imported: frozenset[str]
) -> None:
    assert optional not in imported


@pytest.fixture(scope="module")
def imported() -> frozenset[str]:
    """The top-level packages that a fresh interpreter holds after `import enfila`."""
    program = "import enfila, sys; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    return frozenset(module.partition(".")[0] for module in output.split())
