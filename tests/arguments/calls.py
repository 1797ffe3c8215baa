"""The public callables of enfila, found by looking, and arguments that they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import enfila
import enfila.testing
from enfila import (
    EnfilaError,
    InvalidRequest,
    JobOptions,
    Misfire,
    Overlap,
    ScheduleDefinition,
    Target,
)
from enfila.core.domain.json_document import JsonDocument
from enfila.core.domain.schedule.triggers.cron import Cron

Arguments = Mapping[str, Any]

SERVICES = {
    *("AbstractQueue", "ActiveJob", "Container", "DeclaredJob", "Enfila", "IJobRepository"),
    *("InMemoryJobRepository", "Interceptor", "JobHandle", "JobTypeRegistry", "JobTypes"),
    *("QueueService", "SchedulerService", "Schedules", "ServedQueues", "SqlAlchemyJobRepository"),
    *("SyncActiveJob", "WakeUp", "WorkerProcesses", "WorkerService"),
}
"""What does something; the rest are values."""
NOT_CALLED = {
    # Functions and protocols of types, and pydantic's own class, whose errors are pydantic's.
    *("Clock", "JobId", "Proceed", "ProcessorLike", "RunningJob", "Settings", "WorkerId"),
    *("__version__", "events", "migrate"),
}

MADE_BY_ENFILA = {"Job", "QueueCounts", "Schedule", "ScheduledFor"}
"""Their class methods are no part of what users call."""

GOOD: dict[str, Any] = {
    "target": Target("a", queue="q"),
    "trigger": Cron("0 0 * * *"),
    "definition": ScheduleDefinition("a", Target("a", queue="q"), Cron("0 0 * * *")),
    "slug": "a",
    "name": "a",
    "job_type": "a",
    "key": "k",
    "kind": "fixed",
    "delay": 1,
    "base": 1,
    "ttl": 1,
    "age": 1,
    "newest": 1,
    "every": 60,
    "expression": "0 0 * * *",
    "at": "12:00",
    "start": datetime(2026, 1, 1, tzinfo=UTC),
    "factor": 2.0,
    "length": 1,
    "instant": datetime(2026, 1, 1, tzinfo=UTC),
    "payload": {"a": 1},
    "document": JsonDocument("1"),
    "options": JobOptions(),
    "misfire": Misfire(),
    "overlap": Overlap.SKIP,
}
"""Values for parameters that have no default, by their names."""
OTHERS: dict[str, Any] = {"Once(at)": datetime(2026, 1, 1, tzinfo=UTC)}
"""For parameters that mean something else than others of their name."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of one callable, to be given every value."""

    callee: str
    function: Callable[..., Any]
    name: str
    others: Arguments = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.callee}({self.name})"

    def call(self, value: Any) -> Any:
        return self.function(**{**self.others, self.name: value})


def parameters_of_values() -> list[Parameter]:
    """Those of all constructors and class methods of values."""
    return [each for callee, function in _values() for each in parameters(callee, function)]


def _values() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module in (enfila, enfila.testing):
        for name in module.__all__:
            if name in SERVICES | NOT_CALLED:
                continue
            kind = getattr(module, name)
            assert isinstance(kind, type), f"{name}: is it a value, a service, or not called?"
            if issubclass(kind, EnfilaError | Enum):
                continue  # see test_showing.py; the standard library's own refusal
            yield name, kind
            if name not in MADE_BY_ENFILA:
                yield from _class_methods(name, kind)


def _class_methods(name: str, kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for method, found in vars(kind).items():
        # What reads a stored value is not for users.
        if isinstance(found, classmethod) and not method.startswith(("_", "from_")):
            yield f"{name}.{method}", getattr(kind, method)


def parameters(
    callee: str, function: Callable[..., Any], given: Arguments | None = None
) -> list[Parameter]:
    """The parameters of a callable, each with what the others need."""
    every = inspect.signature(function).parameters.values()
    needed = {
        each.name: _good(callee, each.name) if given is None else given[each.name]
        for each in every
        if each.default is each.empty and each.kind not in {each.VAR_KEYWORD, each.VAR_POSITIONAL}
    }
    return [
        Parameter(callee, function, each.name, needed)
        for each in every
        if each.kind not in {each.VAR_KEYWORD, each.VAR_POSITIONAL, each.POSITIONAL_ONLY}
    ]


def _good(callee: str, name: str) -> Any:
    return OTHERS.get(f"{callee}({name})", GOOD.get(name, 1))


def is_a_sentence(error: EnfilaError) -> bool:
    """Whether an error says in one short line what is wrong, and where."""
    text = str(error)
    has_field = not isinstance(error, InvalidRequest) or text.startswith(f"{error.field[:100]}")
    return text.isprintable() and 0 < len(text) < 2_500 and has_field


def raises_by_itself(name: str, wrong: str) -> bool:
    """Whether it is a value's own iteration that raised: that is the user's error, and told so."""
    return name in {"own list", "own dict"} and wrong == "raises MemoryError"
