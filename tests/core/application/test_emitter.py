import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from enfila.core.application.emitter import Emitter
from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.events import QUEUE_EVENTS, QueueDrained, QueuePaused

PAUSED = QueuePaused(queue="q", at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def emitter() -> Emitter:
    return Emitter(QUEUE_EVENTS)


def test_listeners_are_called_in_order_with_the_event(emitter: Emitter) -> None:
    heard: list[Any] = []
    emitter.on("queue.paused", lambda event: heard.append(("first", event)))
    emitter.on("queue.paused", lambda event: heard.append(("second", event)))
    emitter.publish(PAUSED)
    assert heard == [("first", PAUSED), ("second", PAUSED)]


def test_off_ends_listening_and_once_hears_one(emitter: Emitter) -> None:
    heard: list[Any] = []
    emitter.on("queue.paused", heard.append)
    emitter.once("queue.paused", lambda _: heard.append("once"))
    emitter.publish(PAUSED)
    emitter.off("queue.paused", heard.append)
    emitter.publish(PAUSED)
    assert heard == [PAUSED, "once"]
    assert not emitter.has_job_listeners


def test_off_of_what_never_listened_is_nothing(emitter: Emitter) -> None:
    emitter.off("queue.paused", print)


def test_an_event_that_nobody_emits_is_refused_with_a_proposal(emitter: Emitter) -> None:
    with pytest.raises(InvalidRequest, match=r"did you mean 'queue\.paused'\?"):
        emitter.on("queue.pause", print)


def test_it_knows_what_is_heard(emitter: Emitter) -> None:
    assert not emitter.has_job_listeners
    emitter.on("queue.paused", print)
    assert emitter.has_listeners("queue.paused")
    assert not emitter.has_job_listeners
    emitter.on("job.completed", print)
    assert emitter.has_job_listeners
    assert not emitter.has_listeners(QueueDrained.name)


def test_a_listener_that_raises_is_logged_and_the_next_is_called(
    emitter: Emitter, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    def broken(_: Any) -> None:
        raise ValueError("boom")

    emitter.on("queue.paused", broken)
    emitter.on("queue.paused", heard.append)
    with caplog.at_level(logging.ERROR, "enfila"):
        emitter.publish(PAUSED)
    assert heard == [PAUSED]
    assert "a listener of queue.paused" in caplog.text


async def test_a_reporter_hears_of_async_and_plain_listeners_instead_of_the_log(
    emitter: Emitter, caplog: pytest.LogCaptureFixture
) -> None:
    reported: list[tuple[str, str]] = []

    async def broken(_: Any) -> None:
        raise ValueError("async")

    def also_broken(_: Any) -> None:
        raise ValueError("plain")

    emitter.on("queue.paused", broken)
    emitter.on("queue.paused", also_broken)
    end = emitter.report_errors_to(lambda error, during: reported.append((str(error), during)))
    emitter.publish(PAUSED)
    await emitter.wait_for_listeners()
    during = "a listener of queue.paused"
    assert reported == [("plain", during), ("async", during)]
    assert not caplog.records
    end()
    end()
    emitter.report_error(ValueError("later"), "a test")
    assert "later" in caplog.text


async def test_waiting_for_listeners_has_an_end(emitter: Emitter) -> None:
    async def stuck(_: Any) -> None:
        await asyncio.Event().wait()

    emitter.on("queue.paused", stuck)
    emitter.publish(PAUSED)
    async with asyncio.timeout(10):
        await emitter.wait_for_listeners(timedelta(milliseconds=10))
    emitter.cancel()


def test_an_async_listener_is_run_where_there_is_no_loop(emitter: Emitter) -> None:
    heard: list[Any] = []

    async def listen(event: Any) -> None:
        await asyncio.sleep(0)
        heard.append(event)

    emitter.on("queue.paused", listen)
    emitter.publish(PAUSED)
    assert heard == [PAUSED]
