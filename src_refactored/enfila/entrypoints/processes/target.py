"""The function that each process runs, as a name that other processes find too."""

from __future__ import annotations

import difflib
import inspect
import sys
import traceback
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from enfila.core.domain import showing
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.showing import class_name, message_of, shown

AsyncFunction = Callable[[], Coroutine[Any, Any, object]]
"""An async function without arguments, such as `asyncio.run` is given a call of."""

_WANTED: Final = 'give "package.module:name", or an async function at the top of a module'
_NOT_THE_USERS: Final = (
    str(Path(__file__).parents[2]),
    str(Path(inspect.__file__).parent / "importlib"),
    "<frozen importlib",
)
"""How the names of files begin whose lines say nothing to the user: enfila, the import system."""


def name_of(target: str | AsyncFunction) -> str:
    """The name of a target, `package.module:name`. Imports nothing.

    Raises:
        InvalidRequest: no such name, or a function that no other process could find.
    """
    if isinstance(target, str):
        target = str.__str__(target)
        parts = target.replace(":", ".").split(".")
        if target.count(":") != 1 or not all(part.isidentifier() for part in parts):
            raise InvalidRequest("target", target, _WANTED)
        return target
    module: str = getattr(target, "__module__", "")
    name: str = getattr(target, "__qualname__", "")
    where = sys.modules.get(module)
    if where is None or _look_up(where, name) is not target:
        raise InvalidRequest("target", target, f"{_WANTED}, where other processes find it too")
    if module == "__main__" and not hasattr(where, "__file__"):
        raise InvalidRequest("target", target, "put it into a file, for other processes to read")
    _ = _checked(f"{module}:{name}", target)
    return f"{module}:{name}"


def load(target: str) -> AsyncFunction:
    """Imports the module of a target, and finds the function.

    Raises:
        InvalidRequest: says in a sentence what is wrong with the module or the name.
    """
    module, _, name = target.partition(":")
    found = _look_up(imported := _import(target, module), name)
    if found is None:
        near = difflib.get_close_matches(name, [each for each in vars(imported) if each[0] != "_"])
        hint = f", perhaps {shown(near[0])} is meant" if near else ""
        raise InvalidRequest(
            "target", target, f"the module {shown(module)} has no {shown(name)}{hint}"
        )
    return _checked(target, found)


def described(error: BaseException) -> str:
    """An error in one sentence, with the place in the user's code where it was raised."""
    text = message_of(error) if isinstance(error, InvalidRequest) else showing.described(error)
    if isinstance(error, SyntaxError):  # names its place itself
        return text
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NOT_THE_USERS)
    ]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text


def _import(target: str, module: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise InvalidRequest(
                "target",
                target,
                f"there is no module {shown(error.name)} in {Path.cwd()} or installed",
            ) from error
        raise _cannot_be_imported(target, module, error) from error
    except Exception as error:  # a module may raise anything
        raise _cannot_be_imported(target, module, error) from error


def _cannot_be_imported(target: str, module: str, error: Exception) -> InvalidRequest:
    return InvalidRequest("target", target, f"importing {shown(module)} raises {described(error)}")


def _look_up(where: object, name: str) -> object:
    for part in name.split("."):
        where = getattr(where, part, None)
    return where


def _checked(target: str, found: object) -> AsyncFunction:
    if not inspect.iscoroutinefunction(found):
        raise InvalidRequest(
            "target", target, f"{_kind_of(found)} is no async function; give `async def work():`"
        )
    try:
        _ = inspect.signature(found).bind()
    except TypeError as error:
        raise InvalidRequest(
            "target", target, f"it has to work without arguments: {message_of(error)}"
        ) from error
    return found


def _kind_of(found: object) -> str:
    return "a plain function" if inspect.isfunction(found) else f"a {class_name(type(found))}"
