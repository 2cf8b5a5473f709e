"""Runs beside each other, and a place that cannot be filled again: it is told of."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

from resonate_fleet.chaos.child import StartFailed
from resonate_fleet.chaos.local_fleet import LocalFleet
from resonate_fleet.chaos.place import PlaceFailed
from resonate_fleet.chaos.processes import LocalPlace
from resonate_fleet.chaos.run import new_folder
from resonate_fleet.chaos.shape import LocalProcess, Shape


def test_runs_that_begin_in_the_same_second_have_a_folder_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resonate_fleet.chaos.run.time.strftime", lambda _: "0101-000000")
    with ThreadPoolExecutor(8) as at_once:
        made = list(at_once.map(lambda _: new_folder(tmp_path / "runs", "one-kill-1"), range(50)))
    assert len({one.root for one in made}) == 50
    assert all(one.root.is_dir() for one in made)


@pytest.mark.parametrize("why", [StartFailed("it ended"), OSError("no room"), ZeroDivisionError()])
async def test_what_is_not_started_again_is_told(
    why: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: Any = SimpleNamespace(wait=AsyncMock(return_value=1))
    monkeypatch.setattr("resonate_fleet.chaos.local_fleet.Child", MagicMock(side_effect=why))
    fleet = LocalFleet(Shape(), tmp_path)
    await asyncio.wait_for(fleet.keep(LocalProcess("worker-1", 1, child=ended)), 5)
    assert fleet.failures == [str(why) or "ZeroDivisionError()"]


async def test_a_run_whose_member_was_not_started_again_says_so_at_its_end() -> None:
    fleet: Any = SimpleNamespace(url="", failures=["no room"], scale=AsyncMock())
    with pytest.raises(PlaceFailed, match="was not started again: no room"):
        await LocalPlace.over(fleet).end_members()


def test_a_fleet_has_a_secret_of_its_own_unless_the_environment_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FLEET_PRESENCE_SECRET", raising=False)
    assert Shape().secrets != Shape().secrets
    monkeypatch.setenv("FLEET_PRESENCE_SECRET", "known-to-both")
    assert Shape().secrets == {"FLEET_PRESENCE_SECRET": "known-to-both"}
