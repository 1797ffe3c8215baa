"""What a worker runs jobs with."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import PydanticUserError, TypeAdapter

from enfila.core.application.queue.adding.payload_codec import Annotation, PayloadCodec, why_unknown
from enfila.core.application.queue.claims.job_source import AnySource
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob
from enfila.core.domain.errors import InvalidRequest, ProcessorMissing
from enfila.core.domain.job.job import Job
from enfila.core.domain.json_document import JsonDocument

P = TypeVar("P")
R = TypeVar("R")

AsyncFunction = Callable[[ActiveJob[P]], Awaitable[R]]
PlainFunction = Callable[[SyncActiveJob[P]], R]
Function = AsyncFunction[P, R] | PlainFunction[P, R]

_ALLOWED = "give a function of one argument, the job, or a mapping from job names to such functions"


@dataclass(frozen=True, slots=True)
class Handler:
    """Value object: one function that runs jobs, and how it is to be called.

    Attributes:
        is_async: called on the event loop, with an `ActiveJob`; else in a thread.
        read_payload: rebuilds the payload of a job; raises `InvalidRequest` if it does not fit.
        write_result: makes the document of a result, or raises `ResultRefused`; None for the
            queue's own.
    """

    function: Callable[[Any], object]
    is_async: bool
    read_payload: Callable[[Job], object]
    write_result: Callable[[object], JsonDocument] | None = None


class HandlerSource(ABC):
    """What finds a handler by the name of a job, such as a registry of job types."""

    @abstractmethod
    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by the only job names to be claimed."""


ProcessorLike = Function[P, R] | Mapping[str, Function[Any, Any]] | HandlerSource
"""What a worker accepts: one function for all jobs, functions by the names of jobs, or a registry
of job types."""


class Processor:
    """The functions of a worker, by job name.

    A function may be async or plain (then it runs in a thread), an object with `__call__` or a
    `functools.partial`. A plain function whose argument is annotated with `ActiveJob`, or that
    wraps an async one (`functools.wraps`), is called on the event loop and its awaitable awaited.

    The payload's type comes from the annotation, as in `job: ActiveJob[Welcome]`; else from the
    queue; else payloads stay JSON.

    Attributes:
        names: the only job names to be claimed; None for all.

    Raises:
        InvalidRequest: nothing that can be called with a job.
    """

    def __init__(self, given: ProcessorLike[Any, Any], queue: AnySource) -> None:
        if isinstance(given, HandlerSource):
            self._handlers = dict(given.handlers())
            self._only = None
        elif isinstance(given, Mapping):
            self._handlers = {_name(name): _handler(one, queue) for name, one in given.items()}
            self._only = None
        else:
            self._handlers = {}
            self._only = _handler(given, queue)
        if not self._handlers and self._only is None:
            raise InvalidRequest("processor", given, "give at least one name with a function")
        self.names = frozenset(self._handlers) if self._only is None else None

    def handler_for(self, name: str) -> Handler:
        """The function for jobs of this name.

        Raises:
            ProcessorMissing: there is none.
        """
        handler = self._only or self._handlers.get(name)
        if handler is None:
            raise ProcessorMissing(name, sorted(self._handlers))
        return handler


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidRequest("processor", name, "give names of jobs as the keys of the mapping")
    return name


def _handler(function: object, queue: AnySource) -> Handler:
    if not callable(function) or isinstance(function, type) or not _takes_one(function):
        raise InvalidRequest("processor", function, _ALLOWED)
    hint = _argument_hint(function)
    on_loop = is_async(function) or _is_or_of(hint, ActiveJob)
    return Handler(function, on_loop, _payload_reader(hint, queue))


def _takes_one(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(object())
    except TypeError:
        return False
    except ValueError:  # written in C and without a signature
        return True
    return True


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling a function gives something to await, however it is wrapped."""
    function = inspect.unwrap(_without_partial(function))
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - its kind is asked, not its presence
    )


def _without_partial(function: Callable[..., object]) -> Callable[..., object]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _argument_hint(function: Callable[..., object]) -> object:
    """The annotation of the job; None when there is none or it cannot be resolved."""
    try:
        parameter = next(iter(inspect.signature(function).parameters.values()))
    except ValueError:
        return None
    annotated = _without_partial(function)
    if not hasattr(annotated, "__globals__") and not inspect.ismethod(annotated):
        annotated = type(annotated).__call__
    # This annotation alone: others may name what only a type checker imports.
    alone = types.SimpleNamespace(__annotations__={"job": parameter.annotation})
    scope = getattr(inspect.unwrap(annotated), "__globals__", {})
    try:
        return typing.get_type_hints(alone, globalns=scope).get("job")
    except Exception:  # noqa: BLE001 - an annotation may fail in any way; it is only a hint
        return None


def _is_or_of(hint: object, kind: type) -> bool:
    return hint is kind or typing.get_origin(hint) is kind


def _payload_reader(hint: object, queue: AnySource) -> Callable[[Job], object]:
    if typing.get_origin(hint) in {ActiveJob, SyncActiveJob}:
        [kind] = typing.get_args(hint)
        if kind not in {Any, object} and not isinstance(kind, TypeVar) and _is_known(kind):
            codec = PayloadCodec(kind)
            return lambda job: codec.read_payload(job.document)
    return queue.read_payload


def _is_known(kind: Annotation) -> bool:
    """Whether pydantic can rebuild this type. `InvalidRequest` if nobody can."""
    try:
        _ = TypeAdapter(kind)
    except PydanticUserError as refusal:
        if typing.is_typeddict(kind):
            return False  # before Python 3.12 pydantic knows only the one of typing_extensions
        reason = why_unknown(refusal)
        raise InvalidRequest(
            "processor", kind, f"annotate the job with a payload that pydantic knows: {reason}"
        ) from None
    return True
