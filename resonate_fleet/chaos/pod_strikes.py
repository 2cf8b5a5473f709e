"""What is done to one pod.

Facts that this rests on: a delete with a grace of 0 kills without a drain; an eviction asks the
disruption budget first (429 means: not now); a container's process 1 cannot be killed from inside,
but the kernel kills it where its memory limit is passed.
"""

from typing import Any, Final

from resonate_fleet.chaos.armed import Armed
from resonate_fleet.chaos.cluster import PlaceRefused
from resonate_fleet.chaos.place import until
from resonate_fleet.chaos.pods import Pod, Pods
from resonate_fleet.contract.kubernetes import Cluster

#: Longest wait for a disruption budget to allow an eviction, in seconds.
EVICT_SECONDS: Final = 30.0
#: Longest wait for a container that was killed to end, in seconds.
DEAD_SECONDS: Final = 20.0


class PodStrikes:
    def __init__(self, cluster: Cluster, pods: Pods) -> None:
        self._cluster = cluster
        self._pods = pods

    async def kill(self, pod: Pod) -> str:
        await self.delete(pod, grace=0)
        # The kubelet gives a container two seconds all the same; its log ends when it does.
        await until(lambda: self._pods.silent(pod.name), DEAD_SECONDS, f"the end of {pod.name}")
        return f"pod {pod.name} deleted with a grace of 0"

    async def delete(self, pod: Pod, grace: int | None) -> None:
        """Delete this very pod: the uid is a precondition (409 if another has the name now)."""
        options: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self._cluster.delete(self._cluster.pods(pod.name), options)

    async def terminate(self, pod: Pod) -> str:
        """Evict it as soon as the budget allows; delete it in order where we may not evict."""
        try:
            what = f"an eviction of {pod.name}"
            await until(lambda: self._evicted(pod), EVICT_SECONDS, what, pause=0.5)
        except PlaceRefused as refused:
            if refused.status != 403:
                raise
            await self.delete(pod, grace=None)
            return f"pod {pod.name} deleted in order"
        return f"pod {pod.name} evicted"

    async def _evicted(self, pod: Pod) -> bool:
        meta = {"name": pod.name, "namespace": self._cluster.namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        try:
            await self._cluster.create(self._cluster.pods(pod.name, "eviction"), body)
        except PlaceRefused as refused:
            if refused.status != 429:
                raise
            return False
        return True

    async def fill(self, pod: Pod) -> str:
        """Fill its memory until its container has been killed, which the kubelet then restarts."""
        # `kubectl exec` is the one request that is no plain HTTP.
        into = ("kubectl", "--namespace", self._cluster.namespace, "exec", "--stdin", pod.name)
        answer = await (await Armed.start(f"pod {pod.name}", *into, "--")).fill()

        def restarted() -> bool:
            now = self._pods.get(pod.name)
            return now is None or now.restarts > pod.restarts

        await until(restarted, DEAD_SECONDS, f"the end of the container of {pod.name}")
        return answer
