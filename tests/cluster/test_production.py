"""The overlay `production`, unmodified: PostgreSQL, tokens, enforced policies, monitoring."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate_fleet.contract.envelope import envelope
from tests.cluster.chaos import passes
from tests.cluster.conftest import ClusterFleet, kubectl, removed_after
from tests.support.waiting import wait_until

#: What the Prometheus operator would bring; here it only has to take the objects.
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: {plural}.monitoring.coreos.com }}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {{ kind: {kind}, plural: {plural} }}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }}
"""
#: Opens a connection and closes it: exit code 0, or 7 where nothing answers in time.
PROBE = (
    "import socket,sys\n"
    "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)\n"
    "except OSError: sys.exit(7)"
)


def accept(kind: str) -> None:
    """See to it that the cluster takes objects of `kind`."""
    plural = kind.lower() + "s"
    subprocess.run(
        ["kubectl", "apply", "-f", "-"],
        input=CRD.format(kind=kind, plural=plural),
        check=True,
        text=True,
        capture_output=True,
    )
    name = f"crd/{plural}.monitoring.coreos.com"
    kubectl("wait", "--for=condition=established", name, "--timeout=60s")


@pytest.fixture(scope="module")
def production(checkout: Path) -> Iterator[ClusterFleet]:
    one = ClusterFleet(checkout)
    one.remove()
    for kind in ("PodMonitor", "PrometheusRule"):
        accept(kind)
    subprocess.run([checkout / "k8s/secrets"], check=True, capture_output=True)
    with removed_after(one):
        one.apply("production")
        one.rolled_out("statefulset/postgres")
        one.rolled_out()
        yield one


def reaches(fleet: ClusterFleet, app: str, host: str, port: int) -> bool:
    (pod,) = fleet.names(app)[:1]
    command = ["exec", pod, "--", "python", "-c", PROBE, host, str(port)]
    done = subprocess.run(
        ["kubectl", "--namespace", fleet.namespace, *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (0, 7), done.stderr
    return done.returncode == 0


def test_jobs_are_done_and_kept_in_postgres(production: ClusterFleet) -> None:
    assert production.completed("client").count("job.confirmed") == 24
    wait_until(lambda: sum(production.ended().values()) >= 24, 180, "24 jobs to end")
    count = "select count(*) from promises where id like 'fleet-first-%'"
    psql = ["psql", "-U", "resonate", "-d", "resonate", "-tAc", count]
    assert int(production.kubectl("exec", "postgres-0", "--", *psql)) >= 24


def test_without_a_token_the_server_refuses(production: ClusterFleet) -> None:
    body = json.dumps(envelope("promise.get", {"id": "fleet-first-00001"}))
    ask = (
        "import sys,urllib.request as r,urllib.error as e\n"
        "q=r.Request('http://server:8001/',sys.argv[1].encode(),{'Content-Type':'application/json'})\n"
        "try: print(r.urlopen(q,timeout=5).status)\n"
        "except e.HTTPError as x: print(x.code)"
    )
    (steward,) = production.names("steward")[:1]
    said = production.kubectl("exec", steward, "--", "python", "-c", ask, body)
    assert said.strip() in ("401", "403")


def test_what_is_needed_is_reached_and_nothing_else(production: ClusterFleet) -> None:
    """Each port that is refused here is open: without enforcement this fails."""
    (server,) = production.pods("server")
    (postgres,) = production.pods("postgres")
    (worker, *_) = production.pods("worker")
    assert reaches(production, "steward", "server", 8001)
    assert reaches(production, "worker", "steward", 9466)
    for app, pod, port in [
        ("steward", server, 9090),
        ("worker", server, 9090),
        ("worker", postgres, 5432),
        ("steward", postgres, 5432),
        ("steward", worker, 9464),
    ]:
        where = (app, pod["metadata"]["name"], port)
        assert not reaches(production, app, pod["status"]["podIP"], port), where


def test_chaos_from_outside_with_a_token(production: ClusterFleet, tmp_path: Path) -> None:
    passes(production, "one-kill", tmp_path, production.checkout / "secrets/steward-token")


def test_chaos_in_the_cluster_with_a_token(production: ClusterFleet) -> None:
    production.overlay("chaos", on="production")
    production.rolled_out()
    production.kubectl("patch", "job", "chaos", "-p", '{"spec":{"suspend":false}}')
    assert "PASS" in production.completed("chaos", 600)
