"""Refusing targets that no job can be made for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from enfila.core.application.job_types.registry import JobTypeRegistry
from enfila.core.application.ports.job_type_repository import IJobTypeRepository
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.showing import shown


class TargetCheck:
    """Checks that the job type of a schedule is known, here or to other programs.

    Args:
        types: what this program declares.
        repository: what all programs have declared.
    """

    def __init__(self, types: JobTypeRegistry, repository: IJobTypeRepository) -> None:
        self._types = types
        self._repository = repository

    async def checked(self, target: Target) -> Target:
        """The target, its payload as the signature of its type writes it.

        A target with a queue may name any job, unless this program declares the types of that
        queue.

        Raises:
            InvalidRequest: the payload does not fit the signature, or nobody knows the type.
        """
        name = target.job_type
        if name in self._types:
            return self._written(target, target.queue or self._types[name].queue)
        if target.queue is not None:
            _ = self._types.terms(target.queue, name)
        elif await self._repository.get(name) is None:
            raise InvalidRequest("target.job_type", name, await self._allowed(name))
        return target

    async def declare(self, targets: Iterable[Target]) -> None:
        """Stores the job types that this program declares and these targets name.

        An app may learn of a job type after it was opened, and a tick, perhaps in another process,
        goes by what is stored.
        """
        named = {target.job_type for target in targets if target.job_type in self._types}
        known = {each.name for each in await self._repository.all()}
        if new := sorted(named - known):
            await self._repository.declare([self._types[name] for name in new])

    def _written(self, target: Target, queue: str) -> Target:
        self._types.check_queue(target.job_type, queue)
        terms = self._types.terms(queue, target.job_type)
        if terms is None:
            terms = self._types.terms(self._types[target.job_type].queue, target.job_type)
        if terms is None:
            return target
        return replace(target, document=terms.codec.rewritten(target.document))

    async def _allowed(self, name: str) -> str:
        known = {each.name for each in await self._repository.all()}
        known |= {each.name for each in self._types}
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {shown(near[0])}? " if near else ""
        return f"{hint}give a job type that is declared, or the queue whose workers know such jobs"
