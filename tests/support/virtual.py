"""An event loop in virtual time, with a network of its own: nothing waits, nothing is random.

Each callback runs at the time that it was planned for. Tasks know the process that they belong
to, so that a process can be killed: nothing of it runs on, and its peers see the connection end.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

#: Seconds that bytes are on their way between two processes.
WAY = 0.0004


@dataclass(eq=False)
class Process:
    """What runs together and dies together. `lag` delays its requests to the server, in seconds."""

    name: str
    dead: bool = False
    lag: float = 0.001
    #: Its requests do not reach the server.
    deaf: bool = False
    #: Kinds of requests whose next answer is lost.
    loses: list[str] = field(default_factory=list)
    tasks: set["asyncio.Task[Any]"] = field(default_factory=set)
    ends: set["End"] = field(default_factory=set)
    #: Addresses that it cannot reach.
    cut_off: set[int] = field(default_factory=set)

    def kill(self) -> None:
        """End the process as SIGKILL does: it says nothing more."""
        self.dead = True
        for end in list(self.ends):
            end.vanish()
        for task in list(self.tasks):
            task.cancel()


running: ContextVar[Process | None] = ContextVar("running", default=None)


class _Jump(selectors.SelectSelector):
    """Nothing is ever ready: the time until the next timer passes at once."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing will ever happen again"
        self._loop.seconds += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`seconds` is the time; who calls something slow moves it on."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ports: dict[int, tuple[Process, Callable[[], asyncio.Protocol]]] = {}
        super().__init__(_Jump(self))
        self.set_task_factory(_owned)
        self.errors: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self.seconds

    def run_for(self, seconds: float) -> None:
        self.run_until_complete(asyncio.sleep(seconds))

    def end(self) -> None:
        """Cancel what still runs. Nothing may have failed where nobody heard of it."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.run_for(0.01)
        self.close()
        assert self.errors == []

    def spawn(self, process: Process, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run `work` as part of a process."""
        token = running.set(process)
        try:
            return self.create_task(work)
        finally:
            running.reset(token)

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (host, port))]

    async def create_server(  # type: ignore[override]  # what is passed here
        self, factory: Any, _host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        process = running.get()
        assert process is not None
        self.ports[int(port)] = (process, factory)
        return _Listening(self, int(port), process)

    async def create_connection(  # type: ignore[override]  # the same
        self, factory: Any, _host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        await asyncio.sleep(WAY)
        caller = running.get()
        assert caller is not None
        there = self.ports.get(port)
        if there is None or there[0].dead or port in caller.cut_off:
            raise ConnectionRefusedError(port)
        mine, theirs = End(self, caller, port), End(self, there[0], port)
        mine.peer, theirs.peer = theirs, mine
        for end, make in ((mine, factory), (theirs, there[1])):
            end.protocol = end.inside(make)
            end.inside(end.protocol.connection_made, end)
        return mine, mine.protocol


class _Listening:
    def __init__(self, loop: VirtualLoop, port: int, process: Process) -> None:
        self.sockets: list[Any] = []
        self._loop = loop
        self._port = port
        self._process = process

    def close(self) -> None:
        if self._loop.ports[self._port][0] is self._process:  # else another listens there by now
            del self._loop.ports[self._port]


class _Socket:
    """What options are set on."""

    def setsockopt(self, *_: Any) -> None: ...


class End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, loop: VirtualLoop, process: Process, port: int) -> None:
        super().__init__()
        self.protocol: Any = None
        self.peer: End
        self.port = port
        self._loop = loop
        self._process = process
        self._closed = False
        #: What is on its way to the peer. Timers of one time go off in any order, these may not.
        self._sent: deque[Callable[[], None]] = deque()
        process.ends.add(self)

    def inside(self, call: Callable[..., Any], *args: Any) -> Any:
        """Call as this end's process."""
        token = running.set(self._process)
        try:
            return call(*args)
        finally:
            running.reset(token)

    def write(self, data: Any) -> None:
        if not self._closed and not self._process.dead:
            self._send(partial(self.peer.arrive, bytes(data)))

    def _send(self, arrives: Callable[[], None]) -> None:
        self._sent.append(arrives)
        self._loop.call_later(WAY, self._arrive)

    def _arrive(self) -> None:
        self._sent.popleft()()

    def arrive(self, data: bytes) -> None:
        if not self._closed and not self._process.dead:
            self.inside(self.protocol.data_received, data)

    def is_closing(self) -> bool:
        return self._closed

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return _Socket() if name == "socket" else default

    def close(self) -> None:
        """Close in order: what was written arrives before."""
        self.vanish()
        self._loop.call_soon(self.lose)

    abort = close

    def vanish(self) -> None:
        """End without another word of this end's process; the peer sees it a moment later."""
        if not self._closed:
            self._send(self.peer.ended)
        self._closed = True
        self._process.ends.discard(self)

    def ended(self) -> None:
        if not self._closed:
            self._closed = True
            self._process.ends.discard(self)
            self.lose()

    def lose(self) -> None:
        if not self._process.dead:
            self.inside(self.protocol.connection_lost, None)

    def cut(self, *, late: float) -> None:
        """Break the connection; the other side notices so many seconds later."""
        self._closed = True
        self._process.ends.discard(self)
        self._loop.call_soon(self.lose)
        self._loop.call_later(late, self.peer.ended)


def _owned(loop: Any, work: Any, **more: Any) -> "asyncio.Task[Any]":
    task = asyncio.Task(work, loop=loop, **more)
    process = running.get()
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task
