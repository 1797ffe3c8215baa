"""Every public method takes what it is given, or says what is wrong and has written nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
import pytest_asyncio

from enfila import Enfila, EnfilaError, InvalidRequest
from tests.arguments.calls import Parameter, is_a_sentence, raises_by_itself
from tests.arguments.stage import PARTS, Stage, answered, used
from tests.wrong_values import every

VALUES = list(every())
REACHING_THE_DATABASE = {"QueueService", "JobHandle", "Schedules", "JobTypes", "DeclaredJob"}
THEIR_OWN_WORD = {"JobHandle.result(timeout)", "JobHandle.wait(timeout)"}
"""They raise the `TimeoutError` that they promise."""

REFUSED = "refused"

Begin = Callable[[], Awaitable[Stage]]


@pytest_asyncio.fixture
async def begin(request: pytest.FixtureRequest, adapter: str) -> AsyncIterator[Begin]:
    """Makes stages, each on an app of its own."""
    async with AsyncExitStack() as opened:

        async def begin() -> Stage:
            url = "memory://"
            if adapter != "memory":
                url = request.getfixturevalue(f"{adapter}_url")
            app = Enfila(url, table_prefix=f"t{uuid4().hex[:20]}_")
            opened.push_async_callback(app.close, 0)
            stage = Stage(await app.open())
            await stage.prepare()
            return stage

        yield begin


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("adapter", "part"),
    [
        *[("memory", part) for part in PARTS],
        *[("sqlite", part) for part in PARTS if part in REACHING_THE_DATABASE],
        *[
            pytest.param("postgres", part, marks=[pytest.mark.postgres, pytest.mark.thorough])
            for part in PARTS
            if part in REACHING_THE_DATABASE
        ],
    ],
)
async def test_a_wrong_argument_is_refused_in_words(part: str, begin: Begin) -> None:
    stage = await begin()
    fallen: list[str] = []
    for parameter in stage.parameters_of(part):
        fallen += await _tried(parameter, stage)
    assert not fallen


async def test_a_wrong_grace_closes_nothing() -> None:
    for _, value in VALUES:
        app = await Enfila("memory://").open()
        try:
            await app.close(value)
        except InvalidRequest as refusal:
            _ = app.queue("still open")
            assert refusal.field == "grace"  # noqa: PT017 - it may be a right one
        await app.close(0)


async def _tried(parameter: Parameter, stage: Stage) -> list[str]:
    """What is wrong with the answers to each wrong value."""
    fallen = []
    refused = []
    for name, value in VALUES:
        wrong = await _what_is_wrong(parameter, value, stage)
        if wrong == REFUSED:
            refused.append(value)
        elif wrong is not None and not raises_by_itself(name, wrong):
            fallen.append(f"{parameter}, {name}: {wrong}")
    before = await stage.snapshot()
    for value in refused:
        _ = await _what_is_wrong(parameter, value, stage)
    if await stage.snapshot() != before:
        fallen.append(f"{parameter}: something was written")
    return fallen


async def _what_is_wrong(parameter: Parameter, value: object, stage: Stage) -> str | None:
    try:
        await used(await answered(parameter, value), stage)
    except InvalidRequest as refusal:
        return REFUSED if is_a_sentence(refusal) else "no sentence"
    except EnfilaError as error:
        return None if is_a_sentence(error) else "no sentence"
    except TimeoutError:
        return None if str(parameter) in THEIR_OWN_WORD else "raises TimeoutError"
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        return f"raises {type(error).__name__}"
    return None
