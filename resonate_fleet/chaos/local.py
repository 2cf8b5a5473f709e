"""The local place: strikes on a fleet of processes that this run started itself."""

import asyncio
import signal
import time
from typing import Final, Self

from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.chaos.place import Candidate, PlaceFailed, way
from resonate_fleet.chaos.ports import HOST, Ports
from resonate_fleet.chaos.processes import LocalFleet
from resonate_fleet.chaos.restarts import LocalProcess
from resonate_fleet.chaos.shape import OPT_IN, Shape
from resonate_fleet.contract.run import CUTTING_OFF, FREEZING, Fault, Plan, RunFolder
from resonate_fleet.contract.words import DEFAULT_GROUP

#: What is done to one member: a signal to its process, or None where its gates are shut.
STRIKES: Final[dict[Fault, signal.Signals | None]] = {
    "kill": signal.SIGKILL,
    "kill-with-steward": signal.SIGKILL,
    "out-of-memory": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "pause": signal.SIGSTOP,
    "partition": None,
}
#: What undoes it: a signal, or None where the gates are opened.
HEALS: Final[dict[Fault, signal.Signals | None]] = {"pause": signal.SIGCONT, "partition": None}


def open_place(options: ChaosOptions) -> "LocalPlace":
    return LocalPlace(options.server_bin)


class LocalPlace:
    """Runs a plan on processes. `server_bin` is a real server's binary, else the embedded one."""

    def __init__(self, server_bin: str | None = None, ports: Ports | None = None) -> None:
        self._server_bin = server_bin
        self._ports = ports
        self._fleet: LocalFleet | None = None
        #: Processes that are paused or cut off, by handle; one may leave the fleet meanwhile.
        self._frozen: dict[str, LocalProcess] = {}
        self.url = ""
        self.token: str | None = None

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
            gates=any(one.fault in CUTTING_OFF for one in plan.strikes),
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

    async def find(self, member: str) -> Candidate | None:
        for name, one in self.fleet.members.items():
            if one.member == member:
                return Candidate(member, name, _opted_in(one))
        return None

    async def submit(self, options: list[str]) -> int:
        client = await self.fleet.client(*options)
        try:
            return await client.wait()
        finally:
            await client.stop(5)

    async def strike(self, fault: Fault, member: Candidate) -> str:
        number, process = way(STRIKES, fault), self._process(member)
        if fault in FREEZING:
            self._frozen[member.handle] = process
        if number is None:
            for gate in process.gates:
                gate.close_door()
            return f"{len(process.gates)} gates of {process.name} are shut"
        child = process.child
        if child is None or not child.send(number):
            raise PlaceFailed(f"{member.member} had ended by itself")
        also = f", with {self._kill_serving_steward()}" if fault == "kill-with-steward" else ""
        if number != signal.SIGKILL:
            return f"{number.name} to process {child.pid}"
        code = await child.wait()
        return f"{number.name} to process {child.pid}: exit code {128 - code}{also}"

    def _kill_serving_steward(self) -> str:
        """Kill the longest-standing steward, which is the one that serves; return its name."""
        serving = self.fleet.serving()
        if serving is None or serving.child is None:
            raise PlaceFailed("no steward runs")
        serving.child.send(signal.SIGKILL)
        return serving.name

    async def kill_steward(self) -> str:
        since, name = time.time(), self._kill_serving_steward()
        await self.fleet.wait_since(self.fleet.stewards, since)
        return f"{name} was killed and runs again"

    async def heal(self, fault: Fault, member: Candidate) -> str:
        number, process = way(HEALS, fault), self._frozen.pop(member.handle, None)
        if process is None or process.child is None:
            return "nothing to heal"
        if number is None:
            for gate in process.gates:
                gate.open_door()
            return f"{len(process.gates)} gates of {process.name} are open"
        process.child.send(number)
        return f"{number.name} to process {process.child.pid}"

    async def restart_server(self, away: float) -> str:
        return await self.fleet.restart_server(away)

    async def rolling_restart(self) -> str:
        before = list(self.fleet.members.values())
        for process in before:
            since = time.time()
            if process.child is not None:
                process.child.send(signal.SIGTERM)
            await self.fleet.wait_since([process], since)
        return f"{len(before)} members ended and were started again, one at a time"

    async def scale(self, members: int) -> str:
        before = len(self.fleet.members)
        await self.fleet.scale(members)
        return f"from {before} to {members} members"

    async def end_members(self) -> None:
        if failures := self.fleet.restarts.failures:
            raise PlaceFailed(f"a process was not started again: {failures[0]}")
        await self.fleet.scale(0)

    async def collect(self, folder: RunFolder) -> None:
        """The journals were written into the run's folder from the start."""

    async def stop(self) -> None:
        if self._fleet is not None:
            fleet, self._fleet = self._fleet, None
            await asyncio.shield(fleet.stop())

    def _process(self, member: Candidate) -> LocalProcess:
        """Return what is to be struck, looked at once more: ours, up, and still the same."""
        process = self.fleet.members.get(member.handle)
        if process is None or process.member != member.member:
            raise PlaceFailed(f"{member.member} has ended")
        if not _opted_in(process):
            raise PlaceFailed(f"{member.member} has not opted in")
        return process


def _policy(plan: Plan, folder: RunFolder) -> dict[str, str]:
    """Return the stewards' setting under which keys take turns, where the jobs have keys."""
    if not any(job.key for job in plan.jobs):
        return {}
    file = folder.root / "policy.toml"
    file.write_text(f"[groups.{DEFAULT_GROUP}]\n")
    return {"STEWARD_POLICY": str(file)}


def _opted_in(process: LocalProcess) -> bool:
    """A child of this very process that runs and whose own environment holds the opt-in."""
    if process.child is None or not process.child.running:
        return False
    env = process.child.environment()
    return all(env.get(key) == value for key, value in OPT_IN.items())
