"""A steward's tools in virtual time: a server that is a table, a journal that is a list."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, cast

from msgspec.structs import replace

from resonate_fleet.contract.journal import Line
from resonate_fleet.contract.presence import Holding
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.wire import Reply, Task, Unreachable, Wire
from resonate_fleet.steward.attempts import attempt_of
from resonate_fleet.steward.metrics import Meters
from resonate_fleet.steward.state_file import Memory, StateFile
from resonate_fleet.steward.tools import Tools
from tests.support.virtual import VirtualLoop

#: Unix seconds at which everything begins.
START = 1000.0


class TableServer:
    """Answers after `lag` seconds, unless it is `away`. `asked` is what it did."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.asked: list[tuple[str, str]] = []
        self.lag = 0.0
        self.away = False
        self.why: Exception = Unreachable("server", "away")

    def holds(self, id: str, member: str, version: int = 1, state: str = "acquired") -> Task:
        self.tasks[id] = Task(id=id, state=state, version=version, pid=member)
        return self.tasks[id]

    async def _answer(self, kind: str, id: str) -> None:
        await asyncio.sleep(self.lag)
        if self.away:
            raise self.why
        self.asked.append((kind, id))

    async def task(self, id: str) -> Task | None:
        await self._answer("task.get", id)
        return self.tasks.get(id)

    async def all_tasks(self, state: str) -> AsyncIterator[Task]:
        await self._answer("task.search", state)
        for one in [one for one in self.tasks.values() if one.state == state]:
            yield one

    async def release(self, id: str, version: int) -> bool:
        await self._answer("task.release", id)
        return self._change(id, "pending", ("acquired", version))

    async def call(self, kind: str, data: Mapping[str, Any], accept: tuple[int, ...]) -> Reply:
        await self._answer(kind, data["id"])
        found = self.tasks.get(data["id"])
        before = ("halted" if kind == "task.continue" else "acquired", found and found.version)
        ok = self._change(
            data["id"], {"task.halt": "halted", "task.continue": "pending"}[kind], before
        )
        assert ok or 409 in accept
        return Reply(kind=kind, status=200 if ok else 409, data=None)

    def _change(self, id: str, state: str, before: tuple[str, Any]) -> bool:
        task = self.tasks.get(id)
        if task is None or (task.state, task.version) != before:
            return False
        self.tasks[id] = replace(task, state=state, pid=None)
        return True


class ListJournal:
    """Keeps lines with the level that they were logged at."""

    def __init__(self) -> None:
        self.lines: list[tuple[Line, int]] = []

    def write(self, line: Line, level: int = 20) -> None:
        self.lines.append((line, level))


class CountingFile(StateFile):
    """Keeps nothing, and counts how often it was to."""

    def __init__(self) -> None:
        super().__init__(None)
        self.saves = 0

    def save(self, memory: Memory) -> None:  # noqa: ARG002 - as in the base
        self.saves += 1


class Stage:
    """`tools` over all that."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.server = TableServer()
        self.journal = ListJournal()
        self.file = CountingFile()
        self.meters = Meters()
        self.tools = Tools(
            cast("Wire", self.server),
            cast("Journal", self.journal),
            self.meters,
            file=self.file,
            now=lambda: round(START + self.loop.time(), 6),
        )
        self.attempts = self.tools.attempts

    def close(self) -> None:
        self.loop.end()

    def do[T](self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        self.loop.create_task(work)

    def claimed(self, task: str, member: str, number: int = 1) -> None:
        """The member has told that it claimed the task, and the server knows it."""
        self.server.holds(task, member, number)
        self.attempts.claimed(attempt_of(Holding(task, number, "f", START), "g", member))

    def at(self) -> float:
        return round(self.loop.time(), 6)

    def lines(self, *kinds: type[Line]) -> list[Line]:
        return [line for line, _ in self.journal.lines if isinstance(line, kinds or Line)]

    def count(self, name: str, **labels: str) -> float:
        value = self.meters.registry.get_sample_value(f"fleet_steward_{name}", labels)
        assert value is not None
        return value

    def marks(self) -> list[tuple[float, str, str | None, str | None]]:
        return [
            (round(one.at - START, 6), one.kind, one.member, one.job) for one in self.attempts.marks
        ]
