"""The cluster that chaos strikes in, and the Deployments of a fleet that is lent to a run.

The cluster is this pod's own, else the one that `kubectl` speaks to.
"""

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from resonate_fleet.chaos.place import PlaceFailed, until
from resonate_fleet.contract import kubernetes
from resonate_fleet.contract.kubernetes import Access, Cluster

#: Longest wait for `kubectl proxy` to say where it listens, in seconds.
PROXY_SECONDS: Final = 15.0
#: Longest wait for pods to be as they should, in seconds: images may have to be fetched.
READY_SECONDS: Final = 180.0
#: The namespace of k8s/base.
DEFAULT_NAMESPACE: Final = "resonate-fleet"


class PlaceRefused(PlaceFailed, kubernetes.ClusterRefused):
    """The API server answered with a failure: the place could not do what was asked."""


@asynccontextmanager
async def cluster(
    namespace: str | None, access: Access | None = None, env: Mapping[str, str] = os.environ
) -> AsyncIterator[Cluster]:
    """Connect to `access`, else as this pod's account, else through `kubectl proxy`.

    `namespace` None: this pod's own, else that of the base.
    """
    namespace = namespace or kubernetes.own_namespace() or DEFAULT_NAMESPACE
    access = access or kubernetes.own_access(env)
    if access is not None:
        async with Cluster(namespace, access, refused=PlaceRefused) as inside:
            yield inside
        return
    async with (
        kubectl_proxy() as proxied,
        Cluster(namespace, proxied, refused=PlaceRefused) as outside,
    ):
        yield outside


def service_url(cluster: Cluster, name: str, port: int) -> str:
    """Return the address of a Service as seen from where this process runs."""
    if cluster.access.token is not None:
        return f"http://{name}.{cluster.namespace}:{port}"
    path = f"/api/v1/namespaces/{cluster.namespace}/services/{name}:{port}/proxy"
    return f"{cluster.access.url}{path}"


@asynccontextmanager
async def kubectl_proxy() -> AsyncIterator[Access]:
    """Let `kubectl` log in: it knows every way that a kubeconfig may name."""
    if shutil.which("kubectl") is None:
        raise PlaceFailed("kubectl is not installed here")
    proxy = await asyncio.create_subprocess_exec(
        *("kubectl", "proxy", "--port=0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        line = b""
        if proxy.stdout is not None:  # the first thing that it says is where it listens
            with suppress(TimeoutError):
                line = await asyncio.wait_for(proxy.stdout.readline(), PROXY_SECONDS)
        text = line.decode(errors="replace").strip()
        found = re.search(r"127\.0\.0\.1:\d+", text)
        if found is None:
            raise PlaceFailed(f"kubectl proxy: {text}")
        yield Access(f"http://{found.group()}")
    finally:
        with suppress(ProcessLookupError):
            proxy.terminate()
        await proxy.wait()


class Deployments:
    """Changes Deployments of the cluster's namespace and remembers what to put back."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        #: The fields before this run changed them, by Deployment.
        self._before: dict[str, dict[str, Any]] = {}

    async def change(self, name: str, replicas: int, env: list[dict[str, Any]]) -> None:
        """Bring a Deployment to `replicas` pods, `env` added to their first container."""
        spec = (await self._read(name))["spec"]
        containers: list[dict[str, Any]] = spec["template"]["spec"]["containers"]
        self._before.setdefault(name, _spec(spec.get("replicas", 1), containers))
        names = {one["name"] for one in env}
        kept = [one for one in containers[0].get("env", []) if one["name"] not in names]
        changed = [{**containers[0], "env": kept + env}, *containers[1:]] if env else containers
        await self._patch(name, _spec(replicas, changed))
        await self._rolled_out(name)

    async def restart(self, name: str) -> str:
        """Do what `kubectl rollout restart` does: an annotation of the pod template changes."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        note = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": stamp}}}
        await self._patch(name, {"template": note})
        await self._rolled_out(name)
        return stamp

    async def scale(self, name: str, replicas: int) -> None:
        path = self._cluster.deployments(name, "scale")
        await self._cluster.patch(path, {"spec": {"replicas": replicas}})

    async def put_back(self) -> None:
        """Undo the changes and wait until they are rolled out; a failure leaves the rest to do."""
        before, self._before = self._before, {}
        for name, spec in before.items():
            with suppress(PlaceFailed):
                await self._patch(name, spec)
        for name in before:
            with suppress(PlaceFailed):
                await self._rolled_out(name)

    async def _rolled_out(self, name: str) -> None:
        """Wait until a Deployment has only pods of its newest template, all of them ready."""

        async def is_so() -> bool:
            found = await self._read(name)
            status = found.get("status", {})
            current = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            keys = ("replicas", "updatedReplicas", "readyReplicas")
            return current and {status.get(key, 0) for key in keys} == {
                found["spec"].get("replicas", 1)
            }

        await until(is_so, READY_SECONDS, f"deployment {name} rolled out")

    async def _read(self, name: str) -> dict[str, Any]:
        return await self._cluster.get(self._cluster.deployments(name))

    async def _patch(self, name: str, spec: dict[str, Any]) -> None:
        await self._cluster.patch(self._cluster.deployments(name), {"spec": spec})


def _spec(replicas: int, containers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"replicas": replicas, "template": {"spec": {"containers": containers}}}
