"""The overlay `local` on a real cluster, and chaos with the accounts of both sides."""

from pathlib import Path

import pytest

from tests.cluster.chaos import passes
from tests.cluster.conftest import ClusterFleet
from tests.support.waiting import wait_until


def test_restricted_pods_are_admitted_and_the_jobs_are_spread(fleet: ClusterFleet) -> None:
    assert len(fleet.names("worker")) == 3
    assert fleet.completed("client").count("job.confirmed") == 24
    wait_until(lambda: sum(fleet.ended().values()) >= 24, 180, "24 jobs to end")
    assert all(count > 0 for count in fleet.ended().values()), fleet.ended()


def test_no_pod_takes_settings_from_a_service(fleet: ClusterFleet) -> None:
    for app in ("steward", "worker"):
        env = fleet.kubectl("exec", fleet.names(app)[0], "--", "env")
        linked = [line for line in env.splitlines() if "=tcp://" in line]
        assert all(line.startswith("KUBERNETES_") for line in linked), linked


@pytest.mark.parametrize(
    "scenario",
    [
        "one-kill",
        "drain",
        "scale",
        "rolling-restart",
        "server-restart",
        "out-of-memory",
        "steward-kill",
        "kill-with-steward",
    ],
)
def test_a_scenario_passes(fleet: ClusterFleet, scenario: str, tmp_path: Path) -> None:
    passes(fleet, scenario, tmp_path)


def test_chaos_in_the_cluster_needs_no_more_than_its_role(fleet: ClusterFleet) -> None:
    fleet.overlay("chaos")
    fleet.rolled_out()
    fleet.kubectl("patch", "job", "chaos", "-p", '{"spec":{"suspend":false}}')
    assert "PASS" in fleet.completed("chaos", 600)
    account = f"system:serviceaccount:{fleet.namespace}:chaos"
    for verb, what, allowed in [
        ("delete", "pods", "yes"),
        ("get", "pods/log", "yes"),
        ("create", "pods", "no"),
        ("create", "pods/eviction", "no"),
        ("patch", "deployments", "no"),
        ("get", "secrets", "no"),
    ]:
        answer = fleet.kubectl("auth", "can-i", verb, what, f"--as={account}", check=False)
        assert answer.strip() == allowed, (verb, what)
