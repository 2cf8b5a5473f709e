"""The fleet on a real cluster: `pytest -m cluster`; conftest.py says what it needs."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.conftest import NAMESPACE, ClusterFleet
from tests.support.processes import room_command
from tests.support.waiting import wait_until

#: One scenario on a cluster, with all that pods take to come and go.
RUN_SECONDS = 900


def lines_of(fleet: ClusterFleet, pod: str) -> list[dict[str, object]]:
    raw = fleet.kubectl("logs", pod).splitlines()
    return [json.loads(line) for line in raw if line.startswith("{")]


def verdict(scenario: str, folder: Path) -> dict[str, object]:
    """Run a scenario with its strikes; return the verdict."""
    done = subprocess.run(
        [
            *(*room_command("fleet"), "chaos", "run", scenario),
            *("--on", "kubernetes", "--strike", "--seed", "7", "--namespace", NAMESPACE),
            *("--runs", str(folder)),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    found = sorted(folder.glob("*/verdict.json"))
    assert found, f"exit code {done.returncode}: {done.stdout}\n{done.stderr}"
    said: dict[str, object] = json.loads(found[-1].read_text())
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return said


@pytest.mark.timeout(RUN_SECONDS)
def test_restricted_pods_are_admitted_and_the_job_is_spread(fleet: ClusterFleet) -> None:
    assert len(fleet.pods("worker")) == 3
    wait = "--timeout=180s"
    fleet.kubectl("wait", "--for=condition=complete", "job/client", wait, seconds=200)
    (client,) = fleet.pods("client")
    jobs = [
        line["job"] for line in lines_of(fleet, client) if line.get("action") == "job.confirmed"
    ]
    assert len(jobs) == 24

    def done() -> Counter[str]:
        by_pod: Counter[str] = Counter()
        for pod in fleet.pods("worker"):
            ended = [line for line in lines_of(fleet, pod) if line.get("action") == "job.ended"]
            by_pod[pod] = sum(1 for line in ended if line["job"] in jobs)
        return by_pod

    wait_until(lambda: done().total() >= 24, 180, "24 jobs to end")
    assert all(count > 0 for count in done().values()), done()


@pytest.mark.timeout(RUN_SECONDS)
@pytest.mark.parametrize(
    "scenario", ["one-kill", "drain", "scale", "rolling-restart", "server-restart"]
)
def test_a_scenario_passes(fleet: ClusterFleet, scenario: str, tmp_path: Path) -> None:
    said = verdict(scenario, tmp_path)
    assert said["verdict"] == "PASS", said
    assert said["place"] == "kubernetes"


@pytest.mark.timeout(RUN_SECONDS)
def test_chaos_in_the_cluster_needs_no_more_than_its_role(fleet: ClusterFleet) -> None:
    fleet.apply("chaos")
    fleet.rolled_out("server", "steward", "worker")
    fleet.kubectl("patch", "job", "chaos", "-p", '{"spec":{"suspend":false}}')
    wait = "--timeout=600s"
    fleet.kubectl("wait", "--for=condition=complete", "job/chaos", wait, seconds=620)
    assert "PASS" in fleet.kubectl("logs", "job/chaos")
    account = f"system:serviceaccount:{NAMESPACE}:chaos"
    for verb, what, allowed in [
        ("delete", "pods", "yes"),
        ("get", "pods/log", "yes"),
        ("create", "pods", "no"),
        ("patch", "deployments", "no"),
        ("get", "secrets", "no"),
    ]:
        said = fleet.kubectl("auth", "can-i", verb, what, f"--as={account}", check=False)
        assert said.strip() == allowed, (verb, what)


@pytest.mark.timeout(RUN_SECONDS)
def test_network_policies_hold_where_the_cluster_enforces_them(fleet: ClusterFleet) -> None:
    fleet.apply("network-policies")
    probe = (
        "import socket,sys\n"
        "try: socket.create_connection(('server', 8001), 3)\n"
        "except OSError: sys.exit(7)"
    )
    (steward,) = fleet.pods("steward")
    fleet.kubectl("exec", steward, "--", "python", "-c", probe)  # what needs the server reaches it
    metrics = probe.replace("8001", "9090")
    done = subprocess.run(
        ["kubectl", "-n", NAMESPACE, "exec", steward, "--", "python", "-c", metrics],
        check=False,
        capture_output=True,
        timeout=60,
    )
    if done.returncode == 0:
        pytest.skip("this cluster's network does not enforce policies")
    assert done.returncode == 7, done.stderr
