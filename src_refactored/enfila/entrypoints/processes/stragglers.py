"""Ending a process whose threads do not end."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Final

logger = logging.getLogger("enfila.processes")

_PATIENCE: Final = 1.0
"""Seconds in which threads may still end, once everything else has."""


class LenientExecutor(ThreadPoolExecutor):
    """The event loop's executor, for whose threads `asyncio.run` waits at its end.

    Once the process is to end it waits for a moment only: the call of a handler that was cancelled
    may take for ever.

    Args:
        is_ending: whether the process was told to end.
    """

    def __init__(self, is_ending: Callable[[], bool]) -> None:
        super().__init__(thread_name_prefix="asyncio")
        self._is_ending = is_ending

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Python has it
        """See `Executor.shutdown`."""
        if not (wait and self._is_ending()):
            super().shutdown(wait, cancel_futures=cancel_futures)
            return
        super().shutdown(wait=False, cancel_futures=True)
        _wait_for(list(self._threads))


def end_without_stragglers(exit_code: int) -> None:
    """Ends the process at once if threads are left that Python would wait for at its exit."""
    left = [
        each
        for each in threading.enumerate()
        if not each.daemon and each is not threading.main_thread()
    ]
    _wait_for(left)
    names = sorted(each.name for each in left if each.is_alive())
    if not names:
        return
    logger.warning(
        "%d thread(s) still run what was cancelled (%s): the process ends without them.",
        len(names),
        ", ".join(names[:5]),
    )
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)


def _wait_for(threads: list[threading.Thread]) -> None:
    ends = monotonic() + _PATIENCE
    for each in threads:
        each.join(max(ends - monotonic(), 0))
