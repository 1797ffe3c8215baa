"""Which claims a worker of several queues makes."""

from dataclasses import replace

from enfila.core.application.job_types.serving.claimed_by_type import ClaimedByType, ClaimRequest
from enfila.core.domain.job.identity import LockToken
from enfila.core.domain.job.job import Job
from enfila.testing import FrozenClock
from tests.contract.building import make_job

FREE, SLOW = frozenset({"free"}), frozenset({"slow"})


def claimed(queue: str, name: str, token: int = 1) -> Job:
    return replace(make_job(queue, name, clock=FrozenClock()), token=LockToken(token))


def test_a_limited_type_has_a_claim_of_its_own_with_the_room_that_is_left() -> None:
    held = ClaimedByType({("two", "slow"): 2})
    everywhere = [ClaimRequest("one", FREE), ClaimRequest("two", FREE)]
    assert held.claim_requests(["one", "two"], FREE | SLOW) == [
        *everywhere,
        ClaimRequest("two", SLOW, 2),
    ]
    held.take([claimed("one", "free"), job := claimed("two", "slow")])
    assert held.claim_requests(["one", "two"], FREE | SLOW) == [
        *everywhere,
        ClaimRequest("two", SLOW, 1),
    ]
    held.take([claimed("two", "slow")])
    assert held.claim_requests(["one", "two"], FREE | SLOW) == everywhere
    assert held.let_go([(job.id, job.token)]) is True
    assert held.claim_requests(["one", "two"], FREE | SLOW) == [
        *everywhere,
        ClaimRequest("two", SLOW, 1),
    ]


def test_only_what_is_served_and_known_is_claimed() -> None:
    held = ClaimedByType({("two", "slow"): 2})
    assert held.claim_requests(["one"], FREE | SLOW) == [ClaimRequest("one", FREE)]
    assert held.claim_requests(["two"], FREE) == [ClaimRequest("two", FREE)]
    assert held.claim_requests(["two"], SLOW) == [ClaimRequest("two", SLOW, 2)]
    assert held.claim_requests(["one", "two"], None) == [
        ClaimRequest("one", None),
        ClaimRequest("two", None),
    ]


def test_a_job_is_let_go_once_under_its_own_token() -> None:
    held = ClaimedByType({("two", "slow"): 2})
    job = claimed("two", "slow", token=2)
    held.take([job])
    assert held.let_go([(job.id, LockToken(1))]) is False
    assert held.let_go([(job.id, job.token)]) is True
    assert held.let_go([(job.id, job.token)]) is False


def test_jobs_of_other_types_make_no_room() -> None:
    held = ClaimedByType({("two", "slow"): 2})
    job = claimed("two", "free")
    held.take([job])
    assert held.let_go([(job.id, job.token)]) is False
