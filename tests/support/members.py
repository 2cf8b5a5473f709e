"""A member made by hand: a presence connection and claims, each under the test's control."""

import asyncio
import time
from contextlib import suppress
from typing import Any, Self

import msgspec

from resonate_fleet.contract.presence import (
    Assign,
    Beat,
    Bye,
    Challenge,
    FromMember,
    FromSteward,
    Hello,
    Released,
    Report,
    Welcome,
    decode_steward,
    line,
    prove,
)
from resonate_fleet.contract.wire import Task, Unreachable, Wire
from resonate_fleet.contract.words import DEFAULT_GROUP, TAG_TARGET, anycast


async def submit(wire: Wire, job: str, group: str = DEFAULT_GROUP, **tags: str) -> None:
    """Create a job that any member of `group` may claim."""
    all_tags = {TAG_TARGET: anycast(group)} | {key.replace("__", ":"): v for key, v in tags.items()}
    soon = int((time.time() + 600) * 1000)
    await wire.create_promise(job, soon, {"func": "by_hand", "args": []}, all_tags)


async def claim(wire: Wire, job: str, pid: str, ttl: float = 60.0) -> Task:
    """Claim `job` as it stands; `ttl` in seconds."""
    task = await wire.task(job)
    assert task is not None, f"no task {job}"
    data = {"id": job, "version": task.version, "pid": pid, "ttl": int(ttl * 1000)}
    reply = await wire.call("task.acquire", data)
    return msgspec.convert(reply.data["task"], Task)


async def fulfil(wire: Wire, job: str, version: int, value: Any) -> int:
    """Write a result under `version`; return the server's status."""
    settle = {"id": job, "state": "resolved", "value": {"data": value}}
    action = {"kind": "promise.settle", "head": {"corrId": "x", "version": ""}, "data": settle}
    data = {"id": job, "version": version, "action": action}
    return (await wire.call("task.fulfill", data, accept=(404, 409))).status


async def is_pending(wire: Wire, job: str) -> bool:
    """Tell whether a job waits; a server that is just coming back says nothing of it."""
    try:
        task = await wire.task(job)
    except Unreachable:
        return False
    return task is not None and task.state == "pending"


async def freed(wire: Wire, job: str, timeout: float = 20.0) -> None:  # noqa: ASYNC109
    """Wait until `job` is pending, `timeout` seconds at most."""
    end = time.monotonic() + timeout
    while not await is_pending(wire, job):
        assert time.monotonic() < end, f"{job} is not free again after {timeout:g} s"
        await asyncio.sleep(0.02)


class HandMember:
    """Says hello on entering; `vanish` ends its presence as the death of a process would.

    It offers one slot, as all do whose steward is to look after them. `assigned` keeps what it is
    given for it.
    """

    def __init__(
        self,
        port: int,
        name: str,
        group: str = DEFAULT_GROUP,
        slots: int = 4,
        *,
        offers: int = 1,
        secret: str | None = None,
        incarnation: str = "",
        functions: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.port = port
        self._hello = Hello(
            member=name,
            group=group,
            slots=slots,
            incarnation=incarnation or name,
            functions=functions,
            nonce="n",
        )
        self._offers = offers
        self._secret = secret
        self.released: list[tuple[str, int]] | None = None
        self.assigned: list[tuple[str, int]] = []
        self.welcome: Welcome | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.vanish()

    async def connect(self) -> None:
        await self.vanish()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        challenge = await self.hear()
        assert isinstance(challenge, Challenge)
        proof = prove(self._secret, "member", challenge.nonce, self._hello)
        await self.say(msgspec.structs.replace(self._hello, proof=proof))
        welcome = await self.hear()
        assert isinstance(welcome, Welcome), welcome
        self.welcome = welcome
        if self._offers:
            await self.say(Report(free=self._offers))

    async def hear(self, timeout: float = 5.0) -> FromSteward:  # noqa: ASYNC109 - reads well
        """Return the steward's next message that is neither a beat nor an assignment."""
        while True:
            text = await asyncio.wait_for(self._reader.readline(), timeout)
            assert text, f"the steward has closed the connection of {self.name}"
            message = decode_steward(text)
            if isinstance(message, Assign):
                self.assigned += message.tasks
            elif not isinstance(message, Beat):
                break
        if isinstance(message, Released):
            self.released = message.tasks
        return message

    async def next_task(self, timeout: float = 5.0) -> tuple[str, int]:  # noqa: ASYNC109 - reads well
        """Return the next task that it is assigned."""
        async with asyncio.timeout(timeout):
            while not self.assigned:
                message = decode_steward(await self._reader.readline())
                if isinstance(message, Assign):
                    self.assigned += message.tasks
        return self.assigned.pop(0)

    async def claim(self, wire: Wire, job: str) -> Task:
        """Claim `job` as it stands, and tell the steward."""
        task = await claim(wire, job, self.name)
        await self.say(Report(claimed=[(job, task.version, "by_hand")]))
        return task

    async def vanish(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def leave(self) -> None:
        await self.say(Bye())
        await self.vanish()

    async def say(self, message: FromMember) -> None:
        assert self._writer is not None, f"{self.name} is not connected"
        self._writer.write(line(message))
        await self._writer.drain()
