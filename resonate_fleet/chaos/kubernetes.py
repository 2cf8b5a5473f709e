"""The Kubernetes place: strikes on the pods of a fleet that `kubectl apply -k k8s` has put up.

The fleet is only lent: what a run changes (replicas, slots, lease) is put back when it ends.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from resonate_fleet.chaos.child import Child, room_command
from resonate_fleet.chaos.cluster import PlaceRefused, cluster, service_url
from resonate_fleet.chaos.deployments import READY_SECONDS, Deployments
from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.chaos.place import Candidate, PlaceFailed, until, way
from resonate_fleet.chaos.pod_strikes import PodStrikes
from resonate_fleet.chaos.pods import Pod, Pods
from resonate_fleet.contract import common
from resonate_fleet.contract.kubernetes import Access
from resonate_fleet.contract.run import Fault, Plan, RunFolder
from resonate_fleet.contract.settings import load, setting, settings
from resonate_fleet.contract.wire import Wire
from resonate_fleet.contract.words import SERVER_PORT

#: The parts of the fleet whose logs are journals.
JOURNALS: Final = ("worker", "steward")


@settings
class Login:
    """What the place reads from the environment: its jobs are sent with this token."""

    token: str | None = setting(*common.SERVER_TOKEN, secret=True)


Deed = Callable[["KubernetesPlace", Pod], Awaitable[str]]


def open_place(options: ChaosOptions) -> "KubernetesPlace":
    return KubernetesPlace(options.namespace, load(Login, os.environ).token)


@dataclass(frozen=True)
class Lent:
    """The fleet of a namespace while a run has it."""

    pods: Pods
    strikes: PodStrikes
    deployments: Deployments
    folder: RunFolder


class KubernetesPlace:
    """Runs a plan on a namespace: None means this pod's own, else that of the base."""

    def __init__(
        self,
        namespace: str | None = None,
        token: str | None = None,
        *,
        access: Access | None = None,
        url: str = "",
    ) -> None:
        self._wanted = (namespace, access)
        self._open = AsyncExitStack()
        self._lent: Lent | None = None
        self.url = url
        self.token = token

    @property
    def lent(self) -> Lent:
        if self._lent is None:
            raise PlaceFailed("the cluster is not connected")
        return self._lent

    @property
    def pods(self) -> Pods:
        return self.lent.pods

    async def start(self, plan: Plan, folder: RunFolder) -> None:
        one = await self._open.enter_async_context(cluster(*self._wanted))
        self.url = self.url or service_url(one, "server", SERVER_PORT)
        pods = Pods(one, folder.journal, JOURNALS)
        self._lent = Lent(pods, PodStrikes(one, pods), Deployments(one), folder)
        await pods.open()
        self._open.push_async_callback(pods.close)
        if not pods.of("server"):
            raise PlaceFailed(f"no fleet is in namespace {one.namespace}")
        may_change = await self._shape(plan)
        await self._until_up(plan.members)
        if not may_change:
            self._must_fit(plan)

    async def _shape(self, plan: Plan) -> bool:
        """Bring members, slots, lease and steward to what the plan says; False: we may not."""
        env: list[dict[str, Any]] = [
            {"name": "WORKER_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "WORKER_SLOTS", "value": str(plan.slots)},
            {"name": "WORKER_LEASE", "value": f"{plan.lease:g}"},
        ]
        try:
            await self.lent.deployments.change("worker", plan.members, env)
            if not plan.steward:
                await self.lent.deployments.change("steward", 0, [])
        except PlaceRefused as refused:
            if refused.status != 403:
                raise
            if len(self.pods.of("worker")) != plan.members:
                raise PlaceFailed(
                    f"the plan wants {plan.members} members, {len(self.pods.of('worker'))} are "
                    "there, and this account may not change that"
                ) from None
            return False
        return True

    def _must_fit(self, plan: Plan) -> None:
        """Without the right to change the fleet it must already be what the plan says."""
        if not plan.steward:
            raise PlaceFailed("the plan wants no steward, and this account may not stop it")
        for pod in self.pods.of("worker"):
            settings = self.pods.settings.get(pod.name, {})
            for name, wanted in (("WORKER_SLOTS", plan.slots), ("WORKER_LEASE", plan.lease)):
                if name in settings and float(settings[name]) != wanted:
                    raise PlaceFailed(f"{pod.name} runs with {name}={settings[name]}, not {wanted}")

    async def _until_up(self, members: int) -> None:
        def up() -> bool:
            pods = self.pods
            known = [pod for pod in pods.ready("worker") if pod.name in pods.members]
            return len(known) == members and bool(pods.ready("server")) and pods.at_rest()

        what = f"{members} ready members and a server, and nobody leaving"
        await until(up, READY_SECONDS, what)

    async def find(self, member: str) -> Candidate | None:
        for pod in self.pods.of("worker"):
            if self.pods.members.get(pod.name) == member:
                return Candidate(member, pod.name, pod.allowed)
        return None

    def addresses(self) -> dict[str, str]:
        return {"RESONATE_URL": self.url}

    async def submit(self, options: list[str]) -> int:
        """The client runs here and reaches the server as this process does."""
        folder = self.lent.folder
        env = {"RESONATE_URL": self.url, "CLIENT_JOURNAL": str(folder.journal)}
        if self.token:
            env["RESONATE_TOKEN"] = self.token
        log = folder.logs / "client.log"
        client = Child("client", room_command("submit", *options), env, log)
        try:
            return await client.wait()
        finally:
            await client.stop(5)

    async def strike(self, fault: Fault, member: Candidate) -> str:
        return await way(STRIKES, fault)(self, self._look_again(member))

    async def heal(self, fault: Fault, member: Candidate) -> str:
        return await way(HEALS, fault)(self, self._look_again(member))

    async def kill_with_steward(self, pod: Pod) -> str:
        strikes = self.lent.strikes
        both = (strikes.kill(pod), strikes.delete(self._serving(), grace=0))
        return (await asyncio.gather(*both))[0] + ", with the serving steward's"

    async def restart_server(self, away: float) -> str:
        _ = away  # refused when it is planned: a deployment waits for nobody
        (server,) = self.pods.of("server")
        answer = await self._replace(server)
        async with Wire(self.url, self.token) as wire:
            await wire.wait_ready(READY_SECONDS)
        return answer

    async def kill_steward(self) -> str:
        return await self._replace(self._serving())

    async def _replace(self, pod: Pod) -> str:
        """Kill a pod; wait until its Deployment has as many ready ones as before without it."""
        self._check(pod)
        wanted = len(self.pods.of(pod.app))
        await self.lent.strikes.delete(pod, grace=0)

        def replaced() -> bool:
            return len([one for one in self.pods.ready(pod.app) if one.uid != pod.uid]) == wanted

        await until(replaced, READY_SECONDS, f"a new {pod.app} pod")
        return f"pod {pod.name} deleted with a grace of 0"

    def _serving(self) -> Pod:
        """Return the steward that has stood the longest, which is the one that serves."""
        started = self.pods.stewards
        there = [pod for pod in self.pods.of("steward") if pod.name in started]
        if not there:
            raise PlaceFailed("no steward has said that it started")
        serving = min(there, key=lambda pod: started[pod.name])
        self._check(serving)
        return serving

    async def rolling_restart(self) -> str:
        return f"deployment worker restarted at {await self.lent.deployments.restart('worker')}"

    async def scale(self, members: int) -> str:
        await self.lent.deployments.scale("worker", members)
        await until(
            lambda: len(self.pods.ready("worker")) == members,
            READY_SECONDS,
            f"{members} ready members",
        )
        return f"{members} replicas are ready"

    async def end_members(self) -> None:
        """The fleet is lent: its members stay up."""

    async def collect(self, folder: RunFolder) -> None:
        """The logs have been followed all the while; what is under way arrives within a moment."""
        await asyncio.sleep(1.0)
        if not any(folder.journal.glob("*.jsonl")):
            raise PlaceFailed("no log of any member could be read")

    async def stop(self) -> None:
        """Put back what was changed; wait until the last leaving pod has said its farewell."""
        try:
            if self._lent is not None:
                await self.lent.deployments.put_back()
                with suppress(PlaceFailed):
                    await until(self.pods.at_rest, READY_SECONDS, "the last leaving pod")
        finally:
            await self._open.aclose()

    # One pod.

    def _look_again(self, member: Candidate) -> Pod:
        pod = self.pods.get(member.handle)
        if pod is None or pod.leaving or self.pods.members.get(pod.name) != member.member:
            raise PlaceFailed(f"pod {member.handle} is gone or no longer {member.member}")
        self._check(pod)
        return pod

    def _check(self, pod: Pod) -> None:
        """Strike nothing that has not opted in. The watch only shows pods of this fleet."""
        if not pod.allowed:
            raise PlaceFailed(f"pod {pod.name} has not opted in")


#: What is done to one member. Nothing of it lasts and is undone.
STRIKES: Final[dict[Fault, Deed]] = {
    "kill": lambda place, pod: place.lent.strikes.kill(pod),
    "kill-with-steward": KubernetesPlace.kill_with_steward,
    "out-of-memory": lambda place, pod: place.lent.strikes.fill(pod),
    "terminate": lambda place, pod: place.lent.strikes.terminate(pod),
}
HEALS: Final[dict[Fault, Deed]] = {}
