"""A loop that ends with an error ends the process that consists of it."""

import asyncio

import pytest

from resonate_fleet.contract.loops import work_until


class Loops:
    def __init__(self) -> None:
        self.end, self.fails = asyncio.Event(), asyncio.Event()
        self.cancelled: list[str] = []

    async def endless(self, name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.append(name)

    async def short(self) -> None: ...

    async def failing(self) -> None:
        await self.fails.wait()
        raise ZeroDivisionError

    async def run(self) -> None:
        await work_until(self.end.wait(), self.endless("a"), self.short(), self.failing())


async def test_all_end_when_they_are_told_to() -> None:
    loops = Loops()
    running = asyncio.create_task(loops.run())
    await asyncio.sleep(0)
    loops.end.set()
    await running
    assert loops.cancelled == ["a"]


async def test_what_one_ends_with_is_raised_and_ends_the_others() -> None:
    loops = Loops()
    loops.fails.set()
    with pytest.raises(ZeroDivisionError):
        await loops.run()
    assert loops.cancelled == ["a"]
