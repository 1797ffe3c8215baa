import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from enfila.core.domain.errors import InvalidRequest
from enfila.core.application.job_ids import JobIds
from enfila.core.domain.job.identity import job_id, new_worker_id
from enfila.testing import FrozenClock


def test_ids_are_uuids_of_version_7_that_carry_their_instant() -> None:
    now = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
    parsed = uuid.UUID(JobIds().next(now))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == int(now.timestamp() * 1000)


def test_ids_rise_while_the_clock_stands_still() -> None:
    ids, clock = JobIds(), FrozenClock()
    made = [ids.next(clock.now()) for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_rise_while_the_clock_goes_backwards() -> None:
    ids, now = JobIds(), datetime(2026, 1, 1, tzinfo=UTC)
    made = [ids.next(now - timedelta(seconds=step)) for step in range(1000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_a_later_moment_are_larger() -> None:
    clock = FrozenClock()
    first = JobIds().next(clock.now())
    clock.advance(0.001)
    assert JobIds().next(clock.now()) > first


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
def test_ids_stay_valid_whatever_chance_gives(byte: bytes) -> None:
    ids, clock = JobIds(entropy=lambda count: byte * count), FrozenClock()
    made = [ids.next(clock.now()) for _ in range(100)]
    assert made == sorted(set(made))
    assert {uuid.UUID(each).version for each in made} == {7}


def test_threads_may_share_one_source_of_ids() -> None:
    ids, clock = JobIds(), FrozenClock()
    made: list[list[str]] = [[] for _ in range(4)]

    def make(own: list[str]) -> None:
        own.extend(ids.next(clock.now()) for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for own in made for each in own}) == 8_000
    assert all(own == sorted(own) for own in made)


def test_an_id_is_read_in_any_spelling_of_a_uuid() -> None:
    canonical = "01890a5d-ac96-774b-bcce-b302099a8057"
    for spelling in (canonical, canonical.upper(), canonical.replace("-", ""), f"{{{canonical}}}"):
        assert job_id(spelling) == canonical
    assert job_id(uuid.UUID(canonical)) == canonical


@pytest.mark.parametrize("value", ["", "not an id", None, 7, b"x"])
def test_what_is_no_uuid_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"job_id: .* give the id of a job, a UUID"):
        job_id(value)


def test_each_start_of_a_worker_has_an_id_of_its_own() -> None:
    assert new_worker_id() != new_worker_id()
    assert uuid.UUID(new_worker_id()).version == 4
