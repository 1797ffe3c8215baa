"""The use cases on schedules."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from enfila.core.application.interceptors import Interceptors, InterceptorsLike
from enfila.core.application.job_types.declared_job import DeclaredJob
from enfila.core.application.ports.job_reader import LogLine
from enfila.core.application.ports.job_repository import IJobRepository
from enfila.core.application.ports.schedule_repository import Decision, Edit, ScheduleFilter
from enfila.core.application.ports.wake_up import ALL_SCHEDULES, Hint, WakeUp
from enfila.core.application.scheduler.managing.backfilling import Backfill, backfill_runs
from enfila.core.application.scheduler.managing.syncing import Synced, Syncing
from enfila.core.application.scheduler.managing.target_check import TargetCheck
from enfila.core.application.scheduler.ticks.job_factory import JobFactory
from enfila.core.application.scheduler.ticks.storing_runs import StoringRuns
from enfila.core.domain.checking import (
    LARGEST_ID,
    flag,
    instance,
    instant,
    one_of,
    several,
    text,
    whole,
)
from enfila.core.domain.duration import ZERO, Duration, duration
from enfila.core.domain.errors import (
    InvalidRequest,
    ScheduleChanged,
    ScheduleNotFound,
)
from enfila.core.domain.job.options import DEFAULT_OPTIONS, JobOptions
from enfila.core.domain.job.running.attempt import Attempt
from enfila.core.domain.json_document import Json
from enfila.core.domain.queue import name as checked_name
from enfila.core.domain.schedule.definition import (
    LONGEST_DESCRIPTION,
    ScheduleDefinition,
    checked_slug,
)
from enfila.core.domain.schedule.preview import Preview, backfill_times, preview
from enfila.core.domain.schedule.rules.misfire import Misfire
from enfila.core.domain.schedule.rules.overlap import Overlap
from enfila.core.domain.schedule.runs.run import NewRun, Origin, RunId, ScheduleRun
from enfila.core.domain.schedule.schedule import Schedule
from enfila.core.domain.schedule.scheduled_for import ScheduledFor
from enfila.core.domain.schedule.state import Owner, ScheduleState
from enfila.core.domain.schedule.target import Target
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.trigger import Trigger
from enfila.core.domain.schedule.zones.time_zone import DEFAULT_ZONE, load_zone

DEFAULT_SOURCE = "default"
_MOST_RECENT = 100


@dataclass(frozen=True, slots=True)
class RunDetails:
    """Value object: a run of a schedule with its job, for people to look at.

    Attributes:
        attempts: of its job, the oldest first.
        log: the lines that its job logged, the oldest first, at most 1,000.
    """

    run: ScheduleRun
    attempts: tuple[Attempt, ...]
    log: tuple[LogLine, ...]


class Schedules:
    """Service: makes, changes and explains schedules; reached as `app.schedules`.

    Every change is told to the schedulers of all processes. Wrong input is refused before any
    write with an `InvalidRequest` that names the field, the value and what is allowed; a slug that
    is not there with `ScheduleNotFound`.

    Args:
        targets: knows what jobs can be made.
        interceptors: go around the adding of jobs by `run_now` and `backfill`.
        time_zone: for definitions that name none.
    """

    def __init__(
        self,
        repository: IJobRepository,
        targets: TargetCheck,
        wake_up: WakeUp,
        *,
        interceptors: InterceptorsLike = (),
        time_zone: str = DEFAULT_ZONE,
    ) -> None:
        self._jobs = repository
        self._schedules = repository.storage.schedules
        self._runs = repository.storage.schedule_runs
        self._storing = StoringRuns(repository.storage, Interceptors.of(interceptors))
        self._job_types = repository.storage.job_types
        self._targets = targets
        self._wake_up = wake_up
        self._time_zone = load_zone(time_zone).key
        self._syncing = Syncing(self._schedules, targets)

    def define(
        self,
        slug: str,
        job: str | DeclaredJob[..., Any, ..., Any],
        trigger: Trigger | str,
        payload: Json = None,
        *,
        queue: str | None = None,
        options: JobOptions | None = None,
        time_zone: str | None = None,
        name: str = "",
        description: str = "",
        category: str = "",
        start_at: datetime | None = None,
        end_at: datetime | None = None,
        max_runs: int | None = None,
        misfire: Misfire | None = None,
        overlap: Overlap | str = Overlap.ALLOW,
        jitter: Duration = ZERO,
    ) -> ScheduleDefinition:
        """A definition, in the words of this API; nothing is stored.

        Args:
            slug: its unique name: small letters, digits and `. _ : -`.
            job: the job type, or its name.
            trigger: when it ticks; a text is a cron expression.
            payload: for each of its jobs; the arguments of a job type, as a dict.
            queue: where its jobs wait; None for the queue of their type.
            options: attempts, timeout, priority and the rest; what they leave out is the type's.
            time_zone: whose clocks the trigger means; None for the default of this app.
            name: for people; the slug when left out.
            description: for people.
            category: for people, to find it by.
            start_at: no tick before it (aware).
            end_at: no tick after it (aware).
            max_runs: after so many ticks it is finished.
            misfire: what becomes of late ticks; the latest runs when left out.
            overlap: what becomes of ticks while a run goes on.
            jitter: jobs start up to this long after their tick.

        Raises:
            InvalidRequest: a value is wrong.
        """
        job_type = job.definition.name if isinstance(job, DeclaredJob) else job
        return ScheduleDefinition(
            slug,
            Target.of(job_type, payload, DEFAULT_OPTIONS if options is None else options, queue),
            Cron(trigger) if isinstance(trigger, str) else trigger,
            name=name,
            description=description,
            category=category,
            time_zone=self._time_zone if time_zone is None else load_zone(time_zone).key,
            start_at=start_at,
            end_at=end_at,
            max_runs=max_runs,
            misfire=Misfire() if misfire is None else misfire,
            overlap=one_of("overlap", overlap, Overlap),
            jitter=duration("jitter", jitter),
        )

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    async def get(self, slug: str) -> Schedule:
        """The schedule as it is now."""
        found = await self._schedules.get(checked_slug(slug))
        if found is None:
            raise ScheduleNotFound(slug)
        return found

    async def all(
        self,
        *,
        owner: Owner | None = None,
        category: str | None = None,
        job_type: str | None = None,
        state: ScheduleState | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Schedule]:
        """The schedules that fit, by slug; those after the slug `after`, at most `limit`."""
        wanted = ScheduleFilter(
            None if owner is None else one_of("owner", owner, Owner),
            None if category is None else text("category", category),
            None if job_type is None else text("job_type", job_type),
            None if state is None else one_of("state", state, ScheduleState),
        )
        return await self._schedules.find(
            wanted,
            after=None if after is None else text("after", after),
            limit=None if limit is None else whole("limit", limit),
        )

    async def preview(self, schedule: str | ScheduleDefinition, count: int = 10) -> Preview:
        """The rule in words, and its next times in its zone and in UTC.

        Given a definition, whether stored or not, it tells what that would do.
        """
        definition = (
            (await self.get(schedule)).definition
            if isinstance(schedule, str)
            else instance("schedule", schedule, ScheduleDefinition, "a slug or a definition")
        )
        return preview(definition, await self._schedules.current_instant(), count)

    async def history(
        self, slug: str, limit: int = 100, *, before: RunId | None = None
    ) -> list[ScheduleRun]:
        """Its runs with their jobs, the newest first; those that were made before `before`."""
        most = whole("limit", limit)
        first = None if before is None else RunId(whole("before", before, 0, LARGEST_ID))
        await self.get(slug)
        return await self._runs.find(slug, limit=most, before=first)

    async def details(self, run: ScheduleRun) -> RunDetails:
        """The attempts and the log of one run; none when its job is not stored any more."""
        instance("run", run, ScheduleRun, "a run, such as `history` returns")
        if run.job is None:
            return RunDetails(run, (), ())
        attempts = await self._jobs.attempts(run.job.id)
        return RunDetails(run, tuple(attempts), tuple(await self._jobs.logs(run.job.id)))

    # ── changing ─────────────────────────────────────────────────────────────────────────────

    async def create(self, definition: ScheduleDefinition, *, enabled: bool = True) -> Schedule:
        """Stores a schedule of a definition.

        Raises:
            InvalidRequest: its job type is unknown, refuses the payload, or its zone is unknown.
            ScheduleExists: its slug is taken.
        """
        is_enabled = flag("enabled", enabled)
        checked = await self._checked(definition)
        now = await self._schedules.current_instant()
        schedule = Schedule.new(checked, now, enabled=is_enabled)
        await self._targets.declare([checked.target])
        await self._schedules.insert(schedule)
        self._tell()
        return schedule

    async def update(self, definition: ScheduleDefinition, *, version: int) -> Schedule:
        """Gives the schedule with this slug another definition; it keeps its owner.

        Once this has returned no tick of the old rule is made. Its next time counts from now; an
        `AfterCompletion` waits for the end of what the old rule has started.

        Args:
            definition: the whole of the new definition, with the old slug.
            version: the one that the change rests on, as it was read.

        Raises:
            InvalidRequest: as for `create`.
            ScheduleChanged: it has another version by now.
        """
        whole("version", version)
        checked = await self._checked(definition)

        def edit(standing: Schedule, now: datetime, is_running: bool) -> Schedule:  # noqa: FBT001 - as `Edit` says
            if standing.version != version:
                raise ScheduleChanged(standing.slug, version, standing.version)
            old = standing.definition
            kept = replace(checked, owner=old.owner, source=old.source)
            return standing.edited(kept, now, is_running=is_running)

        await self._targets.declare([checked.target])
        return await self._edit(checked.slug, edit)

    async def enable(self, slug: str) -> Schedule:
        """Has it tick from now on; what it missed is not caught up."""

        def enable(standing: Schedule, now: datetime, is_running: bool) -> Schedule:  # noqa: FBT001 - as `Edit` says
            return standing if standing.enabled else standing.enable(now, is_running=is_running)

        return await self._edit(slug, enable)

    async def disable(self, slug: str, reason: str = "disabled by hand") -> Schedule:
        """Keeps it at rest until `enable`. Once this has returned it makes no tick."""
        why = text("reason", reason, LONGEST_DESCRIPTION)
        return await self._change(slug, lambda it, _: it.disable(why) if it.enabled else it)

    async def delete(self, slug: str) -> None:
        """Removes it with its history; its jobs stay. Once this has returned it makes no tick."""
        if not await self._schedules.delete(checked_slug(slug)):
            raise ScheduleNotFound(slug)
        self._tell()

    async def sync(
        self,
        definitions: Iterable[ScheduleDefinition],
        *,
        disabled: Collection[str] = (),
        source: str = DEFAULT_SOURCE,
    ) -> Synced:
        """Makes the schedules of a program's code what `definitions` say.

        New ones are created, changed ones edited, and those that an earlier call brought and this
        one does not are deleted. Schedules of other sources, and those that were created at run
        time, are left alone. Whether a known one is enabled stays as people have set it.

        Args:
            definitions: all that this code owns.
            disabled: slugs that are created disabled.
            source: what tells this code from other programs of the installation.

        Raises:
            InvalidRequest: as for `create`, or a slug comes twice.
            ScheduleExists: a slug is taken by another source, or was created at run time.
        """
        given = several("schedules", definitions, "definitions of schedules")
        at_rest = several("disabled", disabled, "slugs of these schedules")
        done = await self._syncing.sync(given, at_rest, checked_name("source", source))
        self._tell()
        return done

    # ── running ──────────────────────────────────────────────────────────────────────────────

    async def run_now(self, slug: str, *, by: str) -> ScheduleRun:
        """Adds one job of it at once, whatever its rule and its overlap say, disabled or not.

        Args:
            slug: the schedule.
            by: who wants it; 1 to 255 characters.
        """
        wanted_by = checked_name("by", by)
        schedule = await self.get(slug)
        now = await self._schedules.current_instant()
        making = JobFactory(await self._job_types.all())
        told = ScheduledFor(slug, now, next=schedule.next_run_at)
        job = making.make(schedule.definition.target, told, now=now)
        stored = await self._storing.add(slug, [NewRun(now, job, Origin.MANUAL, wanted_by)])
        if stored is None:
            raise ScheduleNotFound(slug)
        self._wake_up.hint(job.queue, Hint.JOBS)
        recent = await self._runs.find(slug, limit=_MOST_RECENT)
        made = [run for run in recent if run.nominal == now and run.origin is Origin.MANUAL]
        if not made:
            raise ScheduleNotFound(slug)
        return made[0]

    async def backfill(
        self, slug: str, start: datetime, end: datetime, *, by: str, dry_run: bool = False
    ) -> Backfill:
        """Adds jobs for the times of its rule from `start` to before `end` that have none.

        They start at once, beside each other, and count for no limit of runs. It can be repeated.

        Args:
            slug: the schedule.
            start: aware.
            end: aware, and not in the future. At most 10,000 times lie between.
            by: who wants it; 1 to 255 characters.
            dry_run: only tells the times.
        """
        wanted_by = checked_name("by", by)
        flag("dry_run", dry_run)
        schedule = await self.get(slug)
        now = await self._schedules.current_instant()
        if instant("end", end) > now:
            raise InvalidRequest("end", end.isoformat(), f"give {now.isoformat()} or earlier")
        times = backfill_times(schedule.definition, start, end)
        if dry_run:
            return Backfill(times, ())
        making = JobFactory(await self._job_types.all())
        made: list[datetime] = []
        for runs in backfill_runs(schedule, times, making, wanted_by, now):
            stored = await self._storing.add(slug, runs)
            if stored is None:
                raise ScheduleNotFound(slug)
            made += [run.nominal for run, is_new in zip(runs, stored, strict=True) if is_new]
            for queue in {run.job.queue for run in runs if run.job is not None}:
                self._wake_up.hint(queue, Hint.JOBS)
        return Backfill(times, tuple(made))

    # ── what they have in common ─────────────────────────────────────────────────────────────

    async def _checked(self, definition: ScheduleDefinition) -> ScheduleDefinition:
        instance("definition", definition, ScheduleDefinition, "a ScheduleDefinition")
        return replace(definition, target=await self._targets.checked(definition.target))

    async def _change(self, slug: str, decide: Decision) -> Schedule:
        return self._told(slug, await self._schedules.change(checked_slug(slug), decide))

    async def _edit(self, slug: str, decide: Edit) -> Schedule:
        return self._told(slug, await self._schedules.edit(checked_slug(slug), decide))

    def _told(self, slug: str, changed: Schedule | None) -> Schedule:
        if changed is None:
            raise ScheduleNotFound(slug)
        self._tell()
        return changed

    def _tell(self) -> None:
        self._wake_up.hint(ALL_SCHEDULES, Hint.SCHEDULES)
