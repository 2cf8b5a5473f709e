"""A fleet as processes of this machine: server, steward and members, each with a log and journal.

Knows nothing of strikes: it starts, scales, restarts and ends. `chaos.local` strikes it, and the
`fleet` command runs its demo and `fleet up` on it.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from resonate_fleet.chaos import targets
from resonate_fleet.chaos.child import Child, StartFailed, room_command
from resonate_fleet.chaos.gate import Gate
from resonate_fleet.chaos.member import LocalMember
from resonate_fleet.chaos.ports import HOST, Ports, free_port
from resonate_fleet.chaos.shape import (
    OPT_IN,
    Shape,
    client_env,
    server_env,
    worker_env,
)
from resonate_fleet.chaos.stewards import LocalSteward, Stewards
from resonate_fleet.contract.run import RunFolder
from resonate_fleet.contract.wire import Unreachable, Wire

#: Longest wait for a process to say that it is ready, in seconds: a cold, busy machine's start.
READY_SECONDS: Final = 30.0
#: A member that ended by itself is started again after this, as container platforms do.
RESTART_SECONDS: Final = 0.1


class LocalFleet:
    """Starts a fleet on entering and ends it on leaving, whatever happened in between.

    Logs go to `folder.logs`, journals to `folder.journal`; `folder.targets` says where to scrape.
    `on_change` is called after each start and end of a member.
    """

    def __init__(
        self,
        shape: Shape,
        root: Path,
        on_change: Callable[[], None] | None = None,
        ports: Ports | None = None,
    ) -> None:
        self.shape = shape
        self.folder = RunFolder(root)
        self.members: dict[str, LocalMember] = {}
        self.server: Child | None = None
        self.on_change = on_change or (lambda: None)
        self.ports = ports or Ports()
        first = LocalSteward("steward-1", self.ports.steward, self.ports.presence)
        self.stewards = Stewards(shape, self.folder, first)
        self._failures: list[str] = []
        self._restarters: dict[str, asyncio.Task[None]] = {}
        self._gates = AsyncExitStack()

    @property
    def failures(self) -> list[str]:
        """What could not be started again."""
        return self._failures + self.stewards.failures

    @property
    def url(self) -> str:
        return self.shape.server or f"http://{HOST}:{self.ports.server}"

    @property
    def server_metrics_url(self) -> str | None:
        """None for a server that was given: only its API address is known."""
        return None if self.shape.server else f"http://{HOST}:{self.ports.server_metrics}/metrics"

    @property
    def steward_url(self) -> str | None:
        """Where the first steward serves metrics and probes."""
        return self.stewards.all[0].url if self.stewards.all else None

    async def __aenter__(self) -> Self:
        self.folder.logs.mkdir(parents=True, exist_ok=True)
        self.folder.journal.mkdir(parents=True, exist_ok=True)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def _start(self) -> None:
        for job in targets.JOBS:
            targets.write(self.folder.targets, job, ())
        if self.shape.server is None:
            await self.start_server()
            self._scrape("server", self.ports.server_metrics)
        await self.stewards.start(self.url)
        self._scrape("steward", *(one.port for one in self.stewards.all))
        await self.scale(self.shape.members)

    def _changed(self) -> None:
        """Members came or went. One that starts again in its place is scraped all the while."""
        group = self.shape.group
        places = [(one.port, {"pod": name, "group": group}) for name, one in self.members.items()]
        found = [(f"{HOST}:{port}", labels) for port, labels in places]
        targets.write(self.folder.targets, "worker", found)
        self.on_change()

    def _scrape(self, job: str, *ports: int) -> None:
        targets.write(self.folder.targets, job, [(f"{HOST}:{port}", {}) for port in ports])

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # The server.

    async def start_server(self) -> None:
        """Start our server, on the same ports and store each time, and wait until it answers.

        Raises:
            StartFailed: it ended, or did not answer in time.
        """
        env = server_env(self.shape, self.ports.server, self.ports.server_metrics)
        store = self.shape.store or self.folder.root / "store.db"
        log = self.folder.logs / "server.log"
        if self.shape.server_bin:
            env["RESONATE_STORAGE__SQLITE__PATH"] = str(store)
            command = [self.shape.server_bin, "serve"]
        else:
            command = room_command("server", "--store", str(store))
        self.server = Child("server", command, env, log)
        await self._server_answers(self.server)

    async def _server_answers(self, server: Child) -> None:
        async with Wire(self.url, self.shape.token, timeout=2.0) as wire:
            end = asyncio.get_running_loop().time() + READY_SECONDS
            while True:
                with suppress(Unreachable):
                    await wire.wait_ready(0.2)
                    return
                late = asyncio.get_running_loop().time() >= end
                if late or not server.running:
                    raise StartFailed(f"the server does not answer:\n{server.tail()}")

    async def restart_server(self, away: float = 0.0) -> str:
        """Kill -9 the server and start it again on its store after `away` seconds.

        Returns what happened, in words.
        """
        if self.server is None:
            raise StartFailed("the server was given by its address; it is not ours to restart")
        old = self.server
        code = await old.kill()
        try:
            await asyncio.sleep(away)
        finally:  # also when the run is given up meanwhile
            await self.start_server()
        return f"process {old.pid} ended with {code}, now {self.server.pid}"

    # Members.

    async def scale(self, members: int) -> None:
        """Start or end members (in order, newest first) until there are `members`."""
        surplus = list(self.members.values())[members:]
        await asyncio.gather(*(self.remove(one.name) for one in reversed(surplus)))
        missing = range(len(self.members), members)
        await asyncio.gather(*(self.add() for _ in missing))

    async def add(self) -> LocalMember:
        """Start one more member and wait until it hears hints."""
        numbers = (n for n in range(1, 10_000) if f"worker-{n}" not in self.members)
        name = f"worker-{next(numbers)}"
        place = LocalMember(name, free_port())
        self.members[name] = place  # takes the name before the first wait
        try:
            await self._open_gates(place)
            await self._launch(place)
        except BaseException:
            self.members.pop(name, None)
            if place.child is not None:
                await place.child.kill()
            raise
        self._restarters[name] = asyncio.create_task(self._restart_always(place))
        self._changed()
        return place

    async def remove(self, name: str) -> int:
        """End a member in order (SIGTERM) for good; return its exit code."""
        place = self.members.pop(name)
        place.wanted = False
        await self._forget(name)
        code = 0
        if place.child is not None:  # if chaos froze it, chaos thaws it
            code = await place.child.stop(self.shape.drain + 10, thaw=False)
        self._changed()
        return code

    async def wait_replaced(self, name: str, old: str) -> LocalMember:
        """Wait until the place `name` is filled by another member than `old`, ready to work.

        Raises:
            StartFailed: not within the usual time of a start.
        """
        end = asyncio.get_running_loop().time() + READY_SECONDS + self.shape.drain
        while asyncio.get_running_loop().time() < end:
            place = self.members.get(name)
            if place is not None and place.member not in ("", old):
                return place
            await asyncio.sleep(0.02)
        raise StartFailed(f"{name} did not come back")

    async def _open_gates(self, place: LocalMember) -> None:
        if not self.shape.gates:
            return
        target = urlsplit(self.url)
        doors = [Gate(target.hostname or HOST, target.port or 80)]
        doors += [Gate(HOST, one.presence) for one in self.stewards.all]
        for door in doors:
            place.gates.append(await self._gates.enter_async_context(door))

    async def _launch(self, place: LocalMember) -> None:
        env = worker_env(self.shape, place.name, place.port, self.folder.journal)
        env |= self._addresses(place) | OPT_IN | dict(self.shape.worker_env)
        log = self.folder.logs / f"{place.name}.log"
        place.member = ""
        child = place.child = Child(place.name, room_command("member"), env, log)
        ready = await child.line("member.ready", READY_SECONDS)
        place.member = str(ready["who"])

    def _addresses(self, place: LocalMember) -> dict[str, str]:
        """Where the member finds server and steward: through its gates, if it has any."""
        url, ports = self.url, [one.presence for one in self.stewards.all]
        if place.gates:
            url = f"http://{HOST}:{place.gates[0].port}"
            ports = [gate.port for gate in place.gates[1:]]
        presence = ",".join(f"{HOST}:{port}" for port in ports)
        return {"RESONATE_URL": url, "WORKER_STEWARD": presence}

    async def _restart_always(self, place: LocalMember) -> None:
        """Start the member again whenever it has ended and is still wanted."""
        while place.child is not None:
            code = await place.child.wait()
            place.member = ""
            self._changed()
            if not place.wanted or not self.shape.restart:
                return
            self.stewards.ended(f"{place.name} ended with {code} and is started again")
            await asyncio.sleep(RESTART_SECONDS)
            try:
                await self._launch(place)
            except StartFailed as failed:
                self._failures.append(str(failed))
                return
            place.starts += 1
            self._changed()

    async def _forget(self, name: str) -> None:
        restarter = self._restarters.pop(name, None)
        if restarter is not None:
            restarter.cancel()
            await asyncio.gather(restarter, return_exceptions=True)

    # The client.

    async def client(self, *args: str, name: str = "client") -> Child:
        """Start `python -m resonate_fleet.submit args...`; its journal goes to the run folder."""
        env = client_env(self.shape, self.url, self.folder.journal)
        log = self.folder.logs / f"{name}.log"
        return Child(name, room_command("submit", *args), env, log)

    # The end.

    async def stop(self) -> None:
        """End everything: members in order first, so that their journals are whole."""
        places = list(self.members.values())
        for place in places:
            place.wanted = False
            for gate in place.gates:
                gate.open_door()
        for name in list(self._restarters):
            await self._forget(name)
        children = [place.child for place in places if place.child is not None]
        await asyncio.gather(*(child.stop(self.shape.drain + 5) for child in children))
        await self.stewards.stop()
        if self.server is not None:
            await self.server.stop(10)
        self.members.clear()
        for job in targets.JOBS:
            targets.write(self.folder.targets, job, ())
        await self._gates.aclose()
