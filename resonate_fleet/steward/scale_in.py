"""Scale-in that spares busy pods: the steward writes each pod's deletion cost.

When a Deployment shrinks, Kubernetes ends pods of a lower deletion cost first (an annotation,
KEP-2255). The cost written here is the number of leases that the pod's member holds. The
documentation of Kubernetes warns of writing it often, so a pod's cost is written when it has
changed, and at most once in `REST` seconds.
"""

import os
import time
from collections.abc import Mapping
from typing import Final

import structlog

from resonate_fleet.contract.kubernetes import Cluster, ClusterRefused, own_access, own_namespace
from resonate_fleet.contract.live import LiveState

ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
#: A pod is written to at most once in so many seconds.
REST: Final = 10.0

log = structlog.get_logger()


def pod_of(member: str) -> str:
    """Return the pod that a member runs in: its name without the part of this start.

    >>> pod_of("worker-7c9f-x2x1z-0a1b2c")
    'worker-7c9f-x2x1z'
    """
    return member.rpartition("-")[0]


def wanted(state: LiveState) -> dict[str, int]:
    """Return the cost of each pod whose member is present: the leases held there."""
    costs = {pod_of(one.member): 0 for one in state.members if one.state == "present"}
    for attempt in state.running:
        if pod_of(attempt.member) in costs:
            costs[pod_of(attempt.member)] += 1
    return costs


def due(
    costs: Mapping[str, int],
    written: Mapping[str, tuple[int, float]],
    now: float,
    rest: float = REST,
) -> dict[str, int]:
    """Return the costs to write now; `written` has each pod's last cost and its time.

    `rest`: least pause between two writes to one pod, in seconds. A pod without a written cost is
    written to even if it is idle: a steward before this one may have left it a cost.
    """
    chosen: dict[str, int] = {}
    for pod, cost in costs.items():
        before, at = written.get(pod, (-1, float("-inf")))
        if cost != before and now - at >= rest:
            chosen[pod] = cost
    return chosen


class PodCosts:
    """Writes the costs of pods as they change."""

    def __init__(self, cluster: Cluster, rest: float = REST) -> None:
        self._cluster = cluster
        self._rest = rest
        self._written: dict[str, tuple[int, float]] = {}

    async def write(self, state: LiveState) -> None:
        """Write what is due. A pod that is gone (404) or being changed (409) is left for later.

        Raises:
            ClusterRefused: the API server does not answer or refuses.
        """
        costs = wanted(state)
        self._written = {pod: known for pod, known in self._written.items() if pod in costs}
        chosen = due(costs, self._written, time.monotonic(), self._rest)
        if not chosen:
            return
        async with self._cluster:
            for pod, cost in chosen.items():
                body = {"metadata": {"annotations": {ANNOTATION: str(cost)}}}
                try:
                    await self._cluster.patch(self._cluster.pods(pod), body)
                except ClusterRefused as refused:
                    if refused.status not in (404, 409, 429):
                        raise
                    log.info("pod-cost.later", pod=pod, cost=cost, status=refused.status)
                else:
                    self._written[pod] = (cost, time.monotonic())


def inside() -> PodCosts:
    """Return the writer for the cluster and namespace that this process runs in.

    Raises:
        OSError: this process runs in no cluster, or has no service account.
    """
    access, namespace = own_access(os.environ), own_namespace()
    if access is None or namespace is None:
        raise OSError("STEWARD_SCALE_IN is true outside a Kubernetes cluster")
    return PodCosts(Cluster(namespace, access, tries=1))
