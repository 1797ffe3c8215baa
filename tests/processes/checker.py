"""The proof: what the processes wrote down, compared with what stands in the database.

Pure functions. Each looks for one kind of violation and says every one it finds in a sentence;
nothing found is what has to come out.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

from tests.processes.history import (
    Added,
    Blow,
    Completed,
    Ended,
    Ending,
    Finished,
    Lost,
    Manner,
    Offered,
    Record,
    Refused,
    Started,
    Struck,
    Troubled,
)

FINAL = {"completed", "failed", "cancelled"}

R = TypeVar("R", bound=Record)
Item = TypeVar("Item")
Key = TypeVar("Key")
Violations = Iterator[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as the database remembers it."""

    token: int
    number: int
    outcome: str
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job as it stands in the database at the end.

    Attributes:
        group: the addition that it belongs to.
        expected: the state in which it has to end.
        token: of its last claim.
        result_token: of the run whose result is stored; None without a result.
        finished_at: seconds, by the clock of the rows.
        runs: what is remembered of its runs, by token. A completed one is not among them.
        log_tokens: of the runs that logged, in the order of the lines.
    """

    id: str
    group: str
    state: str
    expected: str = "completed"
    attempt: int = 1
    max_attempts: int = 1
    token: int = 1
    result_token: int | None = None
    finished_at: float | None = None
    runs: Sequence[StoredRun] = ()
    log_tokens: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The database at the end.

    Attributes:
        counters: how many jobs are in each state, as the queue says.
        orders: the groups whose caller's own row, written in the same transaction, is there.
    """

    jobs: Sequence[StoredJob]
    counters: dict[str, int]
    orders: frozenset[str] = frozenset()

    @cached_property
    def by_id(self) -> dict[str, StoredJob]:
        return {job.id: job for job in self.jobs}

    @cached_property
    def by_group(self) -> dict[str, list[StoredJob]]:
        return _grouped(self.jobs, lambda job: job.group)


@dataclass(kw_only=True)
class History:
    """The records of all processes, by kind."""

    records: Sequence[Record]
    _kinds: dict[type[Record], list[Record]] = field(init=False)

    def __post_init__(self) -> None:
        self._kinds = defaultdict(list)
        for record in sorted(self.records, key=lambda record: record.at):
            self._kinds[type(record)].append(record)

    def all(self, kind: type[R]) -> list[R]:
        """The records of a kind, by time."""
        return [record for record in self._kinds[kind] if isinstance(record, kind)]


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def violations(history: History, stored: Stored) -> list[str]:
    """Everything that went wrong, in sentences; empty if all went well."""
    return [
        sentence
        for check in (
            nothing_is_lost,
            nothing_is_half_added,
            one_completion_is_accepted,
            no_run_starts_late,
            one_run_for_each_token,
            every_run_is_remembered,
            tokens_rise,
            attempts_are_bounded,
            stale_holders_are_told,
            nothing_starts_early,
            logs_are_fenced,
            nothing_is_left,
            counters_are_right,
        )
        for sentence in check(history, stored)
    ]


# ── nothing lost, nothing invented ───────────────────────────────────────────────────────────


def nothing_is_lost(history: History, stored: Stored) -> Violations:
    """Every accepted job is stored, in the final state that it has to reach."""
    for added in history.all(Added):
        for job_id in added.jobs:
            job = stored.by_id.get(job_id)
            if job is None:
                yield f"{job_id} was accepted (group {added.group}) and is gone"
    for job in stored.jobs:
        if job.state != job.expected:
            yield f"{job.id} is {job.state}, it has to be {job.expected}"


def nothing_is_half_added(history: History, stored: Stored) -> Violations:
    """Invariant 7: a group is there as a whole or not at all, like the caller's own row."""
    offers = {offer.group: offer for offer in history.all(Offered)}
    accepted = {added.group: added for added in history.all(Added)}
    refused = {refusal.group for refusal in history.all(Refused) if not refusal.uncertain}
    for group, offer in offers.items():
        found = stored.by_group.get(group, [])
        there = f"group {group}: {len(found)} of {offer.size} jobs are there"
        if len(found) not in {0, offer.size}:
            yield there
        if group in accepted and {job.id for job in found} != set(accepted[group].jobs):
            yield f"{there}, and they are not the ones accepted"
        if offer.manner is Manner.ROLLED_BACK and (found or group in stored.orders):
            yield f"{there}, though its transaction was rolled back"
        if offer.manner is Manner.COMMITTED and bool(found) != (group in stored.orders):
            yield f"{there}, unlike the row that the caller wrote with them"
        if group in refused and found:
            yield f"{there}, though it was said that nothing was written"
    for group in stored.by_group:
        if group not in offers:
            yield f"group {group} was never offered"


# ── one accepted completion ──────────────────────────────────────────────────────────────────


def one_completion_is_accepted(history: History, stored: Stored) -> Violations:
    """The stored result is of a run that returned; no other was said to be accepted."""
    returned = {
        (end.job, end.token) for end in history.all(Finished) if end.ending is Ending.RETURNED
    }
    told: dict[str, list[int]] = defaultdict(list)
    for completion in history.all(Completed):
        told[completion.job].append(completion.token)
    for job_id, tokens in told.items():
        if len(tokens) > 1:
            yield f"{job_id} completed {len(tokens)} times, under the tokens {tokens}"
    for job in stored.jobs:
        if job.state == "completed" and (job.id, job.result_token) not in returned:
            yield f"{job.id} has a result under token {job.result_token} that no run returned"
        for token in told.get(job.id, []):
            if job.state != "completed" or token != job.result_token:
                yield (
                    f"{job.id} was said to be completed under token {token}, "
                    f"but is {job.state} with a result under {job.result_token}"
                )


def no_run_starts_late(history: History, stored: Stored) -> Violations:
    """No run starts after its job was completed, or after a run under a newer token has started.

    A worker looks at its lock before it starts a handler. If it is stopped (SIGSTOP) between the
    two, nobody can keep it from starting late: that is one run for each stop, and it is refused.
    """
    overtaken: dict[tuple[str, int], float] = {}
    by_job = _grouped(history.all(Started), lambda start: start.job)
    said = {(done.job, done.token): done.at for done in history.all(Completed)}
    for job_id, starts in by_job.items():
        job = stored.by_id.get(job_id)
        for start in starts:
            newer = [other.at for other in starts if other.token > start.token]
            if job is not None and job.result_token is not None:
                if start.token > job.result_token:
                    yield f"{job_id} was run under token {start.token} after its completion"
                done = said.get((job_id, job.result_token), job.finished_at)
                if start.token < job.result_token and done is not None:
                    newer.append(done)
            if newer and min(newer) < start.at:
                overtaken[job_id, start.token] = min(newer)
    excuses = _suspensions(history)
    for start in history.all(Started):
        since = overtaken.get((start.job, start.token))
        if since is not None and not _is_excused(start, since, excuses[start.process]):
            yield (
                f"{start.job} started under token {start.token} in {start.process} "
                f"{start.at - since:.3f} s after it was overtaken"
            )


def _suspensions(history: History) -> dict[str, list[tuple[float, float]]]:
    """From when until when each process was stopped."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    since: dict[str, float] = {}
    for struck in history.all(Struck):
        if struck.blow is Blow.STOP:
            since[struck.target] = struck.at
        elif struck.blow is Blow.CONTINUE and struck.target in since:
            found[struck.target].append((since.pop(struck.target), struck.at))
    return found


_WAKING = 1.0
"""Seconds that a continued process may need until it has written what it was about to write."""


def _is_excused(start: Started, since: float, suspensions: list[tuple[float, float]]) -> bool:
    """Whether a stop caught this start in the middle; each stop excuses one."""
    for stop in suspensions:
        began, ended = stop
        if began <= since and began <= start.at <= ended + _WAKING:
            suspensions.remove(stop)
            return True
    return False


# ── locks ────────────────────────────────────────────────────────────────────────────────────


def one_run_for_each_token(history: History, stored: Stored) -> Violations:
    """Invariant 2: a claim is one worker's, which runs it once."""
    holders = _grouped(history.all(Started), lambda start: (start.job, start.token))
    for (job_id, token), starts in holders.items():
        if len(starts) > 1:
            where = ", ".join(start.process for start in starts)
            yield f"{job_id} was run {len(starts)} times under token {token}: in {where}"


def every_run_is_remembered(history: History, stored: Stored) -> Violations:
    """What ran under a token can be read afterwards, once."""
    started = {(start.job, start.token) for start in history.all(Started)}
    for job in stored.jobs:
        ended = [run.token for run in job.runs]
        if job.state == "completed" and job.result_token is not None:
            ended.append(job.result_token)
        for token, number in Counter(ended).items():
            if number > 1 or not 1 <= token <= job.token:
                yield f"{job.id} has token {job.token}, but the tokens of its runs are {ended}"
        # A claim that was given back before its job was started is not remembered.
        for token in set(range(1, job.token + 1)) - set(ended):
            if (job.id, token) in started:
                yield f"{job.id} was run under token {token}, of which nothing is remembered"
    for start in history.all(Started):
        known = stored.by_id.get(start.job)
        if known is not None and start.token > known.token:
            yield f"{start.job} was run under token {start.token}, but has {known.token}"


def tokens_rise(history: History, stored: Stored) -> Violations:
    """A later claim has a larger token."""
    for job in stored.jobs:
        runs = sorted(job.runs, key=lambda run: run.token)
        for earlier, later in pairwise(runs):
            if later.started_at < earlier.started_at:
                yield (
                    f"{job.id}: token {later.token} was claimed "
                    f"{earlier.started_at - later.started_at:.6f} s before {earlier.token}"
                )


def attempts_are_bounded(history: History, stored: Stored) -> Violations:
    """Invariant 3: attempts never exceed the maximum, crashes included."""
    for start in history.all(Started):
        if not 1 <= start.attempt <= start.max_attempts:
            yield f"{start.job} was run as attempt {start.attempt} of {start.max_attempts}"
    for job in stored.jobs:
        failures = sum(run.outcome == "failed" for run in job.runs)
        if max(job.attempt, failures) > job.max_attempts:
            yield f"{job.id} has {job.attempt} attempts, {failures} failed, of {job.max_attempts}"


def stale_holders_are_told(history: History, stored: Stored) -> Violations:
    """A run that ended and was not accepted was refused, and its worker learned that."""
    told = {(lost.process, lost.job) for lost in history.all(Lost)}
    lived = {ended.process for ended in history.all(Ended)}
    gave_up = {trouble.process for trouble in history.all(Troubled) if _gave_up(trouble)}
    for end in history.all(Finished):
        job = stored.by_id.get(end.job)
        if job is None or end.process not in lived or end.process in gave_up:
            continue
        if not _is_settled(end, job) and (end.process, end.job) not in told:
            yield (
                f"{end.process} ran {end.job} under token {end.token} ({end.ending}), "
                "which was neither accepted nor refused"
            )


def _gave_up(trouble: Troubled) -> bool:
    return trouble.during == "closing the worker"


def _is_settled(end: Finished, job: StoredJob) -> bool:
    outcomes = {run.token: run.outcome for run in job.runs}
    match end.ending:
        case Ending.RETURNED:
            return job.result_token == end.token
        case Ending.RAISED:
            return outcomes.get(end.token) == "failed"
        case Ending.CANCELLED:
            return outcomes.get(end.token) in {"released", "cancelled"}


def nothing_starts_early(history: History, stored: Stored) -> Violations:
    """Invariant 4: no start before its time."""
    for start in history.all(Started):
        if start.at < start.not_before:
            yield f"{start.job} started {start.not_before - start.at:.3f} s before its time"


def logs_are_fenced(history: History, stored: Stored) -> Violations:
    """Invariant 2: whoever has lost a job cannot log any more."""
    for job in stored.jobs:
        for earlier, later in pairwise(job.log_tokens):
            if later < earlier:
                yield f"{job.id} has a log line under token {later} after one under {earlier}"


# ── quiet ────────────────────────────────────────────────────────────────────────────────────


def nothing_is_left(history: History, stored: Stored) -> Violations:
    """Every job has ended."""
    left = Counter(job.state for job in stored.jobs if job.state not in FINAL)
    for state, number in left.items():
        yield f"{number} job(s) are still {state}"


def counters_are_right(history: History, stored: Stored) -> Violations:
    """Invariant 8: counters equal a recount."""
    recount = Counter(job.state for job in stored.jobs)
    for state in sorted({*recount, *stored.counters}):
        if recount[state] != stored.counters.get(state, 0):
            said = stored.counters.get(state, 0)
            yield f"the counter of {state} jobs says {said}, counted are {recount[state]}"
