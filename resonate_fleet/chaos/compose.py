"""The Compose place: a project of its own, made from compose.yaml for one run and taken down after.

Facts about Docker that the strikes rest on: `docker kill` and `docker stop` count as stops by
hand, after which a restart policy does nothing; a process killed inside its container is a crash,
after which it does. `kill -1` reaches every process of the user but the caller and process 1.
"""

import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from resonate_fleet.chaos.containers import (
    PROJECT_LABEL,
    READY_SECONDS,
    Container,
    Docker,
    Helper,
)
from resonate_fleet.chaos.faults import ON_MEMBER
from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.chaos.place import Adapter, PlaceFailed, Victim, until
from resonate_fleet.chaos.ports import free_port
from resonate_fleet.contract.faults import AT_THE_STEWARD, Fault
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.contract.words import DEFAULT_GROUP

#: Its functions are those that a scenario's jobs call.
WORKER_IMAGE: Final = "resonate-fleet/worker:0.1.0"
#: Runs in a steward's container, and prints whether that steward serves.
SERVES: Final = """
import json, urllib.request
print(json.load(urllib.request.urlopen("http://127.0.0.1:9465/state"))["serving"])
"""
#: Abilities that a helper process in the container carries out.
INSIDE: Final = {"kill", "signal", "run"}


class ComposePlace(Adapter[Container]):
    """Runs a plan on Docker Compose. Refuses a project that is up already: it is not ours."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._port = free_port()
        self._docker = Docker(project, {})
        self._ours = False
        self._known: dict[str, Container] = {}
        #: By a container's id and start.
        self._helpers: dict[tuple[str, str], Helper] = {}
        self._wants_helpers = False
        self._finding = asyncio.Lock()
        #: The serving one at the start, where it is going to be killed with a member.
        self._steward: Container | None = None
        #: What takes its time; `end_members` waits for it.
        self._later: set[asyncio.Task[None]] = set()
        self.url = f"http://127.0.0.1:{self._port}"

    @classmethod
    def chosen(cls, options: ChaosOptions) -> Self:
        return cls(options.project)

    async def start(self, plan: Plan, folder: RunFolder) -> None:
        env = {
            "SERVER_HOST_PORT": str(self._port),
            "STEWARD_HOST_PORT": str(free_port()),
            "WORKER_GROUP": DEFAULT_GROUP,
            "WORKER_IMAGE": WORKER_IMAGE,
            "WORKER_LEASE": f"{plan.lease:g}",
            "WORKER_SLOTS": str(plan.slots),
            # Store and tokens are as chosen in this folder; what else was chosen is not needed.
            "COMPOSE_PROFILES": "",
        }
        self._docker = Docker(self._project, env)
        if left := await self._docker.left():
            raise PlaceFailed(
                f"project {self._project} exists already ({left}); in a folder without Compose "
                f"files `docker compose -p {self._project} down -v` removes it"
            )
        self.token = await self._chosen_token()
        self._ours = True
        scales = (f"--scale=worker={plan.members}", f"--scale=steward={plan.stewards}")
        await self._docker.compose("up", "--detach", "--wait", *scales)
        if not plan.steward:
            await self._docker.compose("stop", "steward")
        folder.journal.mkdir(parents=True, exist_ok=True)
        await self._start_helpers({strike.fault for strike in plan.strikes})

    async def _start_helpers(self, faults: set[Fault]) -> None:
        """Start a helper in each container that may be struck, before there is any job."""
        on_member = faults & ON_MEMBER.keys()
        self._wants_helpers = any(not INSIDE.isdisjoint(ON_MEMBER[one].needs) for one in on_member)
        victims = await self._docker.containers("worker") if self._wants_helpers else []
        if on_member.intersection(AT_THE_STEWARD):
            self._steward = (await self.steward()).handle
            victims.append(self._steward)
        await asyncio.gather(*(self._helper(one) for one in victims if one.allowed))

    async def _helper(self, one: Container) -> Helper:
        start = (one.id, one.started)
        if start not in self._helpers:
            into = ("docker", "exec", "--interactive", one.id)
            self._helpers[start] = await Helper.start(one.name, *into)
        return self._helpers[start]

    async def _chosen_token(self) -> str | None:
        """Return the token that may search, where the server is going to ask for tokens."""
        config = json.loads(await self._docker.compose("config", "--format", "json"))
        if "RESONATE_AUTH__PUBLICKEY" not in config["services"]["server"]["environment"]:
            return None
        token = Path(config["secrets"]["steward-token"]["file"])
        return (await asyncio.to_thread(token.read_text, "utf-8")).strip()

    async def find(self, member: str) -> Victim[Container] | None:
        """A member's name begins with its replica's; its last part is of one start.

        What was found is remembered: at the strike one look makes sure that nothing changed.
        """
        async with self._finding:
            if member not in self._known:
                for one in await self._docker.containers("worker"):
                    since = ("logs", "--since", one.started, one.id)
                    named = member.startswith(f"{one.replica}-")
                    if named and member in await self._docker.run(*since, err=True):
                        if self._wants_helpers and one.allowed:
                            await self._helper(one)
                        self._known[member] = one
        known = self._known.get(member)
        return Victim(member, known) if known else None

    async def look_again(self, member: Victim[Container]) -> None:
        """A helper that still runs is proof enough: it ends when its container stops."""
        known = member.handle
        waits = self._helpers.get((known.id, known.started))
        if waits is None or not waits.alive:
            (one,) = await self._docker.inspect(known.id)
            self._check(one)
            if (one.status, one.started) != ("running", known.started):
                raise PlaceFailed(f"{one.name} is {one.status} and no longer {member.name}")

    def _check(self, one: Container) -> None:
        """Strike nothing of another project, nor what has not opted in."""
        if one.labels.get(PROJECT_LABEL) != self._project:
            raise PlaceFailed(f"{one.name} is not of project {self._project}")
        if not one.allowed:
            raise PlaceFailed(f"{one.name} has not opted in")

    async def steward(self) -> Victim[Container]:
        known = self._steward
        if known is not None and self._helpers[known.id, known.started].alive:
            return Victim(known.name, known)
        found: list[Container] = []

        async def serves() -> bool:
            stewards = await self._docker.containers("steward")
            inside = ("python", "-Ic", SERVES)
            says = [await self._docker.run("exec", one.id, *inside) for one in stewards]
            found.extend(one for one, word in zip(stewards, says, strict=True) if word == "True")
            return bool(found)

        await until(serves, READY_SECONDS, "a steward that serves")
        self._check(found[0])
        await self._helper(found[0])  # now, as it may be killed in one instant with a member
        return Victim(found[0].name, found[0])

    async def server(self) -> Victim[Container]:
        found = await self._docker.containers("server")
        if len(found) != 1:
            raise PlaceFailed(f"{len(found)} server containers are up just now")
        self._check(found[0])
        return Victim("server", found[0])

    def addresses(self) -> dict[str, str]:
        port = self._docker.env["STEWARD_HOST_PORT"]
        return {"RESONATE_URL": self.url, "FLEET_STEWARD_URL": f"http://127.0.0.1:{port}"}

    async def submit(self, options: list[str]) -> None:
        await self._docker.compose("run", "--rm", "--no-deps", "-T", "client", *options)

    async def kill(self, victim: Victim[Container]) -> str:
        """`kill -9` of all inside."""
        if victim.name != "server":
            return await self.signal(victim, signal.SIGKILL)
        with suppress(PlaceFailed):  # its image has no Python, and the shell dies with it
            await self._docker.run("exec", victim.handle.id, "sh", "-c", "kill -9 -1")
        return f"kill -9 inside {victim.handle.name}"

    async def replace(self, victim: Victim[Container]) -> str:
        """`kill -9` of all inside, after which its restart policy starts it."""
        answer = await self.kill(victim)
        await self._docker.healthy(victim.handle, after=victim.handle.started)
        return answer

    async def terminate(self, member: Victim[Container]) -> str:
        """`docker stop`, then `start`."""
        self._later.add(asyncio.create_task(self._docker.stop_and_start(member.handle)))
        return f"docker stop {member.handle.name}"

    async def signal(self, member: Victim[Container], number: signal.Signals) -> str:
        """To all inside."""
        await self.run(member, f"import os, signal; os.kill(-1, signal.{number.name})")
        return f"{number.name} inside {member.handle.name}"

    async def run(self, member: Victim[Container], code: str) -> bool:
        """Inside the container."""
        return await (await self._helper(member.handle)).run(code)

    async def cut_off(self, member: Victim[Container]) -> str:
        """Off the network."""
        await self._docker.run("network", "disconnect", self._backend, member.handle.id)
        return f"{member.handle.name} left {self._backend}"

    async def connect(self, member: Victim[Container]) -> str:
        """Back on the network."""
        network = ("network", "connect", "--alias", "worker", self._backend)
        await self._docker.run(*network, member.handle.id)
        return f"back on {self._backend}"

    async def take_away(self, victim: Victim[Container], seconds: float) -> str:
        """`docker kill`, then `start`."""
        one = victim.handle
        await self._docker.run("kill", one.id)  # by hand, which no restart policy undoes
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._docker.run("start", one.id)
        return f"docker kill {one.name}, docker start after {seconds:g} s"

    async def restart_members(self) -> str:
        """Stopped, started, healthy, then the next."""
        members = await self._docker.containers("worker")
        for one in members:
            self._check(one)
            await self._docker.stop_and_start(one)
            await self._docker.healthy(one)
        return f"{len(members)} replicas stopped and started, one at a time"

    async def scale(self, members: int) -> str:
        """`up --scale`."""
        # Only new ones are waited for: an old one may be under a strike just then.
        before = {one.id for one in await self._docker.containers("worker", all=True)}
        scale = ("--scale", f"worker={members}")
        await self._docker.compose("up", "--detach", "--no-deps", "--no-recreate", *scale, "worker")
        replicas = await self._docker.containers("worker")
        await asyncio.gather(
            *(self._docker.healthy(one) for one in replicas if one.id not in before)
        )
        return f"{len(replicas)} replicas are up"

    async def end_members(self) -> None:
        """Stop them when all are healthy: one that has just begun may miss the signal to stop."""
        await asyncio.gather(*self._later)
        self._later.clear()
        for one in await self._docker.containers("worker"):
            with suppress(PlaceFailed):
                await self._docker.healthy(one)
        await self._docker.compose("stop", "worker")

    async def collect(self, folder: RunFolder) -> None:
        (steward, *_) = await self._docker.containers("steward", all=True)
        await self._docker.run("cp", f"{steward.id}:/journal/.", str(folder.journal))
        folder.logs.mkdir(parents=True, exist_ok=True)
        log = await self._docker.compose("logs", "--timestamps")
        await asyncio.to_thread((folder.logs / "compose.log").write_text, log, "utf-8")

    async def stop(self) -> None:
        if not self._ours:
            return
        self._ours = False
        for task in self._later:
            task.cancel()
        for helper in self._helpers.values():
            await helper.close()
        await self._docker.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    @property
    def _backend(self) -> str:
        return f"{self._project}_backend"


ADAPTER: Final = ComposePlace
