"""Scale-in that spares the busy: pods are told how much would be lost with them.

When a Deployment shrinks, Kubernetes first ends pods of a lower deletion cost, an annotation
(KEP-2255). The cost written here is the number of leases that the pod's member holds. The
documentation of Kubernetes warns of writing it often, so a pod is written to when it became busy
or idle, and at most once in `REST` seconds.
"""

import os
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import structlog

from resonate_fleet.steward.tally import View

ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: A pod is written to at most once in so many seconds.
REST: Final = 10.0
#: Longest wait for one answer of the API server, in seconds.
ANSWER_SECONDS: Final = 5.0

#: How the API server is told what kind of patch it gets.
MERGE: Final = {"Content-Type": "application/merge-patch+json"}

log = structlog.get_logger()


def pod_of(member: str) -> str:
    """Return the pod that a member runs in: its name without the part of this start.

    >>> pod_of("worker-7c9f-x2x1z-0a1b2c")
    'worker-7c9f-x2x1z'
    """
    return member.rpartition("-")[0]


def wanted(leases: Mapping[str, list[tuple[str, int]]], present: set[str]) -> dict[str, int]:
    """Return the cost of each pod whose member is present: the leases held there."""
    costs = {pod_of(member): 0 for member in present}
    for member, held in leases.items():
        if pod_of(member) in costs:
            costs[pod_of(member)] += len(held)
    return costs


def due(
    costs: Mapping[str, int],
    written: Mapping[str, tuple[int, float]],
    now: float,
    rest: float = REST,
) -> dict[str, int]:
    """Return what is to be written now; `written` has each pod's last cost and its time.

    `rest`: least pause between two writes to one pod, in seconds. A pod that was never written to
    counts as idle: Kubernetes takes a missing annotation for 0.
    """
    chosen: dict[str, int] = {}
    for pod, cost in costs.items():
        before, at = written.get(pod, (0, float("-inf")))
        if cost != before and now - at >= rest:
            chosen[pod] = cost
    return chosen


class PodCosts:
    """Writes the costs. An `Extra` of the steward's rounds.

    `present` tells the members that are there; `session` makes the HTTP client, logged in.
    """

    def __init__(
        self,
        api: str,
        namespace: str,
        present: Callable[[], set[str]],
        session: Callable[[], aiohttp.ClientSession] = aiohttp.ClientSession,
        rest: float = REST,
    ) -> None:
        self._base = f"{api}/api/v1/namespaces/{namespace}/pods"
        self._present = present
        self._session = session
        self._rest = rest
        self._written: dict[str, tuple[int, float]] = {}

    async def __call__(self, view: View) -> None:
        """Write what is due. A pod that is gone (404) or being changed (409) is left for later.

        Raises:
            aiohttp.ClientError, TimeoutError: the API server does not answer or refuses.
        """
        costs = wanted(view.leases, self._present())
        self._written = {pod: known for pod, known in self._written.items() if pod in costs}
        chosen = due(costs, self._written, time.monotonic(), self._rest)
        if not chosen:
            return
        async with self._session() as session:
            for pod, cost in chosen.items():
                if await self._write(session, pod, cost):
                    self._written[pod] = (cost, time.monotonic())

    async def _write(self, session: aiohttp.ClientSession, pod: str, cost: int) -> bool:
        body = msgspec.json.encode({"metadata": {"annotations": {ANNOTATION: str(cost)}}})
        url = f"{self._base}/{pod}"
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with session.patch(url, data=body, headers=MERGE, timeout=timeout) as response:
            if response.status in (404, 409, 429):
                log.info("pod-cost.later", pod=pod, cost=cost, status=response.status)
                return False
            response.raise_for_status()
        return True


def inside(namespace: str, present: Callable[[], set[str]]) -> PodCosts:
    """Return the writer for the cluster that this process runs in.

    Raises:
        OSError: this process runs in no cluster, or has no service account.
    """
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if host is None:
        raise OSError("STEWARD_SCALE_IN is true outside a Kubernetes cluster")
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    api = f"https://{f'[{host}]' if ':' in host else host}:{os.environ['KUBERNETES_SERVICE_PORT']}"

    def session() -> aiohttp.ClientSession:
        # Read each time: the kubelet renews the token.
        token = (ACCOUNT / "token").read_text(encoding="utf-8").strip()
        return aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(ssl=trust),
        )

    return PodCosts(api, namespace, present, session)
