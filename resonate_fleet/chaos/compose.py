"""The Compose place: a project of its own, made from compose.yaml for one run and taken down after.

Facts about Docker that the strikes rest on: `docker kill` and `docker stop` count as stops by
hand, after which a restart policy does nothing; a process killed inside its container is a crash,
after which it does. `kill -1` reaches every process of the user but the caller and process 1.
"""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from resonate_fleet.chaos.armed import Armed
from resonate_fleet.chaos.docker import PROJECT_LABEL, READY_SECONDS, Container, Docker
from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.chaos.place import Candidate, PlaceFailed, until, way
from resonate_fleet.chaos.ports import free_port
from resonate_fleet.contract.run import Fault, Plan, RunFolder
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import DEFAULT_GROUP

#: Its functions are those that a scenario's jobs call.
WORKER_IMAGE: Final = "resonate-fleet/worker:0.1.0"
#: Runs inside a steward.
SERVES: Final = """
import json, urllib.request
print(json.load(urllib.request.urlopen("http://127.0.0.1:9465/state"))["serving"])
"""
#: Strikes for which a process waits inside each member.
ARMED: Final = ("kill", "kill-with-steward", "out-of-memory", "pause")


Deed = Callable[["ComposePlace", Candidate], Awaitable[str]]


def open_place(options: ChaosOptions) -> "ComposePlace":
    return ComposePlace(options.project)


class ComposePlace:
    """Runs a plan on Docker Compose. Refuses a project that is up already: it is not ours."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._port = free_port()
        self._docker = Docker(project, {})
        self._ours = False
        self._known: dict[str, Container] = {}
        #: By a container's id and start.
        self._armed: dict[tuple[str, str], Armed] = {}
        self._arms = False
        self._finding = asyncio.Lock()
        #: The serving one at the start, where it is going to be killed with a member.
        self._steward: Container | None = None
        #: What takes its time; `end_members` waits for it.
        self._later: set[asyncio.Task[None]] = set()
        self.url = f"http://127.0.0.1:{self._port}"
        self.token: str | None = None

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
        for service in ("server", "steward", "worker"):
            if await self._docker.containers(service, all=True):
                raise PlaceFailed(
                    f"project {self._project} exists already; "
                    f"`docker compose -p {self._project} down -v` removes it"
                )
        self.token = await self._chosen_token()
        self._ours = True
        scales = (f"--scale=worker={plan.members}", f"--scale=steward={plan.stewards}")
        await self._docker.compose("up", "--detach", "--wait", *scales)
        if not plan.steward:
            await self._docker.compose("stop", "steward")
        folder.journal.mkdir(parents=True, exist_ok=True)
        await self._arm_all({strike.fault for strike in plan.strikes})

    async def _arm_all(self, faults: set[Fault]) -> None:
        """Let a process wait in all that may be struck, before there is any job."""
        self._arms = not faults.isdisjoint(ARMED)
        victims = await self._docker.containers("worker") if self._arms else []
        if "kill-with-steward" in faults:
            self._steward = await self._serving()
            victims.append(self._steward)
        await asyncio.gather(*(self._arm(one) for one in victims if one.allowed))

    async def _arm(self, one: Container) -> Armed:
        start = (one.id, one.started)
        if start not in self._armed:
            self._armed[start] = await self._docker.armed(one)
        return self._armed[start]

    async def _chosen_token(self) -> str | None:
        """Return the token that may search, where the server is going to ask for tokens."""
        config = json.loads(await self._docker.compose("config", "--format", "json"))
        if "RESONATE_AUTH__PUBLICKEY" not in config["services"]["server"]["environment"]:
            return None
        token = Path(config["secrets"]["steward-token"]["file"])
        return (await asyncio.to_thread(token.read_text, "utf-8")).strip()

    async def find(self, member: str) -> Candidate | None:
        """A member's name begins with its replica's; its last part is of one start.

        What was found is remembered: at the strike one look makes sure that nothing changed.
        """
        async with self._finding:
            if member not in self._known:
                await self._find(member)
        known = self._known.get(member)
        return Candidate(member, known.id, known.allowed) if known else None

    async def _find(self, member: str) -> None:
        for one in await self._docker.containers("worker"):
            named = member.startswith(f"{one.replica}-")
            if named and member in await self._docker.log_since(one):
                if self._arms and one.allowed:
                    await self._arm(one)
                self._known[member] = one

    def addresses(self) -> dict[str, str]:
        port = self._docker.env["STEWARD_HOST_PORT"]
        return {"RESONATE_URL": self.url, "FLEET_STEWARD_URL": f"http://127.0.0.1:{port}"}

    async def submit(self, options: list[str]) -> int:
        await self._docker.compose("run", "--rm", "--no-deps", "-T", "client", *options)
        return 0

    async def strike(self, fault: Fault, member: Candidate) -> str:
        return await way(STRIKES, fault)(self, member)

    async def heal(self, fault: Fault, member: Candidate) -> str:
        return await way(HEALS, fault)(self, member)

    async def send(self, number: signal.Signals, member: Candidate) -> str:
        return await (await self._armed_for(member)).send(number)

    async def kill_with_steward(self, member: Candidate) -> str:
        armed = await self._armed_for(member)
        steward = await self._arm(self._steward or await self._serving())
        both = (armed.send(signal.SIGKILL), steward.send(signal.SIGKILL))
        return ", ".join(await asyncio.gather(*both))

    async def fill(self, member: Candidate) -> str:
        return await (await self._armed_for(member)).fill()

    async def terminate(self, member: Candidate) -> str:
        one = await self._look_again(member)
        self._later.add(asyncio.create_task(self._docker.stop_and_start(one)))
        return f"docker stop {one.name}"

    async def cut_off(self, member: Candidate) -> str:
        one = await self._look_again(member)
        await self._docker.run("network", "disconnect", self._backend, one.id)
        return f"{one.name} left {self._backend}"

    async def connect(self, member: Candidate) -> str:
        network = ("network", "connect", "--alias", "worker", self._backend)
        await self._docker.run(*network, member.handle)
        return f"back on {self._backend}"

    async def _armed_for(self, member: Candidate) -> Armed:
        """Return the process in the member's container. It has ended if that was started again."""
        known = self._known.get(member.member)
        waiting = known and self._armed.get((known.id, known.started))
        return waiting or await self._arm(await self._look_again(member))

    async def restart_server(self, away: float) -> str:
        (server,) = await self._docker.containers("server")
        self._check(server)
        docker = self._docker
        answer = await (docker.take_away(server, away) if away else docker.crash(server))
        async with Wire(self.url, self.token) as wire:
            await wire.wait_ready(READY_SECONDS)
        return answer

    async def kill_steward(self) -> str:
        one = await self._serving()
        answer = await self._docker.crash(one)
        await self._docker.healthy(one, after=one.started)
        return answer

    async def _serving(self) -> Container:
        """Return the steward that members offer their slots."""
        found: list[Container] = []

        async def serves() -> bool:
            stewards = await self._docker.containers("steward")
            inside = ("python", "-Ic", SERVES)
            says = [await self._docker.run("exec", one.id, *inside) for one in stewards]
            found.extend(one for one, word in zip(stewards, says, strict=True) if word == "True")
            return bool(found)

        await until(serves, READY_SECONDS, "a steward that serves")
        self._check(found[0])
        return found[0]

    async def rolling_restart(self) -> str:
        """As a deployment does it: stop in order, start, wait for health, then the next."""
        members = await self._docker.containers("worker")
        for one in members:
            self._check(one)
            await self._docker.stop_and_start(one)
            await self._docker.healthy(one)
        return f"{len(members)} replicas stopped and started, one at a time"

    async def scale(self, members: int) -> str:
        """Only new replicas are waited for: an old one may be under a strike just then."""
        before = {one.id for one in await self._docker.containers("worker", all=True)}
        scale = ("--scale", f"worker={members}")
        await self._docker.compose("up", "--detach", "--no-deps", "--no-recreate", *scale, "worker")
        replicas = await self._docker.containers("worker")
        await asyncio.gather(
            *(self._docker.healthy(one) for one in replicas if one.id not in before)
        )
        return f"{len(replicas)} replicas are up"

    async def end_members(self) -> None:
        """A container that has only just been started may miss the signal to stop: it is let in."""
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
        for armed in self._armed.values():
            await armed.close()
        await self._docker.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    # One container.

    @property
    def _backend(self) -> str:
        return f"{self._project}_backend"

    async def _look_again(self, member: Candidate) -> Container:
        (one,) = await self._docker.inspect(member.handle)
        self._check(one)
        if one.status != "running" or one.started != self._known[member.member].started:
            raise PlaceFailed(f"{one.name} is {one.status} and no longer {member.member}")
        return one

    def _check(self, one: Container) -> None:
        """Strike nothing of another project, nor what has not opted in."""
        if one.labels.get(PROJECT_LABEL) != self._project:
            raise PlaceFailed(f"{one.name} is not of project {self._project}")
        if not one.allowed:
            raise PlaceFailed(f"{one.name} has not opted in")


def _signal(number: signal.Signals) -> Deed:
    return lambda place, member: place.send(number, member)


#: What is done to one member, and what undoes it.
STRIKES: Final[dict[Fault, Deed]] = {
    "kill": _signal(signal.SIGKILL),
    "kill-with-steward": ComposePlace.kill_with_steward,
    "out-of-memory": ComposePlace.fill,
    "terminate": ComposePlace.terminate,
    "pause": _signal(signal.SIGSTOP),
    "partition": ComposePlace.cut_off,
}
HEALS: Final[dict[Fault, Deed]] = {
    "pause": _signal(signal.SIGCONT),
    "partition": ComposePlace.connect,
}
