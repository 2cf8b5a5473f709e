"""The place `processes`: strikes on a fleet of this machine that the run started itself."""

import asyncio
import signal
import time
from typing import Final, Self

from resonate_fleet.chaos.child import Child
from resonate_fleet.chaos.faults import ALL
from resonate_fleet.chaos.local_fleet import LocalFleet
from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.chaos.place import Adapter, PlaceFailed, Victim
from resonate_fleet.chaos.ports import HOST, Ports
from resonate_fleet.chaos.shape import OPT_IN, LocalProcess, Shape
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.contract.words import DEFAULT_GROUP


class LocalPlace(Adapter[LocalProcess]):
    """Runs a plan on processes. `server_bin` is a real server's binary, else the embedded one."""

    def __init__(self, server_bin: str | None = None, ports: Ports | None = None) -> None:
        self._server_bin = server_bin
        self._ports = ports
        self._fleet: LocalFleet | None = None

    @classmethod
    def chosen(cls, options: ChaosOptions) -> Self:
        return cls(options.server_bin)

    @classmethod
    def over(cls, fleet: LocalFleet) -> Self:
        """Return the place that a fleet makes which somebody else has started."""
        place = cls()
        place._fleet, place.url = fleet, fleet.url
        return place

    @property
    def fleet(self) -> LocalFleet:
        if self._fleet is None:
            raise PlaceFailed("the fleet has not been started")
        return self._fleet

    async def start(self, plan: Plan, folder: RunFolder) -> None:
        fleet = LocalFleet(self.shape(plan, folder), folder.root, self._ports)
        await fleet.__aenter__()
        self._fleet, self.url = fleet, fleet.url

    def shape(self, plan: Plan, folder: RunFolder) -> Shape:
        """Return the fleet that the plan is run on."""
        return Shape(
            members=plan.members,
            slots=plan.slots,
            lease=plan.lease,
            stewards=plan.stewards if plan.steward else 0,
            gates=any("cut_off" in ALL[one.fault].needs for one in plan.strikes),
            server_bin=self._server_bin,
            steward_env=_policy(plan, folder),
        )

    def addresses(self) -> dict[str, str]:
        members = self.fleet.members.values()
        return {
            "RESONATE_URL": self.url,
            "FLEET_STEWARD_URL": f"http://{HOST}:{self.fleet.ports.steward}",
            "FLEET_WORKER_METRICS": " ".join(f"{one.url}/metrics" for one in members),
        }

    async def submit(self, options: list[str]) -> None:
        await self.fleet.submit(options)

    async def find(self, member: str) -> Victim[LocalProcess] | None:
        found = [one for one in self.fleet.members.values() if one.member == member]
        return Victim(member, found[0]) if found else None

    async def look_again(self, member: Victim[LocalProcess]) -> None:
        if member.handle.member != member.name or not member.handle.running:
            raise PlaceFailed(f"{member.name} has ended")
        if not OPT_IN.items() <= _child(member).env.items():
            raise PlaceFailed(f"{member.name} has not opted in")

    async def steward(self) -> Victim[LocalProcess]:
        if (serving := self.fleet.serving()) is None:
            raise PlaceFailed("no steward runs")
        return Victim(serving.name, serving)

    async def server(self) -> Victim[LocalProcess]:
        fleet = self.fleet
        return Victim("server", LocalProcess("server", fleet.ports.server, child=fleet.server))

    async def kill(self, victim: Victim[LocalProcess]) -> str:
        """SIGKILL."""
        child = _child(victim)
        answer = await self.signal(victim, signal.SIGKILL)
        return f"{answer}: exit code {128 - await child.wait()}"

    async def replace(self, victim: Victim[LocalProcess]) -> str:
        """SIGKILL, then started again."""
        if victim.name == "server":
            return await self.fleet.restart_server()
        since, answer = time.time(), await self.kill(victim)
        await self.fleet.wait_since(victim.handle, since)
        return f"{answer}, and {victim.name} runs again"

    async def terminate(self, member: Victim[LocalProcess]) -> str:
        """SIGTERM."""
        return await self.signal(member, signal.SIGTERM)

    async def signal(self, member: Victim[LocalProcess], number: signal.Signals) -> str:
        """To its process."""
        child = _child(member)
        if not child.send(number) and number != signal.SIGCONT:  # which has nothing to heal then
            raise PlaceFailed(f"{member.name} had ended by itself")
        return f"{number.name} to process {child.pid}"

    async def cut_off(self, member: Victim[LocalProcess]) -> str:
        """Its gates are shut."""
        for gate in member.handle.gates:
            gate.close_door()
        return f"{len(member.handle.gates)} gates of {member.handle.name} are shut"

    async def connect(self, member: Victim[LocalProcess]) -> str:
        """Its gates are opened."""
        for gate in member.handle.gates:
            gate.open_door()
        return f"{len(member.handle.gates)} gates of {member.handle.name} are open"

    async def take_away(self, victim: Victim[LocalProcess], seconds: float) -> str:
        """SIGKILL, then started."""
        if victim.name != "server":
            raise PlaceFailed(f"{victim.name} is started again at once")
        return await self.fleet.restart_server(seconds)

    async def restart_members(self) -> str:
        """SIGTERM each."""
        before = list(self.fleet.members.values())
        for process in before:
            since = time.time()
            if process.child is not None:
                process.child.send(signal.SIGTERM)
            await self.fleet.wait_since(process, since)
        return f"{len(before)} members ended and were started again, one at a time"

    async def scale(self, members: int) -> str:
        """The newest end first."""
        before = len(self.fleet.members)
        await self.fleet.scale(members)
        return f"from {before} to {members} members"

    async def end_members(self) -> None:
        if failures := self.fleet.failures:
            raise PlaceFailed(f"a process was not started again: {failures[0]}")
        await self.fleet.scale(0)

    async def collect(self, folder: RunFolder) -> None:
        """The journals were written into the run's folder from the start."""

    async def stop(self) -> None:
        if self._fleet is not None:
            fleet, self._fleet = self._fleet, None
            await asyncio.shield(fleet.stop())


def _policy(plan: Plan, folder: RunFolder) -> dict[str, str]:
    """Return the stewards' setting under which keys take turns, where the jobs have keys."""
    if not any(job.key for job in plan.jobs):
        return {}
    file = folder.root / "policy.toml"
    file.write_text(f"[groups.{DEFAULT_GROUP}]\n")
    return {"STEWARD_POLICY": str(file)}


def _child(victim: Victim[LocalProcess]) -> Child:
    if victim.handle.child is None:
        raise PlaceFailed(f"{victim.name} has not been started")
    return victim.handle.child


ADAPTER: Final = LocalPlace
