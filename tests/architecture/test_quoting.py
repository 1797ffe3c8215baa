"""Every message quotes values with the functions that survive them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import enfila

ROOT = Path(enfila.__file__).parent
THE_ONE_PLACE = ROOT / "core" / "domain" / "showing.py"
# The name that the interpreter looks for, and not a value.
ALLOWED = {("__init__.py", "name")}


def test_no_message_quotes_a_value_by_its_own_repr() -> None:
    found = [
        f"{path.relative_to(ROOT)}, line {node.lineno}: {what}"
        for path in sorted(ROOT.rglob("*.py"))
        if path != THE_ONE_PLACE
        for node, what in _quoting(ast.parse(path.read_text()))
        if (path.name, what) not in ALLOWED
    ]
    assert not found, "use `shown` or `message_of` (core/domain/showing.py)"


def _quoting(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.FormattedValue(value=value, conversion=conversion) if conversion != -1:
                yield node, ast.unparse(value)
            case ast.Call(func=ast.Name(id="repr" | "ascii")) | ast.Name(id="repr" | "ascii"):
                yield node, ast.unparse(node)
            case ast.Call(func=ast.Attribute(attr=level), args=[ast.Constant(value=str(text)), *_]):
                if level in {"debug", "info", "warning", "error", "exception"} and "%r" in text:
                    yield node, text
            case ast.Attribute(value=ast.Call(func=ast.Name(id="type")), attr="__name__"):
                yield node, ast.unparse(node)
            case ast.ExceptHandler(name=str(name)):
                yield from _shown_errors(node, name)
            case _:
                pass


def _shown_errors(handler: ast.ExceptHandler, name: str) -> Iterator[tuple[ast.expr, str]]:
    """Where a caught error is put into a text as it is."""
    for node in ast.walk(handler):
        match node:
            case ast.FormattedValue(value=ast.Name(id=used)) if used == name:
                yield node, f"{{{name}}}"
            case ast.Call(func=ast.Name(id="str"), args=[ast.Name(id=used)]) if used == name:
                yield node, ast.unparse(node)
            case _:
                pass
