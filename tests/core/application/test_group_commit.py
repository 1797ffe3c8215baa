import asyncio
from collections.abc import Sequence

import pytest

from enfila.core.application.runtime.group_commit import GroupCommit
from enfila.core.domain.errors import RepositoryUnavailable


class Writes:
    """Writes groups of numbers and answers with their doubles."""

    def __init__(self, limit: int = 10) -> None:
        self.groups: list[list[int]] = []
        self.refused: set[int] = set()
        self.is_away = False
        self.is_writing = asyncio.Event()
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.commit: GroupCommit[int, int] = GroupCommit(self.write, limit=limit, name="test")

    async def write(self, group: Sequence[int]) -> list[int]:
        self.groups.append(list(group))
        self.is_writing.set()
        await self.may_write.wait()
        if self.is_away:
            raise RepositoryUnavailable("db", "away")
        if self.refused & set(group):
            raise ValueError("refused")
        return [number * 2 for number in group]


async def test_one_after_another_each_has_its_own_write() -> None:
    writes = Writes()
    async with asyncio.timeout(10):
        assert [await writes.commit.submit(number) for number in range(5)] == [0, 2, 4, 6, 8]
    assert writes.groups == [[0], [1], [2], [3], [4]]


async def test_what_comes_together_is_written_together() -> None:
    writes = Writes(limit=3)
    answers = await asyncio.gather(*(writes.commit.submit(number) for number in range(5)))
    assert answers == [0, 2, 4, 6, 8]
    assert writes.groups == [[0, 1, 2], [3, 4]]


async def test_what_comes_during_a_write_waits_for_the_next() -> None:
    writes = Writes()
    writes.may_write.clear()
    first = asyncio.create_task(writes.commit.submit(1))
    async with asyncio.timeout(10):
        await writes.is_writing.wait()
    others = [asyncio.create_task(writes.commit.submit(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    writes.may_write.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert writes.groups == [[1], [2, 3]]


async def test_a_bad_item_does_not_fail_its_neighbours() -> None:
    writes = Writes()
    writes.refused = {2}
    answers = await asyncio.gather(
        *(writes.commit.submit(number) for number in (1, 2, 3)), return_exceptions=True
    )
    assert (answers[0], answers[2]) == (2, 6)
    assert isinstance(answers[1], ValueError)


async def test_an_absent_database_fails_the_whole_group_at_once() -> None:
    writes = Writes()
    writes.is_away = True
    answers = await asyncio.gather(
        *(writes.commit.submit(number) for number in (1, 2, 3)), return_exceptions=True
    )
    assert all(isinstance(answer, RepositoryUnavailable) for answer in answers)
    assert len(writes.groups) == 1


async def test_closing_waits_for_what_a_cancelled_caller_left() -> None:
    writes = Writes()
    writes.may_write.clear()
    caller = asyncio.create_task(writes.commit.submit(1))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    writes.may_write.set()
    async with asyncio.timeout(10):
        await writes.commit.close()
    assert writes.groups == [[1]]
