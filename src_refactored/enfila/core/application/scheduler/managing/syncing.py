"""Bringing the schedules of a program's code into an installation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from enfila.core.application.ports.schedule_repository import IScheduleRepository, ScheduleFilter
from enfila.core.application.scheduler.managing.target_check import TargetCheck
from enfila.core.domain.errors import InvalidRequest, ScheduleExists
from enfila.core.domain.schedule.definition import ScheduleDefinition
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.state import Owner


@dataclass(frozen=True, slots=True)
class Synced:
    """Value object: the slugs that `Schedules.sync` has added, edited, removed and left."""

    created: tuple[str, ...]
    updated: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


class Syncing:
    """Adds, edits and removes the schedules of one source, and touches no others."""

    def __init__(self, repository: IScheduleRepository, targets: TargetCheck) -> None:
        self._repository = repository
        self._targets = targets

    async def sync(
        self, given: Iterable[ScheduleDefinition], disabled: Collection[str], source: str
    ) -> Synced:
        """See `Schedules.sync`."""
        wanted = await self._checked(given, disabled, source)
        standing = {each.slug: each for each in await self._repository.find()}
        for definition in wanted:
            if (other := standing.get(definition.slug)) is not None:
                _check_owner(other, source)
        await self._targets.declare(each.target for each in wanted)
        done: dict[str, list[str]] = {"created": [], "updated": [], "unchanged": []}
        for definition in sorted(wanted, key=lambda each: each.slug):
            what = await self._bring(definition, enabled=definition.slug not in disabled)
            done[what].append(definition.slug)
        removed = await self._remove_others({each.slug for each in wanted}, source)
        return Synced(
            created=tuple(done["created"]),
            updated=tuple(done["updated"]),
            unchanged=tuple(done["unchanged"]),
            removed=removed,
        )

    async def _checked(
        self, given: Iterable[ScheduleDefinition], disabled: Collection[str], source: str
    ) -> Sequence[ScheduleDefinition]:
        """All of them, before any write."""
        now = await self._repository.current_instant()
        wanted: dict[str, ScheduleDefinition] = {}
        for each in given:
            if not isinstance(each, ScheduleDefinition):
                raise InvalidRequest("schedules", each, "give definitions of schedules")
            if each.slug in wanted:
                raise InvalidRequest("slug", each.slug, "give each schedule once")
            target = await self._targets.checked(each.target)
            definition = replace(each, target=target, owner=Owner.CODE, source=source)
            _ = definition.next_after(now)
            wanted[each.slug] = definition
        for slug in disabled:
            if not isinstance(slug, str) or slug not in wanted:
                raise InvalidRequest("disabled", slug, "give slugs of these schedules")
        return list(wanted.values())

    async def _bring(self, definition: ScheduleDefinition, *, enabled: bool) -> str:
        """Creates or edits one; another process may be doing the same."""
        while True:
            before: list[ScheduleDefinition] = []

            def edit(
                standing: Schedule,
                now: datetime,
                is_running: bool,  # noqa: FBT001 - as `Edit` says
                seen: list[ScheduleDefinition] = before,
            ) -> Schedule:
                _check_owner(standing, definition.source)
                seen[:] = [standing.definition]
                is_same = standing.definition == definition
                if is_same:
                    return standing
                return standing.edited(definition, now, is_running=is_running)

            if await self._repository.edit(definition.slug, edit) is not None:
                return "unchanged" if before == [definition] else "updated"
            now = await self._repository.current_instant()
            try:
                await self._repository.insert(Schedule.new(definition, now, enabled=enabled))
            except ScheduleExists:
                continue
            return "created"

    async def _remove_others(self, kept: Collection[str], source: str) -> tuple[str, ...]:
        standing = await self._repository.find(ScheduleFilter(owner=Owner.CODE))
        gone = [
            each.slug
            for each in standing
            if each.definition.source == source and each.slug not in kept
        ]
        return tuple([slug for slug in gone if await self._repository.delete(slug)])


def _check_owner(standing: Schedule, source: str) -> None:
    definition = standing.definition
    if (definition.owner, definition.source) != (Owner.CODE, source):
        raise ScheduleExists(standing.slug)
