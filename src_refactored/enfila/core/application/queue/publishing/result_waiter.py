"""Waiting for jobs to become final, whichever process settles them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, Final

from enfila.core.application.runtime.per_loop import PerLoop, call_on
from enfila.core.application.runtime.tasks import OwnedTasks
from enfila.core.domain.errors import JobNotFound, RepositoryUnavailable
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.job import Job

SHORTEST_WAIT: Final = timedelta(milliseconds=20)
LONGEST_WAIT: Final = timedelta(milliseconds=500)
_MOST_AT_ONCE: Final = 1_000

Announce = Callable[[], Coroutine[Any, Any, object]]
Read = Callable[[Collection[JobId]], Coroutine[Any, Any, dict[JobId, Job]]]


class ResultWaiter:
    """Service: lets any number of callers wait for jobs, with one reader for each event loop.

    What this process settles is handed on directly. Everything else is read: when a hint says that
    something was settled, and besides in waits that grow from 20 to 500 ms. A reader exists only
    while somebody waits. It outlives an absence of the database.

    Args:
        read: the jobs with these ids, as they are now.
        listen: begins to listen for settled jobs.
        ignore: ends that.
        name: for the names of tasks.
    """

    def __init__(
        self,
        read: Read,
        *,
        listen: Callable[[], asyncio.Event],
        ignore: Callable[[asyncio.Event], None],
        name: str,
    ) -> None:
        self._loops = PerLoop(lambda: LoopWaiter(read, listen, ignore, name))

    async def wait(
        self, job_id: JobId, timeout: timedelta | None, announce: Announce | None = None
    ) -> Job:
        """The job once it is final.

        Args:
            job_id: which job.
            timeout: how long to wait; None for ever.
            announce: says to the database that somebody waits; called when this process hears of
                the end already.

        Raises:
            JobNotFound: there is no such job, or it was removed.
            TimeoutError: it was not final in time.
        """
        return await self._loops.here().wait(job_id, timeout, announce)

    def settled(self, job: Job) -> None:
        """Hands a job that became final to those who wait for it. May be called on any loop."""
        for loop, waiter in self._loops.all:
            if waiter.is_for(job.id):
                call_on(loop, partial(waiter.settled, job))

    def removed(self, job_id: JobId) -> None:
        """Tells those who wait for a job that it is gone. May be called on any loop."""
        for loop, waiter in self._loops.all:
            if waiter.is_for(job_id):
                call_on(loop, partial(waiter.removed, job_id))

    async def close(self, error: Exception) -> None:
        """Ends all waiting with `error`."""
        here = asyncio.get_running_loop()
        for loop, waiter in self._loops.all:
            if loop is here:
                await waiter.close(error)
            else:
                call_on(loop, partial(waiter.end, error))

    def __len__(self) -> int:
        return sum(len(waiter) for _, waiter in self._loops.all)


class LoopWaiter:
    """The callers of one event loop who wait for jobs, and their reader.

    Arguments as those of `ResultWaiter`.
    """

    def __init__(
        self,
        read: Read,
        listen: Callable[[], asyncio.Event],
        ignore: Callable[[asyncio.Event], None],
        name: str,
    ) -> None:
        self._read = read
        self._listen = listen
        self._ignore = ignore
        self._name = name
        self._waiting: dict[JobId, set[asyncio.Future[Job]]] = {}
        self._unread: set[JobId] = set()
        self._tasks = OwnedTasks()
        self._newcomer = asyncio.Event()
        self._hinted = asyncio.Event()

    async def wait(
        self, job_id: JobId, timeout: timedelta | None, announce: Announce | None
    ) -> Job:
        """See `ResultWaiter.wait`."""
        future: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(future)
        self._unread.add(job_id)
        self._start_reader()
        limit = asyncio.timeout(None if timeout is None else timeout.total_seconds())
        try:
            async with limit:
                if announce is not None:
                    with suppress(RepositoryUnavailable):
                        await announce()
                return await future
        except TimeoutError:
            if not limit.expired() or timeout is None:
                raise
            raise TimeoutError(
                f"job {job_id} was not finished within {timeout.total_seconds():g} s; it goes on"
            ) from None
        finally:
            self._forget(job_id, future)

    def settled(self, job: Job) -> None:
        """Hands a job that became final to those who wait for it."""
        for future in self._waiting.get(job.id, ()):
            if not future.done():
                future.set_result(job)

    def removed(self, job_id: JobId) -> None:
        """Tells those who wait for a job that it is gone."""
        for future in self._waiting.get(job_id, ()):
            if not future.done():
                future.set_exception(JobNotFound(job_id))

    def is_for(self, job_id: JobId) -> bool:
        """Whether anybody here waits for this job."""
        return job_id in self._waiting

    def end(self, error: Exception) -> None:
        """Ends all waiting with `error`; the reader ends soon."""
        self._tasks.ask_to_end()
        self._fail_all(error)

    async def close(self, error: Exception) -> None:
        """Ends all waiting with `error`."""
        await self._tasks.cancel()
        self._fail_all(error)

    def __len__(self) -> int:
        return len(self._waiting)

    def _forget(self, job_id: JobId, future: asyncio.Future[Job]) -> None:
        others = self._waiting.get(job_id, set())
        others.discard(future)
        if not others:
            self._waiting.pop(job_id, None)
            self._unread.discard(job_id)
        if not self._waiting:
            self._nudge()  # so that the reader sees that nobody waits any more

    def _fail_all(self, error: BaseException) -> None:
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    # ── the reader ───────────────────────────────────────────────────────────────────────────

    def _start_reader(self) -> None:
        if self._tasks:
            self._nudge()
            return
        self._newcomer = asyncio.Event()
        self._newcomer.set()
        self._hinted = self._listen()
        reader = self._tasks.spawn(self._read_until_nobody_waits(), name=self._name)
        reader.add_done_callback(self._reader_ended)

    def _nudge(self) -> None:
        self._newcomer.set()
        self._hinted.set()

    def _reader_ended(self, reader: asyncio.Task[None]) -> None:
        self._ignore(self._hinted)
        if reader.cancelled():
            return
        if (error := reader.exception()) is not None:
            self._fail_all(error)
        elif self._waiting:
            self._start_reader()  # somebody came between its last look and its end

    async def _read_until_nobody_waits(self) -> None:
        wait = SHORTEST_WAIT
        while self._waiting:
            if self._newcomer.is_set():
                wait = SHORTEST_WAIT
            self._newcomer.clear()
            self._hinted.clear()
            await self._look(self._unread or self._waiting)
            # A newcomer is looked for at once, a hint is heard after the shortest wait: a busy
            # worker settles thousands of times a second.
            if not await _set_within(SHORTEST_WAIT, self._newcomer):
                await _set_within(wait - SHORTEST_WAIT, self._hinted)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _look(self, job_ids: Iterable[JobId]) -> None:
        ids = iter(tuple(job_ids))
        while some := tuple(islice(ids, _MOST_AT_ONCE)):
            try:
                jobs = await self._read(some)
            except RepositoryUnavailable:
                return  # the caller has a timeout, and the database may come back
            self._unread.difference_update(some)
            for job_id in some:
                if (job := jobs.get(job_id)) is None:
                    self.removed(job_id)
                elif job.state.is_final:
                    self.settled(job)


async def _set_within(wait: timedelta, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(wait.total_seconds()):
            return await event.wait()
    except TimeoutError:
        return False
