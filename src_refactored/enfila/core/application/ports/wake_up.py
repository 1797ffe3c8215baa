"""The port that ends an idle worker's wait early."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Hint(StrEnum):
    """What a woken listener should look at: new jobs, a queue's control, ended jobs, schedules."""

    JOBS = "jobs"
    """There may be jobs to claim."""
    CONTROL = "control"
    """A running job may have been asked to cancel, or a queue was paused or resumed."""
    SETTLED = "settled"
    """A job may have become final."""
    SCHEDULES = "schedules"
    """A schedule may have been made, changed or deleted. It is of no queue: `ALL_SCHEDULES`."""


ALL_SCHEDULES: Final = ""
"""Stands where the name of a queue would, in hints about schedules. No queue has this name."""


@dataclass(slots=True)
class Notice:
    """A hint to other processes that a write may carry, so that it arrives with the commit.

    A hint is said after a commit, a notice is put into it: as with the NOTIFY of PostgreSQL, from
    which the word is. It is mutable, since only the write knows whether it could take it along.

    Attributes:
        channel, text: what is to be sent where.
        after: how many hints its maker had heard before.
        is_sent: set by a repository that has sent it.
    """

    channel: str
    text: str
    after: int = 0
    is_sent: bool = False


class WakeUp(ABC):
    """Carries hints between the processes that use one database.

    A hint is never relied on: it may come late, twice, for nothing, or not at all. Every reader
    polls beside it. Hints are coalesced: many within a short time may arrive as one.
    """

    @abstractmethod
    def hint(self, queue: str, hint: Hint, notice: Notice | None = None) -> None:
        """Tells every listener of `queue`, in this process at once, in others soon.

        Never blocks, never fails, and is called after the commit that it tells of. If `notice` was
        sent with that commit, the others know already.
        """

    def notice(self, queue: str, hint: Hint) -> Notice | None:
        """What a write that is about to begin may carry to the other processes.

        None where hints travel in another way, or not so soon after the last.
        """
        del queue, hint
        return None

    @property
    def hears_others(self) -> bool:
        """Whether it hears at this moment of what other processes do.

        While it does, those who poll may take more time for it. Listeners are woken when that ends.
        """
        return False

    @abstractmethod
    def listen(self, queue: str, hint: Hint) -> asyncio.Event:
        """An event that is set whenever such a hint arrives; its reader clears it."""

    @abstractmethod
    def ignore(self, queue: str, hint: Hint, event: asyncio.Event) -> None:
        """Ends what `listen` began."""

    async def open(self) -> None:  # noqa: B027 - within one process there is nothing to open
        """Begins to receive from other processes. Returns without waiting for a connection."""

    async def close(self) -> None:  # noqa: B027 - and nothing to close
        """Stops receiving and releases what it holds. May be called twice."""
