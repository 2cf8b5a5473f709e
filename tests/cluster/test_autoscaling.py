"""Replicas follow the backlog, from zero, under a stand-in for KEDA.

The stand-in reads what the ScaledObject says and does with it what KEDA documents
(tests/support/autoscaler.py), with the steward's own metrics, on the real Deployment.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from resonate_fleet.contract.wire import Wire
from tests.cluster.conftest import ClusterFleet, kubectl
from tests.cluster.reach import reached, submitted
from tests.support.autoscaler import Autoscaler, Rule
from tests.support.waiting import wait_until_async

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: scaledobjects.keda.sh }
spec:
  group: keda.sh
  scope: Namespaced
  names: { kind: ScaledObject, plural: scaledobjects }
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema:
        openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true }
"""
#: Six members' worth of jobs, each longer than KEDA's calm before it shrinks.
JOBS, COST = 24, "40"
#: Longest wait for the fleet to be at rest: the jobs, a cooldown, a calm window, the pods.
REST_SECONDS = 400


class StandIn:
    """Scales the fleet's Deployment. `history` holds the replicas that it asked for."""

    def __init__(self, fleet: ClusterFleet) -> None:
        self._fleet = fleet
        wanted = fleet.kubectl("get", "scaledobject", "worker", "-o", "yaml")
        self._scaler = Autoscaler(Rule.of(yaml.safe_load(wanted)), replicas=fleet.replicas())
        self.history = [self._scaler.replicas]
        self.blind = 0

    async def forever(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for now in range(10**6):
            work = await asyncio.to_thread(self._work)
            self.blind += work is None
            replicas = self._scaler.look(now, work)
            if replicas != self.history[-1]:
                self.history.append(replicas)
                await asyncio.to_thread(self._scale, replicas)
            await asyncio.sleep(max(0.0, began + now + 1 - loop.time()))

    def _scale(self, replicas: int) -> None:
        self._fleet.kubectl("scale", "deployment", "worker", f"--replicas={replicas}")

    def _work(self) -> float | None:
        """Return what the query of the ScaledObject asks for, None for an empty answer."""
        path = f"/api/v1/namespaces/{self._fleet.namespace}/services/steward:9465/proxy/metrics"
        text = kubectl("get", "--raw", path, "--request-timeout=2s", check=False)
        names = ("fleet_jobs_waiting", "fleet_jobs_running", "fleet_jobs_limited")
        found = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name in names and sample.labels["group"] == "worker-group"
        }
        if set(found) != set(names):
            return None
        waiting, running, limited = (found[name] for name in names)
        return waiting - limited + running


@asynccontextmanager
async def scaled(fleet: ClusterFleet) -> AsyncIterator[StandIn]:
    one = StandIn(fleet)
    task = asyncio.create_task(one.forever())
    try:
        yield one
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture(scope="module")
def autoscaled(fleet: ClusterFleet) -> ClusterFleet:
    """The way of docs/kubernetes.md: the running fleet keeps its three members."""
    subprocess.run(
        ["kubectl", "apply", "-f", "-"], input=CRD, check=True, text=True, capture_output=True
    )
    kubectl("wait", "--for=condition=established", "crd/scaledobjects.keda.sh", "--timeout=60s")
    subprocess.run(
        ["kubectl", "-n", fleet.namespace, "apply", "edit-last-applied", "deployment/worker"],
        env={**os.environ, "KUBE_EDITOR": "sed -i /replicas:/d"},
        check=True,
        capture_output=True,
    )
    fleet.overlay("keda", "scale-in")
    assert fleet.replicas() == 3
    fleet.rolled_out()
    return fleet


async def test_from_zero_and_back_with_nothing_redone(
    autoscaled: ClusterFleet, tmp_path: Path
) -> None:
    autoscaled.completed("client")
    async with scaled(autoscaled) as keda, reached(autoscaled) as (_, url), Wire(url) as wire:
        await wait_until_async(lambda: keda.history[-1] == 0, REST_SECONDS, "nobody there")
        await wait_until_async(lambda: not autoscaled.names("worker"), 120, "the last pod to go")
        options = ("--count", str(JOBS), "--id-prefix", "fleet-scaled", "--cost", COST, "--wait")
        jobs = asyncio.create_task(submitted(url, *options))
        await wait_until_async(lambda: keda.history[-1] >= 6, 120, "six members")
        before = keda.blind
        autoscaled.kubectl("scale", "deployment", "steward", "--replicas=0")
        await wait_until_async(lambda: keda.blind >= before + 60, 180, "a minute without a steward")
        busy = keda.history[-1]
        autoscaled.kubectl("scale", "deployment", "steward", "--replicas=2")
        assert busy >= 6, keda.history
        assert await jobs == 0
        for number in range(1, JOBS + 1):
            task = await wire.task(f"fleet-scaled-{number:05d}")
            assert task is not None
            assert task.version == 1, task
        await wait_until_async(lambda: keda.history[-1] == 0, REST_SECONDS, "nobody there again")
