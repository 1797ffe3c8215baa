"""One step at a time: repositories in memory may be used on several event loops."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


def exclusive(repository: C) -> C:
    """Class decorator: runs each public async method under the lock of the store.

    None of them waits for anything, so the lock is never held across a turn of an event loop.
    """
    for name, member in list(vars(repository).items()):
        if inspect.iscoroutinefunction(member) and not name.startswith("_"):
            setattr(repository, name, _under_lock(member))
    return repository


def _under_lock(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def locked(self: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - of any method
        with self._store.lock:
            return await method(self, *args, **options)

    return locked
