"""Every promised behaviour names tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "conformance.md"
LINES = range(1, 44)

ROWS = {
    int(line): re.findall(r"`([^`]+\.py)::(\w+)`", row)
    for line, row in re.findall(r"^\| (\d+) \| (.*)$", TABLE.read_text(), re.MULTILINE)
}


def test_no_behaviour_is_left_out() -> None:
    assert list(ROWS) == list(LINES)


@pytest.mark.parametrize("line", LINES)
def test_the_tests_of_a_behaviour_exist(line: int) -> None:
    assert ROWS[line]
    missing = [f"{file}::{name}" for file, name in ROWS[line] if name not in _tests_in(file)]
    assert missing == []


@cache
def _tests_in(file: str) -> frozenset[str]:
    path = TESTS / file
    if not path.exists():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, functions))
