"""The Deployments of a fleet that is lent to a run: changed, rolled out, put back."""

import time
from contextlib import suppress
from typing import Any, Final

from resonate_fleet.chaos.place import PlaceFailed, until
from resonate_fleet.contract.kubernetes import Cluster

#: Longest wait for pods to be as they should, in seconds: images may have to be fetched.
READY_SECONDS: Final = 180.0


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
            return _is_rolled_out(await self._read(name))

        await until(is_so, READY_SECONDS, f"deployment {name} rolled out")

    async def _read(self, name: str) -> dict[str, Any]:
        return await self._cluster.get(self._cluster.deployments(name))

    async def _patch(self, name: str, spec: dict[str, Any]) -> None:
        await self._cluster.patch(self._cluster.deployments(name), {"spec": spec})


def _spec(replicas: int, containers: list[dict[str, Any]]) -> dict[str, Any]:
    return {"replicas": replicas, "template": {"spec": {"containers": containers}}}


def _is_rolled_out(deployment: dict[str, Any]) -> bool:
    spec, status = deployment["spec"], deployment.get("status", {})
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return current and set(counts) == {spec.get("replicas", 1)}
