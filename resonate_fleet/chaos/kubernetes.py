"""The Kubernetes place: strikes on the pods of a fleet that `kubectl apply -k k8s` has put up.

The fleet only lends itself: what a run changes (replicas, slots, lease) is put back when it ends.
Facts that the strikes rest on: a delete with a grace of 0 kills without a drain; an eviction asks
the disruption budget first (429 means: not now); a container's process 1 cannot be killed from
inside, but a container whose memory limit is passed ends with 137.
"""

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from resonate_fleet.chaos.child import clean_env
from resonate_fleet.chaos.cluster import ClusterRefused, cluster, service_url
from resonate_fleet.chaos.options import Options
from resonate_fleet.chaos.place import Member, PlaceFailed
from resonate_fleet.chaos.pods import Pod, Pods
from resonate_fleet.contract import common
from resonate_fleet.contract.kubernetes import Access, Cluster
from resonate_fleet.contract.run import Fault, Plan, RunFolder
from resonate_fleet.contract.settings import load, setting, settings
from resonate_fleet.contract.wire import Unreachable, Wire
from resonate_fleet.contract.words import SERVER_PORT

#: Longest wait for pods to be as they should, in seconds: images may have to be fetched.
READY_SECONDS: Final = 180.0
#: Longest wait for a disruption budget to allow an eviction, in seconds.
EVICT_SECONDS: Final = 30.0
#: Longest wait for a deleted pod's container to be gone, in seconds.
DEAD_SECONDS: Final = 20.0
#: The parts of the fleet whose logs are journals.
JOURNALS: Final = ("worker", "steward")

#: Runs inside a member's container: takes memory until the kernel ends the container (137).
HOG: Final = "held = []\nwhile True: held.append(b'x' * (4 << 20))"


@settings
class Login:
    """What the place reads from the environment: its jobs are sent with this token."""

    token: str | None = setting(*common.SERVER_TOKEN, secret=True)


def open_place(options: Options) -> "KubernetesPlace":
    """Return the place that the options name.

    Raises:
        BadSettings: the token cannot be read.
    """
    return KubernetesPlace(options.namespace, load(Login, os.environ).token)


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
        self._connected: Cluster | None = None
        self._pods: Pods | None = None
        self._folder: RunFolder | None = None
        #: What to put back, by Deployment: the fields before this run changed them.
        self._before: dict[str, dict[str, Any]] = {}
        self.url = url
        self.token = token

    @property
    def _cluster(self) -> Cluster:
        if self._connected is None:
            raise PlaceFailed("the cluster is not connected")
        return self._connected

    @property
    def pods(self) -> Pods:
        if self._pods is None:
            raise PlaceFailed("the fleet has not been looked at")
        return self._pods

    async def start(self, plan: Plan, folder: RunFolder) -> None:
        self._connected = await self._open.enter_async_context(cluster(*self._wanted))
        self.url = self.url or service_url(self._cluster, "server", SERVER_PORT)
        self._folder = folder
        self._pods = Pods(self._cluster, folder.journal, JOURNALS)
        await self.pods.open()
        if not self.pods.of("server"):
            raise PlaceFailed(f"no fleet is in namespace {self._cluster.namespace}")
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
            await self._change("worker", plan.members, env)
            if not plan.steward:
                await self._change("steward", 0, None)
        except ClusterRefused as refused:
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

    async def _change(self, name: str, replicas: int, env: list[dict[str, Any]] | None) -> None:
        path = self._cluster.deployments(name)
        spec = (await self._cluster.get(path))["spec"]
        containers: list[dict[str, Any]] = spec["template"]["spec"]["containers"]
        self._before[name] = {
            "replicas": spec.get("replicas", 1),
            "template": {"spec": {"containers": containers}},
        }
        wanted: dict[str, Any] = {"replicas": replicas}
        if env is not None:
            names = {one["name"] for one in env}
            kept = [one for one in containers[0].get("env", []) if one["name"] not in names]
            changed = [{**containers[0], "env": kept + env}, *containers[1:]]
            wanted["template"] = {"spec": {"containers": changed}}
        await self._cluster.patch(path, {"spec": wanted})
        await self._rolled_out(name)

    async def _until_up(self, members: int) -> None:
        def up(pods: Pods) -> bool:
            ready = [pod for pod in pods.of("worker") if pod.ready and pod.name in pods.members]
            return len(ready) == members and any(pod.ready for pod in pods.of("server"))

        await self.pods.until(up, READY_SECONDS, f"{members} ready members and a server")

    async def find(self, member: str) -> Member | None:
        for pod in self.pods.of("worker"):
            if self.pods.members.get(pod.name) == member:
                return Member(member, pod.name, pod.allowed)
        return None

    async def submit(self, options: list[str]) -> int:
        """The client runs here and reaches the server as this process does."""
        folder = self._must_folder()
        env = {"RESONATE_URL": self.url, "CLIENT_JOURNAL": str(folder.journal)}
        if self.token:
            env["RESONATE_TOKEN"] = self.token
        folder.logs.mkdir(parents=True, exist_ok=True)
        with (folder.logs / "client.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "resonate_fleet.submit", *options),
                env=clean_env(env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                return await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()

    async def strike(self, fault: Fault, member: Member) -> str:
        pod = self._look_again(member)
        if fault == "kill":
            await self._delete(pod, grace=0)
            # The kubelet gives a container two seconds all the same; its log ends when it does.
            await self.pods.until(lambda pods: pods.silent(pod.name), DEAD_SECONDS, "its end")
            return f"pod {pod.name} deleted with a grace of 0"
        if fault == "terminate":
            return await self._evict(pod)
        if fault == "out-of-memory":
            return await self._fill(pod)
        raise PlaceFailed(f"{fault} is not done to a pod")

    async def heal(self, fault: Fault, member: Member) -> str:
        raise PlaceFailed(f"{fault} of {member.member} is not done here")

    async def restart_server(self, away: float) -> str:
        _ = away  # refused when it is planned: a deployment waits for nobody
        (server,) = self.pods.of("server")
        self._check(server)
        await self._delete(server, grace=0)
        await self.pods.until(
            lambda pods: any(one.ready and one.uid != server.uid for one in pods.of("server")),
            READY_SECONDS,
            "a new server pod",
        )
        async with Wire(self.url, self.token, timeout=5.0) as wire:
            try:
                await wire.wait_ready(READY_SECONDS)
            except Unreachable as silent:
                raise PlaceFailed(f"the server did not come back: {silent}") from None
        return f"pod {server.name} deleted with a grace of 0"

    async def rolling_restart(self) -> str:
        """What `kubectl rollout restart` does: an annotation of the pod template changes."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        note = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": stamp}}}
        path = self._cluster.deployments("worker")
        await self._cluster.patch(path, {"spec": {"template": note}})
        await self._rolled_out("worker")
        return f"deployment worker restarted at {stamp}"

    async def scale(self, members: int) -> str:
        path = self._cluster.deployments("worker", "scale")
        await self._cluster.patch(path, {"spec": {"replicas": members}})
        await self.pods.until(
            lambda pods: len([one for one in pods.of("worker") if one.ready]) == members,
            READY_SECONDS,
            f"{members} ready members",
        )
        return f"{members} replicas are ready"

    async def settle(self) -> None:
        """The fleet is lent: its members stay up."""

    async def collect(self, folder: RunFolder) -> None:
        """The logs have been followed all the while; what is under way arrives within a moment."""
        await asyncio.sleep(1.0)
        if not any(folder.journal.glob("*.jsonl")):
            raise PlaceFailed("no log of any member could be read")

    async def stop(self) -> None:
        for name, spec in self._before.items():
            with suppress(PlaceFailed):
                await self._cluster.patch(self._cluster.deployments(name), {"spec": spec})
        self._before.clear()
        if self._pods is not None:
            await self._pods.close()
        await self._open.aclose()

    # One pod.

    def _look_again(self, member: Member) -> Pod:
        pod = self.pods.get(member.handle)
        if pod is None or pod.leaving or self.pods.members.get(pod.name) != member.member:
            raise PlaceFailed(f"pod {member.handle} is gone or no longer {member.member}")
        self._check(pod)
        return pod

    def _check(self, pod: Pod) -> None:
        """Strike nothing that has not opted in. The watch only shows pods of this fleet."""
        if not pod.allowed:
            raise PlaceFailed(f"pod {pod.name} has not opted in")

    async def _delete(self, pod: Pod, grace: int | None) -> None:
        """Delete this very pod: the uid is a precondition (409 if another has the name now)."""
        options: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self._cluster.delete(self._cluster.pods(pod.name), options)

    async def _evict(self, pod: Pod) -> str:
        """Ask for an eviction until the budget allows it; delete in order where we may not ask."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": self._cluster.namespace},
        }
        end = asyncio.get_running_loop().time() + EVICT_SECONDS
        while True:
            try:
                await self._cluster.create(self._cluster.pods(pod.name, "eviction"), body)
            except ClusterRefused as refused:
                if refused.status == 403:
                    await self._delete(pod, grace=None)
                    return f"pod {pod.name} deleted in order"
                if refused.status != 429 or asyncio.get_running_loop().time() >= end:
                    raise
            else:
                return f"pod {pod.name} evicted"
            await asyncio.sleep(0.5)

    async def _fill(self, pod: Pod) -> str:
        """`kubectl exec` is the one request that is no plain HTTP."""
        namespace = ("--namespace", self._cluster.namespace)
        process = await asyncio.create_subprocess_exec(
            *("kubectl", *namespace, "exec", pod.name, "--", "python", "-c", HOG),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await process.communicate()
        if process.returncode == 0:
            raise PlaceFailed(f"pod {pod.name}: its memory limit is not enforced")
        return f"memory of pod {pod.name} filled: {told.decode(errors='replace').strip()[-120:]}"

    async def _rolled_out(self, name: str) -> None:
        """Wait until a Deployment has only pods of its newest template, all of them ready."""
        end = asyncio.get_running_loop().time() + READY_SECONDS
        while not _is_rolled_out(await self._cluster.get(self._cluster.deployments(name))):
            if asyncio.get_running_loop().time() >= end:
                raise PlaceFailed(f"deployment {name}: not rolled out in {READY_SECONDS:g} s")
            await asyncio.sleep(0.3)

    def _must_folder(self) -> RunFolder:
        if self._folder is None:
            raise PlaceFailed("the run has no folder yet")
        return self._folder


def _is_rolled_out(deployment: dict[str, Any]) -> bool:
    spec, status = deployment["spec"], deployment.get("status", {})
    wanted = spec.get("replicas", 1)
    counts = {key: status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return seen and all(count == wanted for count in counts.values())
