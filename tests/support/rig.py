"""The SDK with the member's own parts around it, and the model behind them."""

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from resonate.context import Context

from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.settings import load
from resonate_fleet.contract.words import anycast
from resonate_fleet.member.attempts import Table
from resonate_fleet.member.bodies import Bodies
from resonate_fleet.member.claims import Claims
from resonate_fleet.member.ledger import Ledger
from resonate_fleet.member.metrics import Metrics
from resonate_fleet.member.registry import Registry
from resonate_fleet.member.sdk import build, quieten
from resonate_fleet.member.settings import Settings
from resonate_fleet.member.upstream import Channel
from resonate_fleet.member.writes import Writes
from tests.support.model import Model, ModelWire
from tests.support.waiting import wait_until_async


class HandIntake:
    """Gives the hints that the test gives, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        #: What a free slot does at once.
        self.at_ending: Callable[[], None] = lambda: None
        self._give: Callable[[str], None] = lambda _: None

    def unicast(self) -> str:
        return "poll://uni@worker-group/me"

    def resolve_target(self, target: str) -> str:
        return anycast(target)

    def recv(self, callback: Callable[[str], None]) -> None:
        self._give = callback

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    def hint(self, task: str, version: int) -> None:
        data = {"task": {"id": task, "version": version}}
        self._give(json.dumps({"kind": "execute", "data": data}))

    def granted(self, task: str) -> None:
        self.told.append(("granted", task))

    def refused(self, task: str) -> None:
        self.told.append(("refused", task))

    def done(self, task: str) -> None:
        self.told.append(("done", task))

    def avoid(self, task: str, needs: str) -> None:  # noqa: ARG002 - the test asks what, not why
        self.told.append(("avoid", task))

    def ending(self, task: str) -> bool:
        if ("ending", task) in self.told:
            return False
        self.told.append(("ending", task))
        self.at_ending()
        return True


class Lines:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, dict[str, Any]]] = []

    def log(self, level: int, event: str, **fields: Any) -> None:  # noqa: ARG002
        self.kept.append((event, fields))

    def of(self, action: str) -> list[dict[str, Any]]:
        return [fields for event, fields in self.kept if event == action]


class Rig:
    """The SDK with the member's own parts around it, and the model behind them."""

    def __init__(self, functions: Sequence[Callable[..., Any]] = (), **env: str) -> None:
        self.model, self.intake, self.lines = Model(), HandIntake(), Lines()
        self.registry, self.table = Registry(), Table()
        self.running: dict[str, asyncio.Event] = {}
        for one in (self.hold, fine, at_once, nap, misplaced, *functions):
            self.registry.register(one)
        metrics = Metrics(self.registry.functions, 1, "test")
        self.ledger = Ledger(Journal("me", log=self.lines), metrics)
        channel = Channel(ModelWire(self.model))
        intake: Any = self.intake
        writes = Writes(channel, self.table, self.ledger, intake)
        self.claims = Claims(channel, self.table, self.ledger, self.registry, writes, intake)
        settings, bodies = load(Settings, env), Bodies(over=self.intake.ending)
        quieten()
        self.sdk = build(settings, "me", self.claims, self.intake, self.ledger)
        self.registry.install(self.sdk, bodies)

    async def hold(self, _: Context, id: str) -> str:
        """Run until the test says so."""
        self.running[id] = asyncio.Event()
        await self.running[id].wait()
        return id

    def start(self, function: str, id: str = "job") -> str:
        call = json.dumps({"func": function, "args": [id]}).encode()
        self.model.job(id, {"data": base64.b64encode(call).decode()})
        self.intake.hint(id, 0)
        return id

    async def run(self, function: str, id: str = "job") -> dict[str, Any]:
        """Bring a job to its end, however many attempts that takes; return its promise."""
        self.start(function, id)
        for version in range(1, 10):
            await self.told("done", id)
            if (promise := self.model.promise(id))["state"] != "pending":
                return promise
            self.intake.told.clear()
            self.intake.hint(id, version)
        raise AssertionError(f"{id} does not end: {self.lines.of('job.ended')}")

    async def outcome(self, count: int = 1) -> str:
        """Wait for the end of `count` attempts; return the last outcome."""
        await self.line("job.ended", count)
        return str(self.lines.of("job.ended")[-1]["outcome"])

    async def line(self, action: str, count: int = 1) -> None:
        await wait_until_async(lambda: len(self.lines.of(action)) >= count, 5, action)

    async def told(self, what: str, task: str) -> None:
        await wait_until_async(lambda: (what, task) in self.intake.told, 5, f"{what} {task}")


def fine(_: Context, id: str) -> str:
    return id


async def at_once(_: Context, id: str) -> str:
    return id


async def nap(ctx: Context, id: str) -> str:
    await ctx.sleep(timedelta(seconds=60))
    return id


async def misplaced(ctx: Context, id: str) -> str:
    """Ask for a promise that the server refuses."""
    await ctx.options(target="nowhere://").rpc("fine", id)
    return id


def lose_once(kind: str) -> Callable[[str], bool]:
    left = [kind]

    def lose(sent: str) -> bool:
        return sent == kind and bool(left) and left.pop() == kind

    return lose
