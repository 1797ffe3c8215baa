"""The end of a run, and of a job that nobody wants to keep."""

from __future__ import annotations

from enfila.core.domain.job.job import Job
from enfila.core.domain.job.running.outcome import Outcome
from enfila.core.domain.job.transition import Transition


def ended(job: Job, outcome: Outcome, random: float = 0.0) -> Transition:
    """As `Job.settle`; a job whose own rule keeps nothing of it is removed by the transition."""
    transition = job.settle(outcome, random)
    rule = transition.retention
    if rule is not None and rule.keeps_nothing and not _is_looked_for_later(job):
        return transition._replace(removes=True)
    return transition


def may_leave_nothing(job: Job) -> bool:
    """Whether the end of a run may remove the job, so that nobody can read its result later."""
    rules = (job.options.remove_on_complete, job.options.remove_on_fail)
    return any(rule is not None and rule.keeps_nothing for rule in rules)


def _is_looked_for_later(job: Job) -> bool:
    """By its schedule, its batch, or additions under a key that is held for a time."""
    rule = job.options.deduplication
    is_key_held = rule is not None and rule.ttl is not None
    return is_key_held or job.schedule_id is not None or job.batch_id is not None
