"""The Kubernetes place: strikes on the pods of a fleet that `kubectl apply -k k8s` has put up.

The fleet is only lent: what a run changes (replicas, slots, lease) is put back when it ends.

Facts that the strikes rest on: a delete with a grace of 0 kills without a drain; an eviction asks
the disruption budget first (429 means: not now); a container's process 1 cannot be killed from
inside, but the kernel kills it where its memory limit is passed.
"""

import asyncio
import os
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from resonate_fleet.chaos.child import run_client
from resonate_fleet.chaos.cluster import (
    READY_SECONDS,
    Deployments,
    PlaceRefused,
    cluster,
    service_url,
)
from resonate_fleet.chaos.containers import Helper
from resonate_fleet.chaos.options import ChaosOptions
from resonate_fleet.chaos.place import Adapter, PlaceFailed, Victim, until
from resonate_fleet.chaos.pods import Pod, Pods
from resonate_fleet.contract import shared_settings
from resonate_fleet.contract.kubernetes import Access, Cluster
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.contract.settings import load, setting, settings
from resonate_fleet.contract.words import SERVER_PORT

#: The parts of the fleet whose logs are journals.
JOURNALS: Final = ("worker", "steward")
#: Longest wait for a disruption budget to allow an eviction, in seconds.
EVICT_SECONDS: Final = 30.0
#: Longest wait for a container that was killed to end, in seconds.
DEAD_SECONDS: Final = 20.0


@settings
class Login:
    """What the place reads from the environment: its jobs are sent with this token."""

    token: str | None = setting(*shared_settings.SERVER_TOKEN, secret=True)


@dataclass(frozen=True)
class Lent:
    """The fleet of a namespace while a run has it."""

    cluster: Cluster
    pods: Pods
    deployments: Deployments
    folder: RunFolder


class KubernetesPlace(Adapter[Pod]):
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

    @classmethod
    def chosen(cls, options: ChaosOptions) -> Self:
        return cls(options.namespace, load(Login, os.environ).token)

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
        self._lent = Lent(one, pods, Deployments(one), folder)
        await pods.open()
        self._open.push_async_callback(pods.close)
        if not pods.of("server"):
            raise PlaceFailed(f"no fleet is in namespace {one.namespace}")
        may_change = await self._shape(plan)
        stewards = plan.stewards if plan.steward else 0

        def up() -> bool:
            known = [pod for pod in pods.ready("worker") if pod.name in pods.members]
            lasting = pods.ready("server") and len(pods.ready("steward")) >= stewards
            return bool(lasting) and len(known) == plan.members and pods.at_rest()

        what = f"{plan.members} members, a server, {stewards} stewards ready, and nobody leaving"
        await until(up, READY_SECONDS, what)
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

    async def find(self, member: str) -> Victim[Pod] | None:
        pods = [pod for pod in self.pods.of("worker") if self.pods.members.get(pod.name) == member]
        return Victim(member, pods[0]) if pods else None

    async def look_again(self, member: Victim[Pod]) -> None:
        pod = self.pods.get(member.handle.name)
        if pod is None or pod.leaving or self.pods.members.get(pod.name) != member.name:
            raise PlaceFailed(f"pod {member.handle.name} is gone or no longer {member.name}")
        self._allowed(pod)

    def _allowed(self, pod: Pod) -> Victim[Pod]:
        """Strike nothing that has not opted in. The watch only shows pods of this fleet."""
        if not pod.allowed:
            raise PlaceFailed(f"pod {pod.name} has not opted in")
        return Victim(pod.name, pod)

    async def steward(self) -> Victim[Pod]:
        """The one that has stood the longest is the one that serves."""
        started = self.pods.stewards
        there = [pod for pod in self.pods.of("steward") if pod.name in started]
        if not there:
            raise PlaceFailed("no steward has said that it started")
        return self._allowed(min(there, key=lambda pod: started[pod.name]))

    async def server(self) -> Victim[Pod]:
        pods = self.pods.of("server")
        if len(pods) != 1:
            raise PlaceFailed(f"{len(pods)} server pods are there just now")
        return self._allowed(pods[0])

    def addresses(self) -> dict[str, str]:
        return {"RESONATE_URL": self.url}

    async def submit(self, options: list[str]) -> None:
        """The client runs here and reaches the server as this process does."""
        folder = self.lent.folder
        env = {"RESONATE_URL": self.url, "CLIENT_JOURNAL": str(folder.journal)}
        if self.token:
            env["RESONATE_TOKEN"] = self.token
        await run_client(options, env, folder.logs / "client.log")

    async def kill(self, victim: Victim[Pod]) -> str:
        """Pod deleted without grace."""
        pod = victim.handle
        await self._delete(pod, gracePeriodSeconds=0)
        # The kubelet still gives a container two seconds; its log ends with it.
        await until(lambda: self.pods.silent(pod.name), DEAD_SECONDS, f"the end of {pod.name}")
        return f"pod {pod.name} deleted with a grace of 0"

    async def _delete(self, pod: Pod, **options: int) -> None:
        """Delete this very pod: the uid is a precondition (409 if another has the name now)."""
        what = {"preconditions": {"uid": pod.uid}, **options}
        await self.lent.cluster.delete(self.lent.cluster.pods(pod.name), what)

    async def replace(self, victim: Victim[Pod]) -> str:
        """Pod deleted without grace."""
        app, wanted = victim.handle.app, len(self.pods.of(victim.handle.app))
        answer = await self.kill(victim)

        def replaced() -> bool:
            return sum(one.uid != victim.handle.uid for one in self.pods.ready(app)) == wanted

        await until(replaced, READY_SECONDS, f"a new {app} pod")
        return answer

    async def terminate(self, member: Victim[Pod]) -> str:
        """Pod evicted; deleted with its grace where the account may not evict."""
        pod = member.handle
        try:
            what = f"an eviction of {pod.name}"
            await until(lambda: self._evicted(pod), EVICT_SECONDS, what, pause=0.5)
        except PlaceRefused as refused:
            if refused.status != 403:
                raise
            await self._delete(pod)
            return f"pod {pod.name} deleted in order"
        return f"pod {pod.name} evicted"

    async def _evicted(self, pod: Pod) -> bool:
        cluster = self.lent.cluster
        meta = {"name": pod.name, "namespace": cluster.namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        try:
            await cluster.create(cluster.pods(pod.name, "eviction"), body)
        except PlaceRefused as refused:
            if refused.status != 429:
                raise
            return False
        return True

    async def run(self, member: Victim[Pod], code: str) -> bool:
        """Inside the container."""
        # `kubectl exec` is the one request that is no plain HTTP.
        pod, space = member.handle, self.lent.cluster.namespace
        into = ("kubectl", "--namespace", space, "exec", "--stdin", pod.name, "--")
        helper = await Helper.start(f"pod {pod.name}", *into)
        try:
            if await helper.run(code):
                return True
        finally:
            await helper.close()

        def restarted() -> bool:
            now = self.pods.get(pod.name)
            return now is None or now.restarts > pod.restarts

        await until(restarted, DEAD_SECONDS, f"the end of the container of {pod.name}")
        return False

    async def restart_members(self) -> str:
        """Rollout restart."""
        return f"deployment worker restarted at {await self.lent.deployments.restart('worker')}"

    async def scale(self, members: int) -> str:
        """Replicas."""
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
        """The logs are followed during the run; their last lines arrive within a moment."""
        await asyncio.sleep(1.0)
        if not any(folder.journal.glob("*.jsonl")):
            raise PlaceFailed("no log of any member could be read")

    async def stop(self) -> None:
        """Put back what was changed; wait until the log of the last leaving pod has been read."""
        try:
            if self._lent is not None:
                await self.lent.deployments.put_back()
                with suppress(PlaceFailed):
                    await until(self.pods.at_rest, READY_SECONDS, "the last leaving pod")
        finally:
            await self._open.aclose()


ADAPTER: Final = KubernetesPlace
