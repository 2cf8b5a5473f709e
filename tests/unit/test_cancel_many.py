"""`fleet cancel` of very many: the steward is told of all of them."""

from argparse import Namespace
from typing import Any

import msgspec
import pytest

from resonate_fleet.commands import cancel, jobs
from resonate_fleet.contract.jobviews import JobList
from resonate_fleet.steward.acts import MOST_ASKED
from resonate_fleet.steward.console import LARGEST


@pytest.mark.parametrize("width", [1, 200])
def test_a_steward_is_told_in_pages_that_it_takes(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"{number:0>{width}}" for number in range(2500)]
    told: list[str] = []

    def from_steward(_url: str | None, path: str, body: dict[str, list[str]]) -> bytes:
        assert path == "settled"
        assert len(body["jobs"]) <= MOST_ASKED
        assert len(msgspec.json.encode(body)) <= LARGEST
        told.extend(body["jobs"])
        return b"{}"

    nowhere: Any = Namespace(steward_url="http://steward")
    monkeypatch.setattr(cancel, "addresses", lambda _: nowhere)
    monkeypatch.setattr(cancel, "ask", lambda *_: (0, ids))
    monkeypatch.setattr(cancel, "from_steward", from_steward)
    assert cancel.run(Namespace(ids=ids, all=False, why="")) == 0
    assert told == ids


def test_what_is_not_read_at_once_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere: Any = Namespace(steward_url=None)
    monkeypatch.setattr(cancel, "addresses", lambda _: nowhere)
    monkeypatch.setattr(cancel, "ask", lambda *_: (0, []))
    monkeypatch.setattr(jobs, "chosen", lambda *_: (JobList(jobs=[], more=True), ""))
    assert cancel.run(Namespace(ids=[], all=True, function="f", why="")) == 0
    assert "more jobs match" in capsys.readouterr().err
