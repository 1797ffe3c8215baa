"""What the jobs of a type are run by."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from enfila.core.application.job_types.signature import Signature
from enfila.core.application.worker.running.processor import Handler, is_async
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job_type import LONGEST_DESCRIPTION, JobType
from enfila.core.domain.showing import shown

_ALLOWED: Final = "give a function, a class with a method `run`, or an object with one"


@dataclass(frozen=True, slots=True)
class Implementation:
    """Value object: a job type with the function that runs its jobs, and its signature.

    Attributes:
        call: calls it with arguments by name.
        on_loop: called on the event loop; else in a thread.
    """

    definition: JobType
    signature: Signature
    call: Callable[..., object]
    on_loop: bool

    def handler(self) -> Handler:
        """How a worker calls it with a job."""
        codec = self.signature.codec
        return Handler(
            self._call_with_job,
            self.on_loop,
            lambda job: codec.read_payload(job.document),
            codec.write_result,
        )

    def _call_with_job(self, job: Any) -> object:  # noqa: ANN401 - an `ActiveJob` of either kind
        return self.call(**job.payload, **dict.fromkeys(self.signature.job_parameters, job))


def implementation(definition: JobType, target: object) -> Implementation:
    """Looks at a function or class and says how it runs the jobs of a type.

    Raises:
        InvalidRequest: it cannot be called, or its signature does not travel as JSON.
    """
    function, is_method = _function(definition.name, target)
    _check_returns(definition.name, target, function)
    signature = Signature(definition.name, function, is_method=is_method)
    return Implementation(
        definition,
        signature,
        _fresh(target) if isinstance(target, type) else function,
        is_async(function) or signature.wants_active_job,
    )


def description_of(target: object) -> str:
    """The first paragraph of a function's docstring; empty without one."""
    while isinstance(target, functools.partial):
        target = target.func
    documentation = getattr(target, "__doc__", None)
    documentation = inspect.cleandoc(documentation) if isinstance(documentation, str) else ""
    return " ".join(documentation.partition("\n\n")[0].split())[:LONGEST_DESCRIPTION]


def _function(name: str, target: object) -> tuple[Callable[..., object], bool]:
    """The function whose signature counts, and whether its first parameter is `self`."""
    run = getattr(target, "run", None)
    if isinstance(target, type):
        if inspect.isabstract(target):
            allowed = "the class is abstract; give one of which an object can be made"
            raise InvalidRequest(f"job type {shown(name)}", target, allowed)
        if not callable(run) or not _is_made_without_arguments(target):
            allowed = "give a class with a method `run`, and no arguments to make it with"
            raise InvalidRequest(f"job type {shown(name)}", target, allowed)
        return run, inspect.isfunction(inspect.getattr_static(target, "run"))
    if callable(run) and not inspect.isroutine(target):
        return run, False
    if not callable(target):
        raise InvalidRequest(f"job type {shown(name)}", target, _ALLOWED)
    return target, False


def _check_returns(name: str, target: object, function: object) -> None:
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        allowed = "a partial of a class makes an object and runs nothing; give the class itself"
        raise InvalidRequest(f"job type {shown(name)}", target, allowed)
    called = function if inspect.isroutine(function) else type(function).__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        problem = "it has `yield`, and nobody would go through what it yields"
        raise InvalidRequest(f"job type {shown(name)}", target, "return a value", problem=problem)


def _is_made_without_arguments(kind: type) -> bool:
    try:
        inspect.signature(kind).bind()
    except TypeError:
        return False
    except ValueError:  # made by what is written in C
        return True
    return True


def _fresh(kind: type[Any]) -> Callable[..., object]:
    """Calls `run` of a new object, so that runs share nothing."""

    def run(**arguments: object) -> object:
        return kind().run(**arguments)

    return run
