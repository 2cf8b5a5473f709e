"""How a member without a steward finds work, and what it says of searches that it may not make."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from resonate_fleet.contract.wire import Refused, Reply
from resonate_fleet.member.fallback import FORBIDDEN_PAUSE, MOST_KNOWN, Backlog, Fallback
from tests.support.virtual import VirtualLoop


class Scene:
    """An idle member. Nothing waits on the server, and a token may forbid to search it."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.forbidden = True
        self.counted: list[tuple[str, ...]] = []
        opened = asyncio.Event()
        opened.set()
        wire: Any = SimpleNamespace(promise_pages=self._search)
        stream: Any = SimpleNamespace(opened=opened, run=self._listen)
        slots: Any = SimpleNamespace(free=1)
        self.fallback = Fallback(wire, stream, "g", slots, lambda *what: self.counted.append(what))

    async def _listen(self, _: Any) -> None:
        await asyncio.Event().wait()

    async def _search(self, *_: Any) -> AsyncIterator[list[Any]]:
        if self.forbidden:
            raise Refused(Reply(kind="promise.search", status=403, data="no"))
        yield []

    async def switch(self, *, on: bool) -> None:
        self.fallback.switch(on=on)

    def may_search(self) -> bool:
        return self.fallback.may_search

    def close(self) -> None:
        self.loop.run_until_complete(self.switch(on=False))
        self.loop.end()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with closing(Scene()) as one:
        monkeypatch.setattr("time.monotonic", one.loop.time)
        yield one


def test_that_searches_are_forbidden_is_said_once_until_they_are_allowed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("resonate_fleet.member.fallback.log", log)

    def said() -> list[str]:
        return [one.args[0] for one in log.warning.mock_calls]

    scene.loop.run_until_complete(scene.switch(on=True))
    scene.loop.run_for(10 * FORBIDDEN_PAUSE)
    forbidden = scene.counted.count(("fallback_searches", "forbidden"))
    assert 10 <= forbidden == len(scene.counted) <= 21, "it tries again now and then"
    assert scene.may_search() is False
    assert said() == ["search.forbidden"]
    scene.forbidden = False
    scene.loop.run_for(2 * FORBIDDEN_PAUSE)
    assert scene.counted[-1] == ("fallback_searches", "empty")
    assert scene.may_search() is True
    assert len(said()) == 1
    scene.forbidden = True
    scene.loop.run_for(FORBIDDEN_PAUSE)
    assert said() == ["search.forbidden"] * 2


def test_the_oldest_that_is_known_goes_first_and_what_is_avoided_is_not_known() -> None:
    counted, now = list[tuple[str, ...]](), 10.0
    backlog = Backlog(lambda *what: counted.append(what), lambda: now)
    backlog.learn("hinted", 0)
    backlog.learn("old", 3, since=2.0)
    backlog.learn("old", 4)  # hinted again: it keeps its age
    backlog.learn("older", 0, since=1.0)
    backlog.avoid("older", 5.0)
    backlog.learn("older", 1)
    assert counted == [("hints_dropped", "avoided")]
    assert [backlog.take() for _ in range(len(backlog))] == [("old", 4), ("hinted", 0)]
    now = 15.0
    backlog.learn("older", 1)
    assert len(backlog) == 1, "its time is over"
    for number in range(MOST_KNOWN):
        backlog.learn(f"job-{number}", 0)
    assert len(backlog) == MOST_KNOWN
    assert counted[1:] == [("hints_dropped", "full")]
