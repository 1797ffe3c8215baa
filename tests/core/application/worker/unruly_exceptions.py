"""Exceptions that cannot be shown, and those that mean something to an event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

Make = Callable[[], BaseException]


def _exit(*_: Any) -> Any:
    raise SystemExit("out of a method of an exception")


class _NameRaises(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise ValueError("no name")


class _Text(str):
    __slots__ = ()
    replace = encode = __getitem__ = _exit  # type: ignore[assignment]


class NoText(Exception):
    __str__ = __repr__ = _exit


class OddText(Exception):
    def __str__(self) -> str:
        return _Text("odd \0 \ud800 text")


class NoTruth(Exception):
    __bool__ = _exit


class NoNotes(Exception):
    __notes__ = property(_exit)


class NoCause(Exception):
    __cause__ = property(_exit)


class NoContext(Exception):
    __context__ = property(_exit)


class NoTrace(Exception):
    __traceback__ = property(_exit)


class NoClass(Exception):
    __class__ = property(_exit)


class NoName(Exception, metaclass=_NameRaises):
    pass


class NoAttributes(Exception):
    __getattribute__ = _exit


class NoEquality(Exception):
    __eq__ = __hash__ = _exit


class ItsOwnTrace(Exception):
    with_traceback = _exit


class NoNumbers(StopIteration):
    pass


def _circular() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def _deep_group() -> BaseException:
    error: Exception = ValueError("at the bottom")
    for _ in range(3_000):
        error = ExceptionGroup("level", [error])
    return error


UNTELLABLE: list[Make] = [
    lambda: NoText("text"),
    lambda: OddText("text"),
    lambda: NoTruth("truth"),
    lambda: NoNotes("notes"),
    lambda: NoCause("cause"),
    lambda: NoContext("context"),
    lambda: NoTrace("trace"),
    lambda: NoClass("class"),
    lambda: NoName("name"),
    lambda: NoAttributes("attributes"),
    lambda: NoEquality("equality"),
    lambda: ItsOwnTrace("its own trace"),
    lambda: SyntaxError("bytes", ("file", 1, 1, b"bytes")),  # type: ignore[arg-type]
    lambda: IndentationError("offset", ("file", 1, "one", "text")),  # type: ignore[arg-type]
    lambda: UnicodeDecodeError("x", b"", 0, 10**9, "far"),
    lambda: OverflowError("x" * 10**7),
    lambda: ArithmeticError(10**5_000),
    _circular,
    _deep_group,
]
"""Exceptions whose message, trace or name cannot be had, or not without care."""

LOOP_CONTROL: list[Make] = [
    lambda: GeneratorExit("generator"),
    lambda: SystemExit(3),
    lambda: StopIteration(1),
    lambda: NoNumbers(1),
    lambda: StopAsyncIteration(1),
    lambda: asyncio.CancelledError("cancelled"),
    lambda: asyncio.InvalidStateError("state"),
    TimeoutError,
    MemoryError,
    lambda: RecursionError("deep"),
    lambda: BaseException("base"),
    lambda: BaseExceptionGroup("group", [SystemExit(1), GeneratorExit()]),
]
"""Exceptions that end a generator, a task or a loop when they are not caught."""


def name_of(make: Make) -> str:
    """The id of a test."""
    return type.__dict__["__name__"].__get__(type(make()))  # type: ignore[no-any-return]
