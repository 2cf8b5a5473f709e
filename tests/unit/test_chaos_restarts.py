"""A place that cannot be filled again is told of, whatever the reason is."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from resonate_fleet.chaos.child import StartFailed
from resonate_fleet.chaos.local import LocalPlace
from resonate_fleet.chaos.place import PlaceFailed
from resonate_fleet.chaos.restarts import LocalProcess, Restarts
from tests.support.waiting import wait_until_async


@pytest.mark.parametrize("why", [StartFailed("it ended"), OSError("no room"), ZeroDivisionError()])
async def test_what_is_not_started_again_is_told(why: Exception) -> None:
    ended: Any = SimpleNamespace(wait=AsyncMock(return_value=1))
    restarts = Restarts(lambda: None)
    launch = AsyncMock(side_effect=why)
    restarts.watch(LocalProcess("worker-1", 1, child=ended), launch, again=True)
    await wait_until_async(lambda: restarts.failures, 5, "the failure is told")
    assert restarts.failures == [str(why) or "ZeroDivisionError()"]
    await restarts.forget("worker-1")


async def test_a_run_whose_member_was_not_started_again_says_so_at_its_end() -> None:
    fleet: Any = SimpleNamespace(
        url="", restarts=SimpleNamespace(failures=["no room"]), scale=AsyncMock()
    )
    with pytest.raises(PlaceFailed, match="was not started again: no room"):
        await LocalPlace.over(fleet).end_members()
