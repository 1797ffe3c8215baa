"""Which effects the moves of jobs have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from enfila.core.domain.job.effect import Effect
from enfila.core.domain.job.snapshot import JobSnapshot
from enfila.core.domain.job.state import JobState, Reason

EffectRule = Callable[[JobSnapshot, JobState, Reason], Effect | None]
"""Decides whether a move of this job to this state, for this reason, has an effect of its kind."""

EFFECT_RULES: Final[tuple[EffectRule, ...]] = ()
"""The rules that look at every move. The record of an attempt is none of them: the run's outcome
decides it (`Job.settle`)."""


def effects_of(job: JobSnapshot, target: JobState, reason: Reason) -> tuple[Effect, ...]:
    """The effects that the rules decide for a move."""
    if not EFFECT_RULES:
        return ()
    decided = (rule(job, target, reason) for rule in EFFECT_RULES)
    return tuple(effect for effect in decided if effect is not None)
