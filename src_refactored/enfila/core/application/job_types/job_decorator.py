"""How the types of a target become those of its declared job."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Protocol, TypeVar, overload

from enfila.core.application.job_types.declared_job import DeclaredJob, P, R
from enfila.core.application.worker.running.active_job import ActiveJob, SyncActiveJob

A_co = TypeVar("A_co", covariant=True)


class Running(Protocol[P, A_co]):
    """Protocol of a job type that is a class: its `run` is called for each job."""

    def run(self, *args: P.args, **kwargs: P.kwargs) -> A_co:
        """One run."""
        ...


class RunningWithJob(Protocol[P, A_co]):
    """Protocol of the same whose `run` takes the active job first."""

    def run(self, job: ActiveJob, /, *args: P.args, **kwargs: P.kwargs) -> A_co:
        """One run."""
        ...


class JobDecorator(Protocol):
    """The decorator that declares a job type; `JobTypeRegistry.job` says what it takes.

    Type checkers see through an active job that is the first parameter. mypy does not see what a
    decorator makes of a class: call it, `pipeline = types.job("pipeline")(Pipeline)`.
    """

    @overload
    def __call__(
        self, target: type[RunningWithJob[P, Coroutine[Any, Any, R]]], /
    ) -> DeclaredJob[..., Any, P, R]: ...

    @overload
    def __call__(
        self, target: RunningWithJob[P, Coroutine[Any, Any, R]], /
    ) -> DeclaredJob[..., Any, P, R]: ...

    @overload
    def __call__(
        self, target: type[Running[P, Coroutine[Any, Any, R]]], /
    ) -> DeclaredJob[..., Any, P, R]: ...

    @overload
    def __call__(
        self, target: Running[P, Coroutine[Any, Any, R]], /
    ) -> DeclaredJob[..., Any, P, R]: ...

    @overload
    def __call__(
        self, target: Callable[Concatenate[ActiveJob[Any], P], Coroutine[Any, Any, R]], /
    ) -> DeclaredJob[Concatenate[ActiveJob[Any], P], Coroutine[Any, Any, R], P, R]: ...

    @overload
    def __call__(
        self, target: Callable[Concatenate[SyncActiveJob[Any], P], R], /
    ) -> DeclaredJob[Concatenate[SyncActiveJob[Any], P], R, P, R]: ...

    @overload
    def __call__(
        self, target: Callable[P, Coroutine[Any, Any, R]], /
    ) -> DeclaredJob[P, Coroutine[Any, Any, R], P, R]: ...

    @overload
    def __call__(self, target: Callable[P, R], /) -> DeclaredJob[P, R, P, R]: ...
