"""When a steward searches what, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import pytest

from resonate_fleet.contract.wire import Promise, Unreachable, Wire
from resonate_fleet.steward.survey import FEW, STATES, Surveyor
from resonate_fleet.steward.survey_loop import SurveyLoop
from resonate_fleet.steward.tools import Tools
from tests.support.virtual import VirtualLoop

INTERVAL = 2.0
SURVEY = Counter(STATES)


class Server:
    """Answers each search after `takes` seconds; `asked` keeps what and when."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.takes, self.calm, self.fails = 0.001, True, False
        self.asked: list[tuple[float, str]] = []
        gauge = type("Gauge", (), {"set": staticmethod(lambda _: None)})
        some = {
            "meters": type("Meters", (), {"survey_duration_seconds": gauge}),
            "now": staticmethod(loop.time),
            "failed": staticmethod(lambda *_: None),
        }
        self.survey_loop = SurveyLoop(cast("Tools", type("SomeTools", (), some)), INTERVAL)
        self.running = loop.create_task(self.survey_loop.run(self.search, lambda _: self.calm))

    async def search(self, state: str) -> None:
        self.asked.append((self.loop.time(), state))
        await asyncio.sleep(self.takes)
        if self.fails:
            raise Unreachable("", "")

    def during(self, seconds: float) -> Counter[str]:
        """Let time pass; return what is asked meanwhile."""
        before = len(self.asked)
        self.loop.run_for(seconds)
        return Counter(state for _, state in self.asked[before:])

    def call(self, do: Callable[[], None]) -> None:
        self.loop.call_soon(do)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    loop = VirtualLoop()
    monkeypatch.setattr("time.monotonic", loop.time)
    server = Server(loop)
    yield server
    server.running.cancel()
    loop.run_for(0.01)
    loop.close()


def test_one_survey_serves_the_start_and_the_first_members(server: Server) -> None:
    assert server.during(1.0) == {}
    server.call(server.survey_loop.want_survey)
    assert server.during(0.1) == SURVEY
    assert server.during(5.0) == {}


def test_a_steward_without_members_surveys_soon(server: Server) -> None:
    assert server.during(2.1) == SURVEY
    assert server.survey_loop.at is not None


def test_in_calm_times_there_is_one_search_now_and_then(server: Server) -> None:
    server.during(3.0)
    found = server.during(800.0)
    assert 80 <= found.total() <= 100
    assert abs(found["pending"] - 2 * found["acquired"]) <= 2
    assert abs(found["acquired"] - 2 * found["halted"]) <= 2
    assert abs(found["suspended"] - found["halted"]) <= 1


def test_what_is_not_told_is_surveyed_each_interval(server: Server) -> None:
    server.calm = False
    server.during(3.0)
    assert server.during(20.3) == Counter(dict.fromkeys(STATES, 10))


def test_what_another_steward_heard_is_looked_for_once_it_has_stopped(server: Server) -> None:
    server.during(3.0)
    for _ in range(3):  # members turn one after the other
        server.call(server.survey_loop.want_pending)
    assert server.during(0.9) == {}
    assert server.during(0.2) == {"pending": 1}
    assert server.during(5.0) == {}


def test_searches_of_a_slow_server_take_a_fraction_of_its_time(server: Server) -> None:
    server.takes = 0.12  # as v0.9.8 with a million finished jobs
    server.calm = False
    server.during(10.0)
    found = server.during(10_000)
    assert 0.5 < server.takes * found.total() / 10_000 / 0.0025 < 1.3


def test_groups_that_come_and_go_cost_a_slow_server_little_in_the_long_run(server: Server) -> None:
    server.takes = 0.12
    server.during(10.0)
    spent = Counter[str]()
    for _ in range(1000):
        server.call(server.survey_loop.want_survey)
        spent += server.during(10.0)
    assert server.takes * spent.total() < 10_000 * 0.01
    assert spent["halted"] > 50, "whole surveys go on"


def test_what_is_wanted_on_a_slow_server_comes_at_once_some_times(server: Server) -> None:
    server.takes = 0.12
    server.during(10.0)
    for _ in range(3):
        server.call(server.survey_loop.want_survey)
        assert server.during(2.0) == SURVEY


def test_a_group_that_comes_on_a_server_of_slow_searches_has_its_waiting_jobs_found(
    server: Server,
) -> None:
    server.takes = 1.0  # a survey takes 4 s: more than the advance is owed
    server.during(10.0)
    server.call(server.survey_loop.want_survey)
    assert server.during(100.0) == {}
    assert server.during(100.0) == {"pending": 1}
    server.during(100.0)
    server.call(server.survey_loop.want_survey)
    assert server.during(100.0) == {"pending": 1}
    assert server.during(2_000.0)["halted"] >= 1, "the survey follows when it is paid for"


def test_groups_that_come_within_a_survey_share_the_next(server: Server) -> None:
    server.takes = 0.12
    server.during(1.0)
    server.call(server.survey_loop.want_survey)
    server.during(0.1)
    for _ in range(5):
        server.call(server.survey_loop.want_survey)
        server.during(0.05)
    assert server.during(10.0)["halted"] == 2


def test_a_busy_moment_is_no_reason_to_rest_for_long(server: Server) -> None:
    server.during(3.0)
    server.takes = 0.5
    server.during(9.0)
    server.takes = 0.001
    assert server.during(40.0).total() >= 4


def test_a_server_that_fails_is_asked_again(server: Server) -> None:
    server.fails = True
    server.during(3.0)
    assert server.survey_loop.at is None
    server.fails = False
    assert server.during(2.1) == SURVEY
    assert server.survey_loop.at is not None


class SlowPages:
    """A server whose promises take 1 ms each, and a page of them 0.5 s."""

    def __init__(self) -> None:
        self.seconds, self.promises, self.pages = 0.0, 0, 0

    async def promise(self, _: str) -> Promise | None:
        self.seconds, self.promises = self.seconds + 0.001, self.promises + 1
        return None

    async def promise_pages(self, _: str, among: list[str]) -> AsyncIterator[list[Promise]]:
        assert among
        self.seconds, self.pages = self.seconds + 0.5, self.pages + 1
        yield []


async def test_pages_are_read_where_they_are_faster_by_what_they_took_before() -> None:
    server = SlowPages()
    surveyor = Surveyor(cast("Wire", server), lambda: server.seconds)
    some = [f"job-{number}" for number in range(400)]
    await surveyor.learn_anew(some[:FEW])
    assert (server.promises, server.pages) == (FEW, 0)
    await surveyor.learn_anew(some)
    assert (server.promises, server.pages) == (2 * FEW, 1), "of what pages lack it reads a few"
    await surveyor.learn_anew(some)
    assert server.pages == 1, "400 promises take less than a page"
    assert surveyor.pages_pay(600)
