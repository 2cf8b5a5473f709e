"""What the Compose place asks of `docker`, by one that stands in for it: no engine is needed."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from resonate_fleet.chaos.compose import ComposePlace
from resonate_fleet.chaos.containers import Container, Helper
from resonate_fleet.chaos.faults import FILL_MEMORY, ON_FLEET, ON_MEMBER, strike
from resonate_fleet.chaos.place import PlaceFailed, Victim
from resonate_fleet.chaos.plan import script
from resonate_fleet.chaos.scenario import StrikeOrder, When, parse
from resonate_fleet.contract.faults import FAULTS, Fault
from resonate_fleet.contract.run import RunFolder
from tests.support import fake_docker
from tests.support.waiting import wait_until_async


class Scene:
    """A fleet of three members and two stewards that a plan with some fault is run on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = ComposePlace("fleet-fake")

    async def start(self, *faults: Fault) -> None:
        strikes = "".join(
            f'[[strikes]]\nfault = "{fault}"\nwhen = {{ done = 0.5 }}\n'
            + "".join(f"{key} = 2\n" for key in FAULTS[fault].takes if key != "seconds")
            for fault in faults
        )
        text = f'about = "x"\ndeadline = 600\n[fleet]\nstewards = 2\n[load]\ncount = 4\n{strikes}'
        await self.place.start(
            script(parse(text, "x.toml"), 1, "compose").plan, RunFolder(self.folder)
        )

    async def member(self, number: int) -> Victim[Container]:
        found = await self.place.find(f"worker-{number}-s{self.start_of(f'worker{number}')}")
        assert found is not None
        return found

    async def on_fleet(self, fault: Fault, seconds: float = 0.0) -> str:
        order = StrikeOrder(strike=0, fault=fault, when=When(), to=5, back=3, seconds=seconds)
        return await ON_FLEET[fault].strike(self.place, order)

    def start_of(self, container: str) -> str:
        with fake_docker.state() as found:
            return str(found[container]["State"]["StartedAt"])

    def asked(self, *words: str) -> list[list[str]]:
        """Return what docker was asked for that begins with these words."""
        lines = (self.folder / "asked.jsonl").read_text().splitlines()
        return [one for one in map(json.loads, lines) if tuple(one[: len(words)]) == words]


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    command = tmp_path / "bin/docker"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -S {fake_docker.__file__} "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    monkeypatch.setenv("FAKE_DOCKER", str(tmp_path))
    monkeypatch.setattr("resonate_fleet.chaos.faults.Wire", MagicMock())
    one = Scene(tmp_path)
    yield one
    await one.place.stop()


INSIDE = "import os, signal; os.kill(-1, signal.{})"


@pytest.mark.parametrize(
    ("fault", "code"),
    [("kill", INSIDE.format("SIGKILL")), ("out-of-memory", FILL_MEMORY)],
    ids=["kill", "out-of-memory"],
)
async def test_a_member_is_killed_from_inside_by_what_waits_there(
    scene: Scene, fault: Fault, code: str
) -> None:
    await scene.start(fault)
    member = await scene.member(2)
    before = len(scene.asked("inspect"))
    await strike(scene.place, fault, member)
    assert scene.asked("inside") == [["inside", "worker2", code]]
    assert len(scene.asked("inspect")) == before, "no look takes time at the strike"
    assert scene.start_of("worker2") == "2"
    with pytest.raises(PlaceFailed, match=r"no longer|has ended"):
        await strike(scene.place, fault, member)


async def test_a_pause_is_healed_in_the_same_container(scene: Scene) -> None:
    await scene.start("pause")
    member, heal = await scene.member(1), ON_MEMBER["pause"].heal
    assert heal is not None
    await strike(scene.place, "pause", member)
    assert await heal(scene.place, member) == "SIGCONT inside fleet-fake-worker-1"
    codes = [INSIDE.format(name) for name in ("SIGSTOP", "SIGCONT")]
    assert [code for _, _, code in scene.asked("inside")] == codes


async def test_member_and_serving_steward_are_killed_by_what_waits_in_both(scene: Scene) -> None:
    await scene.start("kill-with-steward")
    with fake_docker.state() as found:
        assert found["steward1"]["State"]["StartedAt"] == found["steward2"]["State"]["StartedAt"]
    await strike(scene.place, "kill-with-steward", await scene.member(3))
    assert {one for _, one, _ in scene.asked("inside")} == {"worker3", "steward1"}
    await strike(scene.place, "kill-with-steward", await scene.member(1))
    assert {one for _, one, _ in scene.asked("inside")} == {
        "worker3",
        "worker1",
        "steward1",
        "steward2",
    }


async def test_a_steward_that_serves_since_then_is_armed_before_either_is_killed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.start("kill-with-steward")
    await strike(scene.place, "kill-with-steward", await scene.member(3))
    begun: list[str] = []
    start, run = Helper.start, Helper.run

    async def started(where: str, *into: str) -> Helper:
        begun.append("start")
        return await start(where, *into)

    async def ran(one: Helper, code: str) -> bool:
        begun.append("run")
        return await run(one, code)

    monkeypatch.setattr(Helper, "start", started)
    monkeypatch.setattr(Helper, "run", ran)
    await strike(scene.place, "kill-with-steward", await scene.member(1))
    assert begun == ["start", "run", "run"]


async def test_a_member_is_stopped_and_started(scene: Scene) -> None:
    await scene.start("terminate")
    await strike(scene.place, "terminate", await scene.member(1))
    await wait_until_async(lambda: scene.start_of("worker1") == "2", 10, "its next start")
    assert scene.asked("stop") == [["stop", "--time", "45", "worker1"]]
    assert scene.asked("inside") == []


async def test_a_partition_takes_it_off_the_network_and_back(scene: Scene) -> None:
    await scene.start("partition")
    member, heal = await scene.member(1), ON_MEMBER["partition"].heal
    assert heal is not None
    await strike(scene.place, "partition", member)
    await heal(scene.place, member)
    network = ["fleet-fake_backend", "worker1"]
    assert scene.asked("network") == [
        ["network", "disconnect", *network],
        ["network", "connect", "--alias", "worker", *network],
    ]


async def test_what_has_not_opted_in_is_not_struck(scene: Scene) -> None:
    await scene.start("terminate")
    with fake_docker.state() as found:
        del found["worker2"]["Config"]["Labels"]["fleet.chaos"]
    with pytest.raises(PlaceFailed, match="fleet-fake-worker-2 has not opted in"):
        await strike(scene.place, "terminate", await scene.member(2))


async def test_the_server_is_killed_inside_or_by_hand_for_a_while(scene: Scene) -> None:
    await scene.start("server-restart")
    assert await scene.on_fleet("server-restart") == "kill -9 inside fleet-fake-server-1"
    assert scene.start_of("server1") == "2"
    assert "start after 0.1 s" in await scene.on_fleet("server-restart", seconds=0.1)
    assert scene.asked("kill") == [["kill", "server1"]]
    assert scene.start_of("server1") == "3"


async def test_a_server_that_is_away_just_then_is_told(scene: Scene) -> None:
    await scene.start("server-restart")
    with fake_docker.state() as found:
        found["server1"]["State"]["Status"] = "restarting"
    with pytest.raises(PlaceFailed, match="0 server containers are up just now"):
        await scene.on_fleet("server-restart")


async def test_the_serving_steward_is_killed_and_comes_back(scene: Scene) -> None:
    await scene.start("steward-kill")
    assert await scene.on_fleet("steward-kill") == "SIGKILL inside fleet-fake-steward-1"
    assert await scene.on_fleet("steward-kill") == "SIGKILL inside fleet-fake-steward-2"
    assert (scene.start_of("steward1"), scene.start_of("steward2")) == ("2", "2")


async def test_members_are_replaced_in_turn_and_scaled(scene: Scene) -> None:
    await scene.start("rolling-restart")
    assert (await scene.on_fleet("rolling-restart")).startswith("3 replicas")
    assert [one[-1] for one in scene.asked("stop")] == ["worker1", "worker2", "worker3"]
    assert await scene.on_fleet("scale") == "5 replicas are up"
    await scene.place.end_members()
    assert await scene.place.find("worker-5-s1") is None, "all have been stopped"
