"""When a steward looks at what is claimable, besides its surveys."""

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

import pytest

from resonate_fleet.contract.wire import Task
from resonate_fleet.steward import watch
from resonate_fleet.steward.survey import Survey, Surveyor
from resonate_fleet.steward.tools import Tools


class Meter:
    survey = type("Gauge", (), {"set": staticmethod(lambda _: None)})


class OneSurvey:
    """A surveyor of a server with nothing on it, which counts."""

    def __init__(self) -> None:
        self.surveyed, self.looked = asyncio.Event(), asyncio.Event()

    async def survey(self, _found: Callable[[Iterable[Task]], None]) -> object:
        self.surveyed.set()
        return type("Empty", (), {"at": 1.0})

    async def claimable(self, _found: Callable[[Iterable[Task]], None]) -> None:
        self.looked.set()


async def test_a_calm_steward_looks_soon_when_a_member_turns_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What another steward heard last is lost: the usual look would find it much later."""
    monkeypatch.setattr(watch, "CALM", 1e9)
    monkeypatch.setattr(watch, "LONG", 1e9)
    surveyor = OneSurvey()

    async def follow(_: Survey) -> None:
        pass

    tools = cast("Tools", type("FakeTools", (), {"meters": Meter}))
    ours = watch.Watch(
        tools, cast("Surveyor", surveyor), 0.01, lambda _: None, follow, lambda _: True
    )
    ours.want()
    running = asyncio.create_task(ours.forever())
    async with asyncio.timeout(10):
        await surveyor.surveyed.wait()
        await asyncio.sleep(0.2)
        assert not surveyor.looked.is_set()
        ours.want_look()
        await surveyor.looked.wait()
    running.cancel()
