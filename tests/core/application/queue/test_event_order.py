from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from enfila.core.application.emitter import Emitter
from enfila.core.application.queue.publishing.event_order import EventOrder
from enfila.core.domain.events import QUEUE_EVENTS, JobEvent, JobRemoved
from enfila.core.domain.job.identity import JobId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = JobId("a"), JobId("b")


def event(job_id: JobId, what: str) -> JobEvent:
    return JobRemoved(queue="q", at=NOW, job_id=job_id, job_name=what)


class Heard:
    def __init__(self) -> None:
        self.emitter = Emitter(QUEUE_EVENTS)
        self.order = EventOrder(self.emitter)
        self.names: list[str] = []

    def listen(self) -> None:
        self.emitter.on("job.removed", self._hear)

    def _hear(self, event: Any) -> None:
        self.names.append(event.job_name)


@pytest.fixture
def heard() -> Heard:
    heard = Heard()
    heard.listen()
    return heard


def test_events_are_told_when_the_write_is_done(heard: Heard) -> None:
    with heard.order.take_turn([A]) as turn:
        turn.publish(event(A, "first"))
        turn.publish(event(A, "second"))
        assert heard.names == []
    assert heard.names == ["first", "second"]


def test_what_is_told_during_a_write_waits_for_it(heard: Heard) -> None:
    with heard.order.take_turn([A, B]) as turn:
        heard.order.publish(event(A, "active"))
        turn.publish(event(A, "added"))
    assert heard.names == ["added", "active"]


def test_a_later_write_that_ends_first_is_told_after_the_earlier(heard: Heard) -> None:
    with heard.order.take_turn([A]) as earlier:
        with heard.order.take_turn([A]) as later:
            later.publish(event(A, "settled"))
        earlier.publish(event(A, "added"))
        assert heard.names == []
    assert heard.names == ["added", "settled"]


def test_other_jobs_do_not_wait(heard: Heard) -> None:
    with heard.order.take_turn([A]):
        heard.order.publish(event(B, "other"))
        assert heard.names == ["other"]


def test_a_write_that_failed_gives_its_turn_up(heard: Heard) -> None:
    turn = heard.order.take_turn([A])
    with suppress(ValueError), turn:
        heard.order.publish(event(A, "after"))
        raise ValueError("boom")
    assert heard.names == ["after"]


def test_a_listener_that_comes_during_a_write_hears_of_it() -> None:
    heard = Heard()
    with heard.order.take_turn([A]) as turn:
        heard.listen()
        turn.publish(event(A, "added"))
    assert heard.names == ["added"]
