"""`fleet cancel` of very many: the steward is told of all of them."""

from argparse import Namespace
from typing import Any

import msgspec
import pytest

from resonate_fleet.commands import cancel, jobs
from resonate_fleet.commands.addresses import Addresses
from resonate_fleet.contract.envelope import Raw, encode_value
from resonate_fleet.contract.jobs import JobList
from resonate_fleet.contract.options import guarded
from resonate_fleet.contract.wire import Wire
from resonate_fleet.steward.acts import MOST_ASKED
from resonate_fleet.steward.console import LARGEST

WITH_A_STEWARD = Addresses(server="http://server", token=None, steward="http://steward")
WITHOUT = Addresses(server="http://server", token=None, steward=None)


@pytest.mark.parametrize("width", [1, 200])
def test_a_steward_is_told_in_pages_that_it_takes(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"{number:0>{width}}" for number in range(2500)]
    told: list[str] = []

    def answer(_: Addresses, path: str, _form: type, body: dict[str, list[str]]) -> object:
        assert path == "settled"
        assert len(body["jobs"]) <= MOST_ASKED
        assert len(msgspec.json.encode(body)) <= LARGEST
        told.extend(body["jobs"])
        return {}

    monkeypatch.setattr(cancel, "addresses", lambda _: WITH_A_STEWARD)

    async def cancelled(_wire: Wire, id: str, _why: str, ended: list[str]) -> None:
        ended.append(id)

    monkeypatch.setattr(cancel, "cancel", cancelled)
    monkeypatch.setattr(Addresses, "ask_steward", answer)
    assert cancel.run(Namespace(ids=ids, all=False, why="")) == 0
    assert told == ids


@pytest.mark.parametrize("data", [None, [], {}, {"promise": 1}])
def test_a_steward_is_told_of_what_ended_before_the_server_answered_strangely(
    data: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Any] = []

    def answer(_: Addresses, _path: str, _form: type, body: object) -> object:
        told.append(body)
        return {}

    async def post(_: Wire, body: bytes) -> Raw:
        asked = msgspec.json.decode(body)
        job, found = asked["data"]["id"], data
        if job in ("a", "b"):
            error = encode_value({"message": "by hand"})
            found = {"promise": {"id": job, "state": "rejected_canceled", "value": error}}
        status = 404 if ":" in job else 200
        reply = {"kind": asked["kind"], "head": {"status": status}, "data": found}
        return Raw(200, msgspec.json.encode(reply))

    monkeypatch.setattr(Wire, "post", post)
    monkeypatch.setattr(cancel, "addresses", lambda _: WITH_A_STEWARD)
    monkeypatch.setattr(Addresses, "ask_steward", answer)
    asked = Namespace(ids=["a", "b", "c"], all=False, why="by hand")
    assert guarded("fleet cancel", lambda: cancel.run(asked)) == 4
    assert told == [{"jobs": ("a", "b")}]
    (line,) = capsys.readouterr().err.splitlines()
    assert "answers otherwise than server v0.9.8" in line
    assert line.endswith("; not done: c")


def test_what_is_not_read_at_once_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cancel, "addresses", lambda _: WITHOUT)
    monkeypatch.setattr(jobs, "chosen", lambda *_, **__: (JobList(jobs=[], more=True), ""))
    assert cancel.run(Namespace(ids=[], all=True, function="f", why="")) == 0
    assert "more jobs match" in capsys.readouterr().err


def test_without_a_steward_what_is_over_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a function that has run very often the jobs that are over would fill what is read."""
    searched: list[Any] = []

    async def post(_: Wire, body: bytes) -> Raw:
        asked = msgspec.json.decode(body)
        searched.append(asked["data"].get("state"))
        reply = {"kind": asked["kind"], "head": {"status": 200}, "data": {"promises": []}}
        return Raw(200, msgspec.json.encode(reply))

    monkeypatch.setattr(Wire, "post", post)
    monkeypatch.setattr(cancel, "addresses", lambda _: WITHOUT)
    asked = cancel.parser("fleet cancel").parse_args(["--all", "--function", "f"])
    assert cancel.run(asked) == 0
    assert searched == ["pending"]


def test_a_steward_that_has_just_started_may_not_know_all_and_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cancel, "addresses", lambda _: WITH_A_STEWARD)
    monkeypatch.setattr(Addresses, "ask_steward", lambda *_: JobList(jobs=[], complete=False))
    asked = cancel.parser("fleet cancel").parse_args(["--all", "--function", "f"])
    assert cancel.run(asked) == 0
    assert "does not know every job yet: run it again, or with --store" in capsys.readouterr().err
