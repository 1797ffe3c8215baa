"""Everyone who has to know what becomes of a queue's jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from enfila.core.application.emitter import Emitter
from enfila.core.application.ports.wake_up import Hint, Notice
from enfila.core.application.queue.announcer import Announcer
from enfila.core.application.queue.drain_watch import DrainWatch
from enfila.core.application.queue.holdings import Holdings
from enfila.core.application.queue.result_waiter import ResultWaiter


@dataclass(frozen=True, slots=True)
class Audience:
    """What the use cases of one queue object share to tell of a commit, and only after it.

    Attributes:
        emitter: the listeners.
        announcer: tells the listeners in the order of a job's life.
        waiter: callers who wait for a job to become final.
        holdings: the jobs that workers on this object hold.
        drained: tells when the last of the work is done.
        hint: wakes workers and waiters, in this process and in others; `WakeUp.hint`.
        notice: what a write may carry for that; `WakeUp.notice`.
    """

    emitter: Emitter
    announcer: Announcer
    waiter: ResultWaiter
    holdings: Holdings
    drained: DrainWatch
    hint: Callable[..., None]
    notice: Callable[[Hint], Notice | None]
