"""The server of a simulated fleet: delays, losses, hints, and a record of what was done to it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.envelope import Raw
from resonate_fleet.contract.stream import Stream
from resonate_fleet.contract.wire import Unreachable, Wire
from resonate_fleet.contract.words import group_of
from tests.support.model import Model
from tests.support.virtual import Process, VirtualLoop, running

#: Seconds between two hints that the server sends in one tick.
BETWEEN_HINTS = 0.0001


@dataclass(frozen=True)
class Taken:
    """A lease that a steward took: released or halted."""

    steward: str
    kind: str
    task: str
    holder: str


class Server:
    """The model behind everybody's wire: delays, losses, hints, and a record of what was done."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.model = Model()
        self.streams: list[SimStream] = []
        self.taken: list[Taken] = []
        #: `(task, version)` of outcomes that were accepted, and of leases that ran out.
        self.accepted: set[tuple[str, int]] = set()
        self.lapsed: set[tuple[str, int]] = set()
        self._loop = loop
        self._sending = False
        self.random = random.Random(0)

    def tick(self) -> None:
        self.model.seconds = self._loop.seconds
        before = self._acquired()
        self.model.state.tick(self.model.now)
        self.lapsed |= before - self._acquired()
        self.send_soon()

    def _acquired(self) -> set[tuple[str, int]]:
        found = self.model.call("task.search", state="acquired", limit=1000)[1]["tasks"]
        return {(task["id"], task["version"]) for task in found}

    def answer(self, process: Process, body: bytes | str) -> Raw:
        self.model.seconds = self._loop.seconds
        asked = msgspec.json.decode(body)
        kind, data = asked["kind"], asked["data"]
        before = self._before(data) if kind in ("task.release", "task.halt") else {}
        found = self.model.post(body)
        if found.status == 200 and kind == "task.fulfill":
            self.accepted.add((data["id"], data["version"]))
        if found.status == 200 and before.get("state") == "acquired":
            self.taken.append(Taken(process.name, kind, data["id"], before["pid"]))
        self.send_soon()
        return found

    def _before(self, data: dict[str, Any]) -> dict[str, Any]:
        status, found = self.model.call("task.get", id=data["id"])
        return dict(found["task"]) if status == 200 else {}

    # Hints.

    def streams_of(self, process: Process) -> "list[SimStream]":
        return [one for one in self.streams if one.process is process]

    def send_soon(self) -> None:
        if not self._sending:
            self._sending = True
            self._loop.call_later(0.005, self._send)

    def _send(self) -> None:
        self._sending = False
        for number, message in enumerate(self.model.state.take_outgoing(100)):
            heard = [
                one
                for one in self.streams
                if one.group == group_of(message.address) and not one.process.dead
            ]
            if heard:
                one = self.random.choice(heard)
                after = number * BETWEEN_HINTS
                self._loop.call_later(after, partial(one.hear, message.kind, message.data))


class SimWire(Wire):
    """A wire of one process."""

    def __init__(self, server: Server, process: Process) -> None:
        super().__init__("http://model")
        self._server = server
        self._process = process

    async def post(self, body: str | bytes) -> Raw:
        process = self._process
        await asyncio.sleep(process.lag / 2)
        if process.dead:
            await asyncio.Event().wait()
        if process.deaf:
            raise Unreachable("model", "deaf")
        found = self._server.answer(process, body)
        await asyncio.sleep(process.lag / 2)
        _lose(process, body)
        return found


class BlockingSimWire(BlockingWire):
    """The same for a thread: the time that it takes passes for everybody."""

    def __init__(self, server: Server, process: Process, loop: VirtualLoop) -> None:
        super().__init__("http://model")
        self._server = server
        self._process = process
        self._loop = loop

    def post(self, body: bytes) -> Raw:
        self._loop.seconds += self._process.lag / 2
        if self._process.deaf or self._process.dead:
            raise Unreachable("model", "deaf")
        found = self._server.answer(self._process, body)
        self._loop.seconds += self._process.lag / 2
        _lose(self._process, body)
        return found


def _lose(process: Process, body: str | bytes) -> None:
    kind = msgspec.json.decode(body)["kind"]
    if kind in process.loses:
        process.loses.remove(kind)
        raise Unreachable("model", "the answer was lost")


class SimStream(Stream):
    """A stream of hints."""

    def __init__(self, server: Server, process: Process, group: str) -> None:
        super().__init__("http://model", None, lambda _: None, lambda _: None)
        self.group, self.process = group, process
        self._server = server
        self._message: Callable[[str], None] = lambda _: None

    async def run(self, message: Callable[[str], None]) -> None:
        self._message = message
        self._server.streams.append(self)
        self.connected = True
        self.opened.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.connected = False
            self._server.streams.remove(self)

    def hear(self, kind: str, data: dict[str, Any]) -> None:
        if self.process.dead or not self.connected:
            return
        token = running.set(self.process)
        try:
            self._message(msgspec.json.encode({"kind": kind, "data": data}).decode())
        finally:
            running.reset(token)
