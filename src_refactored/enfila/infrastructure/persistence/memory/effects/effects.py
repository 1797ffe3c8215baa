"""All effects that moves carry, by kind. A new effect is a file, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.job.transition import Transition
from enfila.infrastructure.persistence.memory.effects.attempts import add_attempt
from enfila.infrastructure.persistence.memory.tables.data import Store

_STORING: Final[Mapping[type[Effect], Callable[[Store, Job, Any, datetime], None]]] = {
    Attempt: add_attempt,
}


def store_effects(store: Store, job: Job, move: Transition, now: datetime) -> None:
    """Stores the effects of a job's transition, such as the record of its attempt."""
    for effect in move.effects:
        _STORING[type(effect)](store, job, effect, now)
