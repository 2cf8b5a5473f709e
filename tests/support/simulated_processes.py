"""The stewards and members of a simulated fleet: the product's own, without sockets and threads."""

import asyncio
import queue
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch

import msgspec
from resonate.context import Context

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.journal import Line
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.settings import load
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.wire import Wire
from resonate_fleet.member import drain, member
from resonate_fleet.member.attempts import Attempt
from resonate_fleet.member.on_loop import OnLoop
from resonate_fleet.member.registry import Registry
from resonate_fleet.member.settings import Settings
from resonate_fleet.member.upstream import Wires
from resonate_fleet.steward import life
from resonate_fleet.steward.metrics import Meters
from resonate_fleet.steward.policy import GroupPolicy
from resonate_fleet.steward.presence import PresenceServer
from resonate_fleet.steward.settings import StewardSettings
from resonate_fleet.steward.state_file import Memory
from resonate_fleet.steward.tools import Tools
from tests.support.simulated_server import BlockingSimWire, Server, SimStream, SimWire
from tests.support.virtual import Process, VirtualLoop, running

#: Lease that members ask for, in seconds, and how often the server looks for lapsed ones.
LEASE, SCAN = 6.0, 0.2
PORTS = (1, 2)


class World(Protocol):
    """What a process sees of its fleet."""

    loop: VirtualLoop
    server: Server
    policies: dict[str, GroupPolicy]
    findings: list[str]


class Lines:
    """A log that drops what it is given."""

    def log(self, *_: Any, **__: Any) -> None:
        """Drop the line."""


class Kept(Journal):
    """A journal that keeps its lines."""

    def __init__(self, who: str) -> None:
        super().__init__(who, log=Lines())
        self.lines: list[Line] = []

    def write(self, line: Line, level: int = 20) -> None:  # noqa: ARG002 - as in the base
        self.lines.append(msgspec.structs.replace(line, at=time.time()))

    def of[L: Line](self, kind: type[L]) -> list[L]:
        return [line for line in self.lines if isinstance(line, kind)]


class SimSteward(life.Steward):
    """A steward without pages."""

    def __init__(self, fleet: "World", port: int, name: str, memory: Memory) -> None:
        self.process = Process(name)
        self.port = port
        self.journal = Kept(name)
        self._fleet = fleet
        env = {"STEWARD_NAME": name, "STEWARD_MAX_CRASHES": "1", "STEWARD_RECONNECT": "1"}
        settings = load(StewardSettings, env)
        wire = SimWire(fleet.server, self.process)
        tools = Tools(wire, self.journal, Meters(), memory, now=time.time)
        super().__init__(settings, tools, fleet.policies)
        fleet.loop.spawn(self.process, self._run())

    async def _run(self) -> None:
        async with PresenceServer(
            ("steward", self.port), 10, self._membership, self._me
        ) as presence:
            await self._work_until(asyncio.Event(), presence.beat())

    def _stream(self, group: str, _again: Callable[[], None]) -> Stream:
        return SimStream(self._fleet.server, self.process, group)

    @property
    def memory(self) -> Memory:
        """What its state file keeps."""
        return self._tools.memory

    @property
    def rank(self) -> tuple[float, str]:
        """By this members choose among stewards."""
        return self._me.since, self._me.name

    def credits_of(self, member: "SimMember") -> int:
        group = self._dispatch.groups.get(member.group)
        return group.matcher.credits_of(member.process.name) if group else 0

    def held_by(self, member: "SimMember") -> set[tuple[str, int]]:
        """Return what it takes the member to hold."""
        held = self._tools.attempts.held_by(member.process.name)
        return {(one.task, one.attempt) for one in held}


class SimWires(Wires):
    """Wires to the model, for one process."""

    def __init__(self, fleet: World, process: Process) -> None:
        self._fleet = fleet
        self._process = process

    def new(self) -> Wire:
        return SimWire(self._fleet.server, self._process)

    def blocking(self) -> BlockingWire:
        return BlockingSimWire(self._fleet.server, self._process, self._fleet.loop)

    def stream(self, group: str, *_: Any) -> Stream:
        return SimStream(self._fleet.server, self._process, group)


class SimOnLoop(OnLoop):
    """There are no other threads: what they would wait for is done at once."""

    def __init__(self, fleet: World, process: Process) -> None:
        super().__init__(fleet.loop)
        self._process = process

    def wait(self, call: Callable[[], object], _seconds: float) -> bool:
        token = running.set(self._process)
        call()
        running.reset(token)
        return True


class SimMember(member.Member):
    """A member without pages and threads: its heartbeats and its drain run on the loop."""

    def __init__(self, fleet: World, name: str, slots: int, group: str) -> None:
        self.process = Process(name)
        self.group = group
        self.journal = Kept(name)
        #: When bodies began, and how many run.
        self.begun: list[float] = []
        self._bodies = 0
        self._fleet = fleet
        registry = Registry()

        async def work(_: Context, cost: float) -> float:
            self.begun.append(fleet.loop.seconds)
            self._bodies += 1
            if self._bodies > slots:
                fleet.findings.append(f"no more bodies run than slots: {self._bodies} in {name}")
            try:
                await asyncio.sleep(cost)
            finally:
                self._bodies -= 1
            return cost

        registry.register(work)
        addresses = ",".join(f"steward:{port}" for port in PORTS)
        env = {"WORKER_SLOTS": str(slots), "WORKER_LEASE": f"{LEASE:g}", "WORKER_DRAIN": "1",
               "WORKER_STEWARD": addresses, "WORKER_GROUP": group}  # fmt: skip
        own: Any = SimpleNamespace(came=_Signals(fleet.loop))
        wires, on_loop = SimWires(fleet, self.process), SimOnLoop(fleet, self.process)
        super().__init__(load(Settings, env), registry, self.journal, own, wires, on_loop)
        self._heartbeat_process.__exit__()  # else each round of heartbeats starts a real process
        fleet.loop.spawn(self.process, self._live())

    def attempts(self) -> list[Attempt]:
        return self._runner.table.held()

    def holds(self) -> set[tuple[str, int]]:
        return {(one.task, one.version) for one in self.attempts()}

    @property
    def free(self) -> int:
        return self._runner.intake.free

    async def _live(self) -> None:
        working = asyncio.create_task(self._runner.run())
        while not working.done():
            await asyncio.sleep(self._heartbeats.interval)
            self.send()

    def send(self) -> None:
        """Send heartbeats; no body runs any more whose lease has run out on the server."""
        if self._heartbeats.send():
            return
        self._fleet.server.tick()
        held = {(one.task, one.version) for one in self.attempts() if not one.lease.writing}
        if kept := held & self._fleet.server.lapsed:
            why = "a lease is let go no later than on the server"
            self._fleet.findings.append(f"{why}: {self.process.name}, {kept}")

    def drain(self) -> None:
        """Stop in order. To be called outside of the loop, which runs on meanwhile."""
        with patch.object(drain, "time", _Clock(self._fleet.loop)):
            self._drain.run()
        self._fleet.loop.run_for(member.LOOP_END_SECONDS)
        self.process.kill()

    def _close(self) -> None:
        """There is no process to end."""


class _Signals(queue.SimpleQueue[str]):
    """The first signal is there, no second one comes; waiting for it lets the loop run."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._come = False

    def get(self, *_: Any, timeout: float | None = None) -> str:
        if not self._come:
            self._come = True
            return "SIGTERM"
        self._loop.run_for(timeout or 0.0)
        raise queue.Empty


class _Clock:
    """`time` for a thread: sleeping lets the loop run."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.monotonic = loop.time

    def sleep(self, seconds: float) -> None:
        self._loop.run_for(seconds)
