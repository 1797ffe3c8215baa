"""Running plain functions beside the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from enfila.core.domain.showing import class_name

T = TypeVar("T")

_NOT_STORABLE: Final = (
    StopIteration,
    asyncio.CancelledError,
    KeyboardInterrupt,
    GeneratorExit,
)


@dataclass(frozen=True, slots=True)
class _Call:
    """One function to be called, and the future that waits for its answer."""

    function: Callable[[], Any]
    context: contextvars.Context
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Threads:
    """A pool of daemon threads that grows as needed and uses idle ones again.

    Not a `ThreadPoolExecutor`, because the interpreter waits at its exit for the threads of those:
    a function that never returns would keep the process alive for ever.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbers = itertools.count(1)
        self._idle: list[SimpleQueue[_Call | None]] = []
        self._is_closed = False

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Calls a function in a thread, with a copy of the caller's context variables.

        Cancelling the future does not stop the function; its late answer is dropped.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        inbox = self._idle.pop() if self._idle else self._new_thread()
        inbox.put(_Call(function, contextvars.copy_context(), answer, loop))
        return answer

    def close(self) -> None:
        """Ends idle threads; those at work end after their function."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().put(None)

    def _new_thread(self) -> SimpleQueue[_Call | None]:
        inbox: SimpleQueue[_Call | None] = SimpleQueue()
        threading.Thread(
            target=self._serve,
            args=(inbox,),
            name=f"{self._name}-{next(self._numbers)}",
            daemon=True,
        ).start()
        return inbox

    def _serve(self, inbox: SimpleQueue[_Call | None]) -> None:
        while call := inbox.get():
            answer, error = None, None
            try:
                answer = call.context.run(call.function)
            except BaseException as raised:  # noqa: BLE001 - it is raised again on the loop
                error = raised
            try:
                call.loop.call_soon_threadsafe(self._ended, inbox, call.answer, answer, error)
            except RuntimeError:
                return  # the loop was closed: nobody waits for the answer
            del call, answer, error  # an idle thread holds on to nothing of its last call

    def _ended(
        self,
        inbox: SimpleQueue[_Call | None],
        future: asyncio.Future[Any],
        answer: object,
        error: BaseException | None,
    ) -> None:
        if self._is_closed:
            inbox.put(None)
        else:
            self._idle.append(inbox)
        if future.done():
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(_storable(error))


def _storable(error: BaseException) -> BaseException:
    """The error in a form that can cross to the loop, where some classes mean something else."""
    # By its type: `isinstance` asks an object for its `__class__`, which may raise.
    if issubclass(type(error), _NOT_STORABLE):
        wrapped = RuntimeError(f"the function raised {class_name(type(error))}")
        wrapped.__cause__ = error
        return wrapped
    return error
