"""What a function takes and returns, as JSON."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, NotRequired

from pydantic import PydanticUserError
from typing_extensions import TypedDict

from enfila.core.application.queue.adding.payload_codec import PayloadCodec, why_unknown
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.running.outcome import Cancel, Retry, Snooze
from enfila.core.domain.json_document import JsonDocument
from enfila.core.domain.showing import described, message_of, shown

_WORDS: Final = (Snooze, Cancel, Retry)
_ACTIVE: Final = (ActiveJob, SyncActiveJob)
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Signature:
    """Converts the arguments of a typed function to JSON and back, and its result too.

    Parameters annotated with `ActiveJob` or `SyncActiveJob` get the active job; they are no part of
    the payload. So does a first parameter that is named `job` and has no annotation. Any other
    parameter without an annotation takes any JSON. What a caller leaves out is not
    stored: the function's own default counts when the job runs.

    Attributes:
        codec: checks, writes and rebuilds arguments and result.
        job_parameters: the parameters that get the active job.
        wants_active_job: whether one of them is annotated with `ActiveJob`, the async kind.

    Raises:
        InvalidRequest: a parameter that has no name in JSON, or an annotation that cannot be used.
    """

    def __init__(self, name: str, function: Callable[..., object], *, is_method: bool) -> None:
        self._name = name
        every = _every_parameter(name, function)[1 if is_method else 0 :]
        self._hints = _hints(name, function)
        self.job_parameters: Final = tuple(
            each.name
            for place, each in enumerate(every)
            if _is_active_job(self._hints.get(each.name)) or (place == 0 and _is_plain_job(each))
        )
        self.wants_active_job: Final = any(
            ActiveJob in _kinds(self._hints.get(each)) for each in self.job_parameters
        )
        self._parameters = inspect.Signature(
            [each for each in every if each.name not in self.job_parameters]
        )
        self.codec: Final = self._codec()

    def __str__(self) -> str:
        return str(self._parameters)

    def arguments(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by the names of their parameters.

        Raises:
            InvalidRequest: the function cannot be called like this.
        """
        try:
            return self._parameters.bind(*given, **named).arguments
        except TypeError as refusal:
            call = self._quoted(given, named)
            raise InvalidRequest(
                "arguments",
                f"({call})",
                f"{message_of(refusal)}; it takes {self}",
                problem=f"{shown(self._name)} cannot be called with ({call})",
            ) from None

    def _quoted(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> str:
        """A call as an error quotes it: without what may be meant for a secret."""
        places = [*self._parameters.parameters, *(f"[{n}]" for n in range(len(given)))]
        by_place = self.codec.redacted(dict(zip(places, given, strict=False)))
        by_name = self.codec.redacted(dict(named))
        return ", ".join([
            *map(shown, by_place.values()),
            *(f"{name}={shown(each)}" for name, each in by_name.items()),
        ])  # fmt: skip

    def _codec(self) -> PayloadCodec:
        fields = {}
        for parameter in self._parameters.parameters.values():
            if parameter.kind not in _NAMED:
                raise InvalidRequest(
                    f"job type {shown(self._name)}",
                    str(parameter),
                    "give it parameters that can be named: no *args, **kwargs or `/`",
                    problem=f"it has the parameter {parameter}",
                )
            hint = self._hints.get(parameter.name, Any)
            is_needed = parameter.default is inspect.Parameter.empty
            fields[parameter.name] = hint if is_needed else NotRequired[hint]
        codec = _ArgumentsCodec(
            _closed(f"payload of {shown(self._name)}", fields), _result(self._hints)
        )
        try:
            codec.build()
        except (InvalidRequest, PydanticUserError) as refusal:
            # That of the codec names a type that was made here; what is wrong with it is enough.
            reason = getattr(refusal, "allowed", why_unknown(refusal))
            allowed = f"annotate its parameters and its result with types for JSON: {reason}"
            raise InvalidRequest(f"job type {shown(self._name)}", str(self), allowed) from None
        return codec


class _ArgumentsCodec(PayloadCodec):
    """No payload at all is a call without arguments."""

    def write_payload(self, payload: object) -> JsonDocument:
        return super().write_payload({} if payload is None else payload)


def _closed(title: str, fields: dict[str, Any]) -> Any:  # noqa: ANN401 - an annotation
    """A dictionary with these keys and no others. Unlike a model's, they may have any name."""
    make: Any = TypedDict  # a type checker knows only those that are written out
    kind = make(title, fields)
    kind.__pydantic_config__ = {"extra": "forbid"}
    return kind


def _hints(name: str, function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(_written(function), include_extras=True)
    except Exception as problem:  # an annotation may fail in any way
        allowed = f"one of its annotations cannot be evaluated: {described(problem)}"
        raise InvalidRequest(f"job type {shown(name)}", function, allowed) from problem


def _every_parameter(name: str, function: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        allowed = "Python cannot tell its parameters (it is written in C): wrap it in a function"
        raise InvalidRequest(f"job type {shown(name)}", function, allowed) from None


def _written(function: Callable[..., object]) -> object:
    """What has the annotations: the function of a partial, the method of an object."""
    while isinstance(function, functools.partial | staticmethod):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    is_function = inspect.isroutine(function) or hasattr(function, "__wrapped__")
    return function if is_function else type(function).__call__


def _members(hint: object) -> tuple[Any, ...]:
    """What a union is made of; of anything else itself."""
    is_union = typing.get_origin(hint) in {typing.Union, types.UnionType}
    return typing.get_args(hint) if is_union else (hint,)


def _kinds(hint: object) -> list[object]:
    return [typing.get_origin(each) or each for each in _members(hint)]


def _is_active_job(hint: object) -> bool:
    return any(kind in _ACTIVE for kind in _kinds(hint))


def _is_plain_job(parameter: inspect.Parameter) -> bool:
    """Whether it is written like the parameter of a processor."""
    is_bare = parameter.annotation is parameter.empty and parameter.default is parameter.empty
    return parameter.name == "job" and is_bare and parameter.kind in _NAMED


def _result(hints: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an annotation
    """What the function returns, apart from the words that end a run another way; None for any."""
    said_otherwise = (*_WORDS, typing.NoReturn, typing.Never, Any, None)
    hint = hints.get("return")
    kept = tuple(each for each in _members(hint) if not any(each is it for it in said_otherwise))
    return typing.Union[kept] if kept else None  # noqa: UP007 - made from a tuple
