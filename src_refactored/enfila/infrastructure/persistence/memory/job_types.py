"""Job types by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from enfila.core.application.ports.job_type_repository import IJobTypeRepository
from enfila.core.domain.job_type import JobType, JobTypeInfo, RunStatistics
from enfila.infrastructure.persistence.memory.tables.data import Store
from enfila.infrastructure.persistence.memory.tables.exclusive import exclusive


@exclusive
class InMemoryJobTypes(IJobTypeRepository):
    """`IJobTypeRepository` on a dict."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def declare(self, types: Sequence[JobType]) -> None:
        now = self._store.clock.now()
        for definition in types:
            known = self._store.job_types.get(definition.name)
            self._store.job_types[definition.name] = (
                JobTypeInfo(definition, now)
                if known is None
                else JobTypeInfo(
                    replace(definition, enabled=known.is_enabled), now, known.statistics
                )
            )

    async def all(self) -> list[JobTypeInfo]:
        return [known for _, known in sorted(self._store.job_types.items())]

    async def get(self, name: str) -> JobTypeInfo | None:
        return self._store.job_types.get(name)

    async def set_enabled(self, name: str, *, enabled: bool) -> bool:
        known = self._store.job_types.get(name)
        if known is None:
            return False
        definition = replace(known.definition, enabled=enabled)
        self._store.job_types[name] = replace(known, definition=definition)
        return True

    async def count_runs(self, statistics: Mapping[str, RunStatistics]) -> None:
        for name, counted in statistics.items():
            if (known := self._store.job_types.get(name)) is not None:
                total = known.statistics.plus(counted)
                self._store.job_types[name] = replace(known, statistics=total)

    async def remove(self, name: str) -> bool:
        return self._store.job_types.pop(name, None) is not None
