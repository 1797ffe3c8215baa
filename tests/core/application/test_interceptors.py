"""The interceptors that are registered, and how they lie around each other."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, cast

import pytest

from enfila.core.application.interceptors import Interceptors
from enfila.core.application.ports.interceptor import Interceptor, Proceed, RunningJob
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.job.job import Job
from enfila.testing import FrozenClock
from tests.contract.building import make_job

NO_JOB = cast("RunningJob", None)


def new_job() -> Job:
    return make_job("email", clock=FrozenClock())


class Noting(Interceptor):
    """Says when it is entered and left."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        self.notes.append(f"{self.name} in")
        try:
            yield [job.annotated(tags=[self.name]) for job in jobs]
        except BaseException as error:
            self.notes.append(f"{self.name} {error!r}")
            raise
        self.notes.append(f"{self.name} out")

    async def running(self, job: RunningJob, proceed: Proceed) -> object:
        self.notes.append(f"{self.name} in")
        answer = await proceed()
        self.notes.append(f"{self.name} out")
        return f"{self.name}({answer})"


class AroundAdds(Interceptor):
    """Gives what it was made with."""

    def __init__(self, give: Any) -> None:
        self.give = give

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        yield self.give(jobs)


# ── registering ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrong", [None, "tracing", object(), Interceptor, lambda jobs: jobs])
def test_what_is_no_interceptor_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"interceptors: .* derived from enfila\.Interceptor"):
        Interceptors([wrong])


@pytest.mark.parametrize("wrong", [None, Interceptor(), 7])
def test_what_is_no_list_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match="give a list of interceptors"):
        Interceptors(wrong)


def test_an_interceptor_is_registered_once() -> None:
    one = Interceptor()
    with pytest.raises(InvalidRequest, match="register each interceptor once"):
        Interceptors([one, one])


def test_only_what_is_overridden_counts() -> None:
    class AroundRuns(Interceptor):
        async def running(self, job: RunningJob, proceed: Proceed) -> object:
            return await proceed()

    adds, runs = AroundAdds(list), AroundRuns()
    interceptors = Interceptors([Interceptor(), adds, runs])
    assert (interceptors.around_adds, interceptors.around_runs) == ((adds,), (runs,))


def test_what_is_shared_is_not_copied() -> None:
    shared = Interceptors()
    assert Interceptors.of(shared) is shared
    assert Interceptors.of([]) is not shared


# ── around adds ──────────────────────────────────────────────────────────────────────────────


def test_the_first_one_is_the_outermost_around_an_add() -> None:
    notes: list[str] = []
    interceptors = Interceptors([Noting("a", notes), Noting("b", notes)])
    with interceptors.adding([new_job()]) as [job]:
        notes.append("write")
    assert notes == ["a in", "b in", "write", "b out", "a out"]
    assert job.options.tags == ("a", "b")


def test_all_hear_of_a_write_that_fails() -> None:
    notes: list[str] = []
    interceptors = Interceptors([Noting("a", notes), Noting("b", notes)])
    with pytest.raises(OSError, match="disk"), interceptors.adding([new_job()]):
        raise OSError("disk")
    assert notes == ["a in", "b in", "b OSError('disk')", "a OSError('disk')"]


class Swallowing(Interceptor):
    """Keeps every error to itself."""

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        with suppress(BaseException):
            yield jobs


class Refusing(Interceptor):
    """Wants nothing to be added."""

    @contextmanager
    def adding(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        raise PermissionError("not today")
        yield jobs


def test_an_error_that_is_swallowed_reaches_the_caller_all_the_same() -> None:
    with pytest.raises(OSError, match="disk"), Interceptors([Swallowing()]).adding([new_job()]):
        raise OSError("disk")
    is_written = False
    interceptors = Interceptors([Swallowing(), Refusing()])
    with pytest.raises(PermissionError, match="not today"), interceptors.adding([new_job()]):
        is_written = True
    assert not is_written


@pytest.mark.parametrize(
    "give",
    [
        pytest.param(lambda jobs: None, id="nothing"),
        pytest.param(lambda jobs: jobs[:1], id="one less"),
        pytest.param(lambda jobs: [*jobs, jobs[0]], id="one more"),
        pytest.param(lambda jobs: jobs[::-1], id="another order"),
        pytest.param(lambda jobs: [job.id for job in jobs], id="no jobs"),
        pytest.param(lambda jobs: (job for job in jobs), id="no sequence"),
        pytest.param(lambda jobs: [replace(job, queue="b") for job in jobs], id="queue"),
        pytest.param(lambda jobs: [replace(job, priority=7) for job in jobs], id="priority"),
    ],
)
def test_more_than_annotations_is_refused_with_the_name_of_the_interceptor(give: Any) -> None:
    interceptors = Interceptors([AroundAdds(list), AroundAdds(give)])
    refusal = r"AroundAdds\.adding: .* metadata, tags and tenant"
    jobs = [new_job(), new_job()]
    with pytest.raises(InvalidRequest, match=refusal), interceptors.adding(jobs):
        pytest.fail("written")


def test_a_change_in_place_is_noticed() -> None:
    def move(jobs: Sequence[Job]) -> Sequence[Job]:
        jobs[0].queue = "elsewhere"
        return jobs

    interceptors = Interceptors([AroundAdds(move)])
    with pytest.raises(InvalidRequest), interceptors.adding([new_job()]):
        pytest.fail("written")


def test_a_generator_without_contextmanager_is_refused() -> None:
    class Forgetful(Interceptor):
        def adding(self, jobs: Sequence[Job]) -> Any:
            yield jobs

    refusal = r"Forgetful\.adding: .*@contextmanager"
    with pytest.raises(InvalidRequest, match=refusal):
        Interceptors([Forgetful()]).adding([new_job()]).__enter__()


# ── around runs ──────────────────────────────────────────────────────────────────────────────


async def test_the_first_one_is_the_outermost_around_a_run() -> None:
    notes: list[str] = []
    interceptors = Interceptors([Noting("a", notes), Noting("b", notes)])

    async def handler() -> object:
        notes.append("run")
        return 1

    assert await interceptors.running(NO_JOB, handler) == "a(b(1))"
    assert notes == ["a in", "b in", "run", "b out", "a out"]


async def test_what_is_not_overridden_passes_everything_through() -> None:
    async def handler() -> object:
        return 1

    plain = Interceptor()
    jobs = [new_job()]
    with plain.adding(jobs) as given:
        assert given is jobs
    assert await plain.running(NO_JOB, handler) == 1
