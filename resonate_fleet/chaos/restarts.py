"""The processes of a local fleet, each started again when it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from resonate_fleet.chaos.child import Child
from resonate_fleet.chaos.gate import Gate
from resonate_fleet.chaos.ports import HOST, free_port

#: A process that ended by itself is started again after this, as container platforms do.
RESTART_SECONDS: Final = 0.1


@dataclass
class LocalProcess:
    """A member's process, or a steward's (`presence` is its port for members).

    It keeps its name and ports over restarts. `child` is the one that runs just now. `member` is
    that one's name on the server, another one at each start; empty until it is ready. `since` is
    when it was ready, in Unix seconds.
    """

    name: str
    port: int = field(default_factory=free_port)
    presence: int = 0
    child: Child | None = None
    member: str = ""
    since: float = 0.0
    gates: list[Gate] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it serves its pages."""
        return f"http://{HOST}:{self.port}"

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.running


#: Starts a process and returns when it is ready.
type Launch = Callable[[LocalProcess], Awaitable[None]]


class Restarts:
    """Starts processes again that end by themselves.

    `changed` is called after each end and start; `say` gets a line for people at each end.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.say: Callable[[str], None] = lambda _: None
        #: What could not be started again.
        self.failures: list[str] = []
        self._changed = changed
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def watch(self, one: LocalProcess, launch: Launch, *, again: bool) -> None:
        """Note when the process ends; launch it `again` unless it is forgotten."""
        self._tasks[one.name] = asyncio.create_task(self._watch(one, launch, again=again))

    async def _watch(self, one: LocalProcess, launch: Launch, *, again: bool) -> None:
        try:
            while one.child is not None:
                code = await one.child.wait()
                one.member = ""
                self._changed()
                if not again:
                    return
                self.say(f"{one.name} ended with {code} and is started again")
                await asyncio.sleep(RESTART_SECONDS)
                await launch(one)
                self._changed()
        except Exception as failed:  # noqa: BLE001 - whatever it is, nobody else would say it
            self.failures.append(str(failed) or repr(failed))

    async def forget(self, *names: str) -> None:
        """Leave these to whoever ends them."""
        tasks = [self._tasks.pop(name) for name in names if name in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
