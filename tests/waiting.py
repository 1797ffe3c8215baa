"""Waiting for what happens elsewhere, with a deadline."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

from pyee import EventEmitter

Found = TypeVar("Found")

_POLL_SECONDS = 0.01


@overload
async def eventually(
    predicate: Callable[[], Coroutine[Any, Any, Found]], *, timeout: float = ..., message: str = ...
) -> Found: ...
@overload
async def eventually(
    predicate: Callable[[], Found], *, timeout: float = ..., message: str = ...
) -> Found: ...
async def eventually(
    predicate: Callable[[], Any], *, timeout: float = 10.0, message: str = ""
) -> Any:
    """Ask again and again until the answer is true, and return it.

    For what no event tells, such as a row that another process writes.

    Raises:
        AssertionError: Not true within `timeout` seconds; names the last answer.
    """
    answer: object = None
    deadline = asyncio.timeout(timeout)
    try:
        async with deadline:
            while True:
                answer = predicate()
                if inspect.isawaitable(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        expected = message or getattr(predicate, "__qualname__", repr(predicate))
        raise AssertionError(
            f"Not within {timeout:g} s: {expected} (last answer: {answer!r})"
        ) from error


def wait_for_event(
    emitter: EventEmitter,
    name: str,
    *,
    where: Callable[[Any], bool] = lambda _: True,
    timeout: float = 10.0,
) -> Awaitable[Any]:
    """Await the next event `name`, `where` it is the one meant, and return what it carries.

    Listening begins with the call, the deadline runs from the `await`: call, do what causes the
    event, then await.

    Raises:
        AssertionError: No such event within `timeout` seconds.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[Any] = loop.create_future()

    def listen(event: Any = None) -> None:
        if where(event):
            loop.call_soon_threadsafe(arrive, event)

    def arrive(event: Any) -> None:
        if not arrived.done():
            arrived.set_result(event)

    async def receive() -> Any:
        try:
            async with asyncio.timeout(timeout):
                return await arrived
        except TimeoutError as error:
            raise AssertionError(f"No event {name!r} within {timeout:g} s") from error
        finally:
            if listen in emitter.listeners(name):  # closing an emitter removes its listeners
                emitter.remove_listener(name, listen)

    emitter.on(name, listen)
    return receive()
