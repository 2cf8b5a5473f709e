"""Acts of the console over several jobs: each one's outcome is answered and journalled."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from resonate_fleet.contract import jobacts
from resonate_fleet.contract.envelope import encode_value
from resonate_fleet.contract.jobs import line_of, matches
from resonate_fleet.contract.presence import Holding
from resonate_fleet.contract.wire import Unreachable
from resonate_fleet.steward.acts import Acts
from resonate_fleet.steward.attempts import Attempts, attempt_of
from resonate_fleet.steward.console import Refusal
from resonate_fleet.steward.lists import AT_ONCE, MOST_READ, Lists
from resonate_fleet.steward.matcher import Matcher
from tests.support.model import Model
from tests.support.simulated_server import SimWire


class FailingWire(SimWire):
    """A wire to the model; the server fails for requests that name `fails`."""

    def __init__(self, model: Model) -> None:
        process: Any = SimpleNamespace(dead=False, deaf=False, lag=0.0, loses=[])
        server: Any = SimpleNamespace(answer=lambda _, body: model.post(body))
        super().__init__(server, process)
        self.fails = "nothing at all"

    async def post(self, body: str | bytes) -> Any:
        if f'"{self.fails}"'.encode() in (body if isinstance(body, bytes) else body.encode()):
            raise Unreachable("model", "it fails")
        return await super().post(body)


class Scene:
    def __init__(self) -> None:
        self.model = Model()
        self.wire = FailingWire(self.model)
        self.attempts = Attempts()
        self.stopped: list[str] = []
        self.lines: list[Any] = []
        member = SimpleNamespace(say=lambda message: self.stopped.extend(message.tasks))
        group = SimpleNamespace(present={"m": member})
        dispatch: Any = SimpleNamespace(groups={}, group=lambda _: group, is_complete=True)
        tools: Any = SimpleNamespace(
            wire=self.wire,
            attempts=self.attempts,
            now=lambda: 1000.0,
            journal=SimpleNamespace(write=self.lines.append),
        )
        self.dispatch = dispatch
        self.acts = Acts(tools, dispatch)
        self.lists = Lists(tools, dispatch, payloads=True)

    def job(self, id: str, function: str = "work") -> str:
        return self.model.job(id, encode_value({"func": function, "args": []}))

    def runs(self, *ids: str) -> None:
        for name in ids:
            self.attempts.claimed(attempt_of(Holding(name, 1, "f", 0.0), "g", "m"))


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.model.close()


def test_what_was_cancelled_before_the_server_failed_is_journalled_and_stopped(
    scene: Scene,
) -> None:
    ids = [scene.job("a"), scene.job("b"), scene.job("c")]
    scene.runs(*ids)
    scene.wire.fails = "b"
    answer = asyncio.run(scene.acts.cancel(ids, "me"))
    assert answer["cancelled"] == ["a", "c"]
    assert "it fails" in answer["unchanged"]["b"]
    assert scene.stopped == ["a", "c"]
    assert [one.job for one in scene.attempts.marks if one.kind == "cancelled"] == ["a", "c"]
    assert [(line.act, line.jobs, line.by) for line in scene.lines] == [
        ("cancel", ["a", "c"], "me")
    ]


def test_a_job_is_stopped_when_the_server_fails_at_its_children(scene: Scene) -> None:
    scene.job("a")
    scene.runs("a")
    scene.wire.fails = "a:1"
    answer = asyncio.run(scene.acts.cancel(["a"], "me"))
    assert answer["cancelled"] == ["a"]
    assert "it fails" in answer["unchanged"]["a"]
    assert scene.stopped == ["a"]
    assert scene.lines[0].jobs == ["a"]


def test_redrive_reject_and_rerun_tell_of_each(scene: Scene) -> None:
    ids = [scene.job("a"), scene.job("b")]
    scene.wire.fails = "b"
    for act, key in (("redrive", "redriven"), ("reject", "rejected"), ("rerun", "rerun")):
        for name in ids:
            scene.model.call("task.halt", id=name)
        answer = asyncio.run(getattr(scene.acts, act)(ids, "me"))
        assert list(answer[key]) == ["a"]
        assert list(answer["unchanged"]) == ["b"]
        assert (scene.lines[-1].act, scene.lines[-1].jobs) == (act, ["a"])


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        ("task.get", "is waiting: it goes on"),
        ("task.halt", "is parked: `fleet quarantine redrive`"),
    ],
)
def test_what_is_not_over_is_not_run_again(scene: Scene, prepare: str, says: str) -> None:
    scene.job("a")
    scene.model.call(prepare, id="a")
    answer = asyncio.run(scene.acts.rerun(["a"], "me"))
    assert (answer["rerun"], list(answer["unchanged"])) == ({}, ["a"])
    assert says in answer["unchanged"]["a"]
    assert answer["unchanged"]["a"].endswith("; accepted: a job that is over")
    assert scene.model.call("promise.get", id="a-rerun-1")[0] == 404


def test_a_function_past_version_1_is_listed_with_it_by_server_and_steward(scene: Scene) -> None:
    scene.model.job("a", encode_value({"func": "f", "args": [], "version": 2}))
    promise = asyncio.run(scene.wire.promise("a"))
    assert promise is not None
    line = line_of(promise)
    assert line.function == "f@2"
    assert matches(line, {"function": "f@2", "state": "", "search": "a"}, 0.0)
    assert not matches(line, {"function": "f"}, 0.0)
    assert not matches(line, {}, (line.at or 0.0) + 1)


def test_an_end_without_an_error_of_its_own_is_told_with_payloads_hidden(scene: Scene) -> None:
    for name in ("late", "failed"):
        scene.job(name)
    secret = encode_value({"message": "the card 4711 is refused"})
    scene.model.call("promise.settle", id="failed", state="rejected", value=secret)
    scene.model.pass_time(3601.0)

    def error(id: str) -> str:
        return asyncio.run(jobacts.page(scene.wire, id, payloads=False)).error

    assert error("late") == "its timeout passed before it was done"
    assert error("failed") == "an error"


def test_nothing_done_is_refused_and_not_journalled(scene: Scene) -> None:
    ids = [scene.job("a")]
    scene.wire.fails = "a"
    with pytest.raises(Refusal) as failed:
        asyncio.run(scene.acts.cancel(ids, "me"))
    assert failed.value.status == 502
    scene.wire.fails = "nothing at all"
    with pytest.raises(Refusal) as not_parked:
        asyncio.run(scene.acts.redrive(ids, "me"))
    assert not_parked.value.status == 409
    assert not scene.lines


def test_a_function_is_known_of_what_waits_sleeps_and_runs(scene: Scene) -> None:
    matcher = Matcher()
    scene.dispatch.groups["g"] = SimpleNamespace(matcher=matcher)
    for function in ("resize", "other"):
        for state in ("waits", "sleeps", "runs"):
            scene.job(f"{function}-{state}", function)
        matcher.offer(0.0, f"{function}-waits", 0, since=0.0)
        scene.attempts.suspended[f"{function}-sleeps"] = ("g", 0.0)
        holding = Holding(f"{function}-runs", 1, function, 0.0)
        scene.attempts.claimed(attempt_of(holding, "g", "member"))
    found = asyncio.run(scene.lists.listing({"function": "resize"}))
    assert {one.id for one in found.jobs} == {"resize-waits", "resize-sleeps", "resize-runs"}
    assert found.unread == 0


@pytest.mark.parametrize(("since", "found"), [("0", []), ("60", ["job"]), ("", ["job"])])
def test_jobs_of_the_last_seconds_are_listed(scene: Scene, since: str, found: list[str]) -> None:
    scene.attempts.suspended[scene.job("job")] = ("g", 1000.0 - 30)
    scene.dispatch.is_complete = since == "60"
    listed = asyncio.run(scene.lists.listing({"since": since}))
    assert listed.complete == (since == "60")
    assert [one.id for one in listed.jobs] == found


def test_very_many_are_read_in_parts_and_it_says_so(scene: Scene) -> None:
    for number in range(MOST_READ + 5):
        scene.attempts.suspended[scene.job(f"job-{number}")] = ("g", 0.0)
    asked = {"function": "work", "limit": "5000"}
    first = asyncio.run(scene.lists.listing(asked))
    assert (len(first.jobs), first.unread) == (MOST_READ, 5)
    then = asyncio.run(scene.lists.listing(asked))
    assert (len(then.jobs), then.unread) == (MOST_READ + 5, 0)


def test_a_list_of_very_many_lets_the_matcher_work(scene: Scene) -> None:
    """What starts or ends meanwhile spoils no list."""
    matcher, parts = Matcher(), 20
    scene.dispatch.groups["g"] = SimpleNamespace(matcher=matcher)
    for number in range(parts * AT_ONCE):
        matcher.offer(0.0, f"job-{number}", 0, since=float(number))
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1
            scene.runs(f"job-{turns}")
            matcher.ended(f"job-{turns}")

    async def listed() -> Any:
        working = asyncio.create_task(work())
        found = await scene.lists.listing({"limit": "100"})
        working.cancel()
        return found

    found = asyncio.run(listed())
    assert turns > parts / 2
    assert len({one.id for one in found.jobs}) == 100
    assert (found.jobs[0].id, found.more) == (f"job-{parts * AT_ONCE - 1}", True)
