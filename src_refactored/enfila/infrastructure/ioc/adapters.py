"""Which adapter serves which URL. An adapter is imported only when it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from enfila.core.application.ports.clock import Clock
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.wake_up import Hint, WakeUp
from enfila.core.application.system_clock import SystemClock


def make_repository(
    url: str,
    *,
    clock: Clock | None,
    schema: str | None,
    table_prefix: str,
    auto_migrate: bool,
    pool_size: int,
    synchronous: str,
) -> IJobRepository:
    """The job repository for a URL, with a storage of its own; nothing is connected yet.

    Raises:
        InvalidRequest: a database that enfila does not know, or a wrong setting.
        DriverMissing: the database's driver is not installed.
    """
    if isinstance(url, str) and str.startswith(url, "memory:"):
        from enfila.infrastructure.persistence.memory import InMemoryJobRepository

        return InMemoryJobRepository(clock=clock)
    from enfila.infrastructure.persistence.sqlalchemy import SqlAlchemyJobRepository

    return SqlAlchemyJobRepository(
        url,
        clock=clock,
        schema=schema,
        table_prefix=table_prefix,
        auto_migrate=auto_migrate,
        pool_size=pool_size,
        synchronous=synchronous,
    )


def row_clock_of(clock: Clock) -> Clock | None:
    """The clock that rows are dated with: a clock of the user's, or None for the database's."""
    return None if isinstance(clock, SystemClock) else clock


def hinter_of_jobs(wake_up: WakeUp) -> Callable[[str], None]:
    """A callback that tells the workers of a queue that there may be jobs."""
    return partial(wake_up.hint, hint=Hint.JOBS)


def make_wake_up(repository: IJobRepository, *, notify: bool, listen_url: str | None) -> WakeUp:
    """The wake-up that reaches the other processes of this repository, if there can be any."""
    return repository.storage.make_wake_up(notify=notify, listen_url=listen_url)
