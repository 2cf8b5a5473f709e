"""A fleet as processes of this machine: server, stewards and members, each with a log and journal.

It knows nothing of strikes: it starts, scales, restarts and ends. `chaos.processes` strikes it;
`fleet demo` and `fleet up` run on it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from resonate_fleet.chaos.child import Child, StartFailed, ended, room_command, run_client
from resonate_fleet.chaos.gate import Gate
from resonate_fleet.chaos.place import until
from resonate_fleet.chaos.ports import HOST, SCRAPED, Ports, free_port, write_targets
from resonate_fleet.chaos.shape import OPT_IN, LocalProcess, Shape, server_env, worker_env
from resonate_fleet.contract.loops import cancel
from resonate_fleet.contract.run import RunFolder
from resonate_fleet.contract.wire import Unreachable, Wire

#: Longest wait for a process to say that it is ready, in seconds: a cold, busy machine's start.
READY_SECONDS: Final = 30.0
#: A process that ended by itself is started again after this, as container platforms do.
RESTART_SECONDS: Final = 0.1
#: Longest wait for a given server to answer, in seconds.
ANSWER_SECONDS: Final = 5.0


class LocalFleet:
    """Starts a fleet on entering and ends it on leaving, whatever happened in between.

    Logs go to `folder.logs`, journals to `folder.journal`; `folder.targets` says where to scrape.
    `on_change` is called after each start and end of a process.
    """

    def __init__(self, shape: Shape, root: Path, ports: Ports | None = None) -> None:
        self.shape = shape
        self.folder = RunFolder(root)
        self.members: dict[str, LocalProcess] = {}
        self.server: Child | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.ports = ports or Ports()
        first = LocalProcess("steward-1", self.ports.steward, self.ports.presence)
        others = range(2, shape.stewards + 1)
        more = [LocalProcess(f"steward-{n}", presence=free_port()) for n in others]
        self.stewards = [first, *more] if shape.stewards else []
        #: Gets a line for people where a process ended and is started again.
        self.say: Callable[[str], None] = lambda _: None
        #: What could not be started again.
        self.failures: list[str] = []
        self._gates = AsyncExitStack()

    @property
    def url(self) -> str:
        return self.shape.server or f"http://{HOST}:{self.ports.server}"

    @property
    def steward_url(self) -> str | None:
        """Where the first steward serves metrics and probes."""
        return self.stewards[0].url if self.stewards else None

    async def __aenter__(self) -> Self:
        if self.shape.server is not None:
            async with Wire(self.shape.server, self.shape.token) as wire:
                await wire.wait_ready(ANSWER_SECONDS)
        self.folder.logs.mkdir(parents=True, exist_ok=True)
        self.folder.journal.mkdir(parents=True, exist_ok=True)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start(self) -> None:
        self._scrape_nothing()
        if self.shape.server is None:
            await self.start_server()
            write_targets(self.folder.targets, "server", [(self.ports.server_metrics, {})])
        for one in self.stewards:  # one after the other: the first is the longest-standing
            await self._launch_steward(one)
            one.keeping = asyncio.create_task(self.keep(one))
        write_targets(self.folder.targets, "steward", [(one.port, {}) for one in self.stewards])
        await self.scale(self.shape.members)

    def _changed(self) -> None:
        """Write the scrape targets anew: members came or went. One that restarts stays a target."""
        group = self.shape.group
        ports = [(one.port, {"pod": name, "group": group}) for name, one in self.members.items()]
        write_targets(self.folder.targets, "worker", ports)
        self.on_change()

    def _scrape_nothing(self) -> None:
        for job in SCRAPED:
            write_targets(self.folder.targets, job, ())

    async def keep(self, one: LocalProcess) -> None:
        """Start the process again whenever it ends, a member where the shape wants that."""
        steward = one in self.stewards
        try:
            while one.child is not None:
                code = await one.child.wait()
                one.member = ""
                self._changed()
                if not steward and not self.shape.restart:
                    return
                self.say(f"{one.name} {ended(code)} and is started again")
                await asyncio.sleep(RESTART_SECONDS)
                await (self._launch_steward(one) if steward else self._launch_member(one))
                self._changed()
        except Exception as failed:  # noqa: BLE001 - whatever it is, nobody else would say it
            self.failures.append(str(failed) or repr(failed))

    # The server.

    async def start_server(self) -> None:
        """Start our server, on the same ports and store each time, and wait until it answers.

        Raises:
            StartFailed: it ended, or did not answer in time.
        """
        env = server_env(self.shape, self.ports.server, self.ports.server_metrics)
        store = self.shape.store or self.folder.root / "store.db"
        if self.shape.server_bin:
            env["RESONATE_STORAGE__SQLITE__PATH"] = str(store)
            command = [self.shape.server_bin, "serve"]
        else:
            command = room_command("server", "--store", str(store))
        self.server = Child("server", command, env, self.folder.logs / "server.log")
        end = asyncio.get_running_loop().time() + READY_SECONDS
        async with Wire(self.url, self.shape.token, timeout=2.0) as wire:
            while self.server.running and asyncio.get_running_loop().time() < end:
                with suppress(Unreachable):
                    await wire.wait_ready(0.2)
                    return
        code = self.server.exit_code
        what = f"does not answer in {READY_SECONDS:g} s" if code is None else ended(code)
        raise StartFailed(f"the server {what}\n{self.server.tail()}".rstrip())

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
        return f"process {old.pid} {ended(code)}, now {self.server.pid}"

    # Stewards.

    async def _launch_steward(self, one: LocalProcess) -> None:
        env = {
            "RESONATE_URL": self.url,
            "STEWARD_NAME": one.name,
            "STEWARD_HOST": HOST,
            "STEWARD_PORT": str(one.port),
            "STEWARD_PRESENCE_PORT": str(one.presence),
            "STEWARD_GROUPS": self.shape.group,
            "STEWARD_STATE": str(self.folder.root / f"{one.name}.json"),
            "STEWARD_JOURNAL": str(self.folder.journal),
            "STEWARD_LOG_FORMAT": "json",
            **self.shape.secrets,
            **self.shape.steward_env,
        }
        if peers := [other.url for other in self.stewards if other is not one]:
            env["STEWARD_CONSOLE_PEERS"] = ",".join(peers)
        log = self.folder.logs / f"{one.name}.log"
        one.child = Child(one.name, room_command("steward"), env, log)
        started = await one.child.line("steward.started", READY_SECONDS)
        one.since = float(started["at"])

    def serving(self) -> LocalProcess | None:
        """Return the longest-standing steward: members offer it their slots."""
        running = [one for one in self.stewards if one.running]
        return min(running, key=lambda one: one.since, default=None)

    # Members.

    async def scale(self, members: int) -> None:
        """Start or end members (in order, newest first) until there are `members`."""
        surplus = list(self.members.values())[members:]
        await asyncio.gather(*(self._remove(one) for one in reversed(surplus)))
        missing = range(len(self.members), members)
        await asyncio.gather(*(self._add() for _ in missing))

    async def _add(self) -> None:
        """Start one more member and wait until it is ready."""
        numbers = (n for n in range(1, 10_000) if f"worker-{n}" not in self.members)
        one = LocalProcess(f"worker-{next(numbers)}")
        self.members[one.name] = one  # takes the name before the first wait
        try:
            if self.shape.gates:  # before the server and each steward, in this order
                target = urlsplit(self.url)
                gates = [Gate(target.hostname or HOST, target.port or 80)]
                gates += [Gate(HOST, steward.presence) for steward in self.stewards]
                one.gates = [await self._gates.enter_async_context(gate) for gate in gates]
            await self._launch_member(one)
        except BaseException:
            self.members.pop(one.name, None)
            if one.child is not None:
                await one.child.kill()
            raise
        one.keeping = asyncio.create_task(self.keep(one))
        self._changed()

    async def _remove(self, one: LocalProcess) -> None:
        """End a member in order (SIGTERM) for good."""
        self.members.pop(one.name)
        await _let_go(one)
        if one.child is not None:  # if chaos froze it, chaos thaws it
            await one.child.stop(self.shape.drain + 10, thaw=False)
        self._changed()

    async def _launch_member(self, one: LocalProcess) -> None:
        url, ports = self.url, [steward.presence for steward in self.stewards]
        if one.gates:
            url = f"http://{HOST}:{one.gates[0].port}"
            ports = [gate.port for gate in one.gates[1:]]
        presence = ",".join(f"{HOST}:{port}" for port in ports)
        env = {
            **worker_env(self.shape, one.name, one.port, self.folder.journal),
            "RESONATE_URL": url,
            "WORKER_STEWARD": presence,
            **OPT_IN,
            **self.shape.worker_env,
        }
        one.member = ""
        log = self.folder.logs / f"{one.name}.log"
        child = one.child = Child(one.name, room_command("member"), env, log)
        ready = await child.line("member.ready", READY_SECONDS)
        one.member, one.since = str(ready["who"]), float(ready["at"])

    async def wait_since(self, one: LocalProcess, since: float) -> None:
        """Wait until the process has been started again and is ready, since `since`.

        Raises:
            PlaceFailed: not within the usual time of a start.
        """
        seconds = READY_SECONDS + self.shape.drain
        again = f"another start of {one.name}"
        await until(lambda: one.running and one.since > since, seconds, again)

    # The client.

    async def submit(self, options: Sequence[str]) -> None:
        """Run the client; its journal goes to the run folder.

        Raises:
            PlaceFailed: it failed.
        """
        env = {
            "RESONATE_URL": self.url,
            "CLIENT_JOURNAL": str(self.folder.journal),
            "CLIENT_LOG_FORMAT": "json",
            **self.shape.token_env,
        }
        await run_client(options, env, self.folder.logs / "client.log")

    # The end.

    async def stop(self) -> None:
        """End everything: members in order first, so that their journals are whole."""
        members = list(self.members.values())
        for gate in (gate for one in members for gate in one.gates):
            gate.open_door()
        await _let_go(*members, *self.stewards)
        drain = self.shape.drain + 5
        await asyncio.gather(*(one.child.stop(drain) for one in members if one.child is not None))
        for one in self.stewards:
            if one.child is not None:
                await one.child.stop(10)
        if self.server is not None:
            await self.server.stop(10)
        self.members.clear()
        self._scrape_nothing()
        await self._gates.aclose()


async def _let_go(*processes: LocalProcess) -> None:
    """Start them no more: whoever calls ends them."""
    await cancel(one.keeping for one in processes if one.keeping is not None)
