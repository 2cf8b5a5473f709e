"""What is done to one pod.

Facts that this rests on: a delete with a grace of 0 kills without a drain; an eviction asks the
disruption budget first (429 means: not now); a container's process 1 cannot be killed from inside,
but the kernel kills it where its memory limit is passed.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from resonate_fleet.chaos.cluster import PlaceRefused
from resonate_fleet.chaos.pods import Pod, Pods
from resonate_fleet.contract.kubernetes import Cluster

#: Longest wait for a disruption budget to allow an eviction, in seconds.
EVICT_SECONDS: Final = 30.0
#: Longest wait for a container that was killed to end, in seconds.
DEAD_SECONDS: Final = 20.0

#: Runs inside a member's container. A file in memory counts against the container's limit and
#: belongs to no process, so the kernel takes the largest one: the member. Under cgroup v1 it kills
#: that process alone, under v2 the whole container.
FILL: Final = """
import os
fd, block = os.memfd_create("fill"), b"x" * (1 << 20)
while True:
    try:
        os.write(fd, block)
    except OSError:
        pass
"""


class PodStrikes:
    def __init__(self, cluster: Cluster, pods: Pods) -> None:
        self._cluster = cluster
        self._pods = pods

    async def kill(self, pod: Pod) -> str:
        await self.delete(pod, grace=0)
        # The kubelet gives a container two seconds all the same; its log ends when it does.
        await self._pods.until(lambda pods: pods.silent(pod.name), DEAD_SECONDS, "its end")
        return f"pod {pod.name} deleted with a grace of 0"

    async def delete(self, pod: Pod, grace: int | None) -> None:
        """Delete this very pod: the uid is a precondition (409 if another has the name now)."""
        options: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        await self._cluster.delete(self._cluster.pods(pod.name), options)

    async def terminate(self, pod: Pod) -> str:
        """Evict it as soon as the budget allows; delete it in order where we may not evict."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": self._cluster.namespace},
        }
        end = asyncio.get_running_loop().time() + EVICT_SECONDS
        while True:
            try:
                await self._cluster.create(self._cluster.pods(pod.name, "eviction"), body)
            except PlaceRefused as refused:
                if refused.status == 403:
                    await self.delete(pod, grace=None)
                    return f"pod {pod.name} deleted in order"
                if refused.status != 429 or asyncio.get_running_loop().time() >= end:
                    raise
            else:
                return f"pod {pod.name} evicted"
            await asyncio.sleep(0.5)

    async def fill(self, pod: Pod) -> str:
        """Fill its memory until its container has been killed, which the kubelet then restarts."""
        before = pod.restarts

        def restarted(pods: Pods) -> bool:
            now = pods.get(pod.name)
            return now is None or now.restarts > before

        process = await self._exec(pod, "python", "-IS", "-c", FILL)
        try:
            what = f"pod {pod.name}: the end of its container for want of memory"
            await self._pods.until(restarted, DEAD_SECONDS, what)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return f"memory of pod {pod.name} filled"

    async def _exec(self, pod: Pod, *command: str) -> asyncio.subprocess.Process:
        """`kubectl exec` is the one request that is no plain HTTP."""
        return await asyncio.create_subprocess_exec(
            *("kubectl", "--namespace", self._cluster.namespace, "exec", pod.name),
            *("--", *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
