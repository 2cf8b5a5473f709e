"""What one object names, another one has: ports, paths, accounts, settings, metrics."""

from collections.abc import Iterator
from typing import Any

import pytest

from resonate_fleet.contract import words
from tests.support.manifests import COMPONENTS, Object, Tree, find, pod_specs

#: The pages of each process that probes may ask for, by its container's name.
PAGES = {
    "worker": {"/livez", "/readyz"},
    "steward": {"/livez", "/readyz"},
    "server": {"/health", "/ready"},
}
#: The port of each process's metrics page.
METRICS = {"worker": words.WORKER_PORT, "steward": words.STEWARD_PORT, "server": 9090}
#: Brought by an overlay of a user's, or made in the cluster.
BROUGHT = {("ConfigMap", "steward-policy"), ("Secret", "presence")}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="module", params=["base", "keda", "hpa-external"])
def objects(request: pytest.FixtureRequest, tree: Tree) -> list[Object]:
    """The base, and all components: with either autoscaler, in another namespace."""
    if request.param == "base":
        return tree.render("k8s")
    other = {"keda": "hpa-external", "hpa-external": "keda"}[request.param]
    return tree.with_components(*(c for c in COMPONENTS if c != other), namespace="blue")


def containers(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Yield where, pod and container; here every pod has one."""
    for where, template in pod_specs(objects):
        (container,) = template["spec"]["containers"]
        assert "initContainers" not in template["spec"], where
        yield where, template["spec"], container


def ports(container: Object) -> dict[str, int]:
    return {one["name"]: one["containerPort"] for one in container.get("ports", [])}


def named(one: Any) -> Iterator[tuple[str, str, str | None, bool]]:
    """Yield kind, name, key and whether it may be missing, of all that a pod reads from."""
    if isinstance(one, list):
        for part in one:
            yield from named(part)
    elif isinstance(one, dict):
        for key, part in one.items():
            if key in ("configMapKeyRef", "configMapRef", "secretKeyRef", "secretRef"):
                kind = "ConfigMap" if key.startswith("config") else "Secret"
                yield kind, part["name"], part.get("key"), part.get("optional", False)
            elif key == "configMap":
                yield "ConfigMap", part["name"], None, part.get("optional", False)
            elif key == "secret":
                yield "Secret", part["secretName"], None, part.get("optional", False)
            yield from named(part)


def test_all_that_a_pod_reads_from_is_there(objects: list[Object]) -> None:
    there = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    for where, spec, _ in containers(objects):
        assert ("ServiceAccount", spec["serviceAccountName"]) in there, where
        for kind, name, key, optional in named(spec):
            if optional or (kind, name) in BROUGHT:
                continue
            assert (kind, name) in there, (where, kind, name)
            assert key is None or key in there[kind, name]["data"], (where, name, key)
        claims = [one.get("persistentVolumeClaim") for one in spec.get("volumes", [])]
        for claim in filter(None, claims):
            assert ("PersistentVolumeClaim", claim["claimName"]) in there, where


def test_every_mount_has_its_volume_and_every_volume_is_mounted(objects: list[Object]) -> None:
    for (where, spec, container), one in zip(containers(objects), workloads(objects), strict=True):
        templates = one["spec"].get("volumeClaimTemplates", [])
        volumes = {v["name"] for v in spec.get("volumes", [])}
        volumes |= {v["metadata"]["name"] for v in templates}
        assert {m["name"] for m in container.get("volumeMounts", [])} == volumes, where
        for volume in spec.get("volumes", []):
            (kind,) = set(volume) - {"name"}
            assert kind in ("emptyDir", "secret", "configMap", "persistentVolumeClaim"), where


def workloads(objects: list[Object]) -> list[Object]:
    return [one for one in objects if one["kind"] in ("Deployment", "StatefulSet", "Job")]


def test_probes_ask_for_pages_that_the_process_serves(objects: list[Object]) -> None:
    for where, _, container in containers(objects):
        asked = {
            container[kind]["httpGet"]["path"]
            for kind in ("startupProbe", "readinessProbe", "livenessProbe")
            if "httpGet" in container.get(kind, {})
        }
        assert asked <= PAGES.get(container["name"], set()), where
        # What is not ready is left alone; only what is not alive is started again.
        if "livenessProbe" in container and asked:
            alive, ready = sorted(PAGES[container["name"]])
            assert container["livenessProbe"]["httpGet"]["path"] == alive, where
            assert container["readinessProbe"]["httpGet"]["path"] == ready, where


def test_metrics_are_scraped_where_they_are_served(objects: list[Object]) -> None:
    pods = {where.partition("/")[2]: t for where, t in pod_specs(objects)}
    for name, port in METRICS.items():
        template = pods[name]
        assert ports(template["spec"]["containers"][0])["metrics"] == port
        assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    for one in objects:
        if one["kind"] == "PodMonitor":
            name = one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
            for endpoint in one["spec"]["podMetricsEndpoints"]:
                assert endpoint["port"] in ports(pods[name]["spec"]["containers"][0])


def test_workers_and_stewards_survive_a_node_and_its_drain(objects: list[Object]) -> None:
    budgets = [one["spec"] for one in objects if one["kind"] == "PodDisruptionBudget"]
    for name in ("worker", "steward"):
        spec = find(objects, "Deployment", name)["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert [b for b in budgets if b["selector"]["matchLabels"].items() <= labels.items()]
        (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
        assert spread["labelSelector"]["matchLabels"].items() <= labels.items()


def test_the_group_of_the_pods_is_the_group_of_the_settings(objects: list[Object]) -> None:
    given = find(objects, "ConfigMap", "worker-settings")["data"]["WORKER_GROUP"]
    labels = find(objects, "Deployment", "worker")["spec"]["template"]["metadata"]["labels"]
    assert labels["fleet.group"] == given
    assert find(objects, "ConfigMap", "steward-settings")["data"]["STEWARD_GROUPS"] == given


# Networks: the ports that policies open are those that pods have and others ask for.


def policies(tree: Tree) -> tuple[list[Object], dict[str, tuple[dict[str, str], set[int]]]]:
    objects = tree.with_components(*(c for c in COMPONENTS if c != "hpa-external"))
    pods = {
        where: (t["metadata"]["labels"], set(ports(t["spec"]["containers"][0]).values()))
        for where, t in pod_specs(objects)
    }
    return [one for one in objects if one["kind"] == "NetworkPolicy"], pods


def selects(selector: Object, labels: dict[str, str]) -> bool:
    exact = selector.get("matchLabels", {}).items() <= labels.items()
    return exact and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
    )


def opened(policy: Object, way: str) -> set[int]:
    rules = policy["spec"].get(way, [])
    return {port["port"] for rule in rules for port in rule.get("ports", [])}


def allowed(tree: Tree, one: str, other: str, port: int) -> bool:
    """Say whether policies let one pod reach a port of the other: both sides must."""
    found, pods = policies(tree)
    ways = (("egress", "to", one, other), ("ingress", "from", other, one))
    return all(
        any(
            selects(policy["spec"]["podSelector"], pods[mine][0])
            and port in {p["port"] for p in rule["ports"]}
            and any(
                "podSelector" in peer and selects(peer["podSelector"], pods[theirs][0])
                for peer in rule.get(side, [])
            )
            for policy in found
            for rule in policy["spec"].get(way, [])
        )
        for way, side, mine, theirs in ways
    )


#: Who must reach whom: what each process's settings name.
REACHED = [
    ("Deployment/worker", "Deployment/server", words.SERVER_PORT),
    ("Deployment/steward", "Deployment/server", words.SERVER_PORT),
    ("Job/client", "Deployment/server", words.SERVER_PORT),
    ("Job/chaos", "Deployment/server", words.SERVER_PORT),
    ("Deployment/worker", "Deployment/steward", words.PRESENCE_PORT),
    ("Deployment/server", "StatefulSet/postgres", 5432),
]


@pytest.mark.parametrize(("one", "other", "port"), REACHED)
def test_policies_open_what_the_fleet_needs(tree: Tree, one: str, other: str, port: int) -> None:
    assert allowed(tree, one, other, port)


def test_policies_open_nothing_else_between_pods(tree: Tree) -> None:
    found, pods = policies(tree)
    every = {port for _, own in pods.values() for port in own}
    open_ = {
        (one, other, port)
        for one in pods
        for other in pods
        for port in every
        if allowed(tree, one, other, port)
    }
    assert open_ == set(REACHED)
    for policy in found:
        own = {p for labels, has in pods.values() for p in has
               if selects(policy["spec"]["podSelector"], labels)}  # fmt: skip
        assert opened(policy, "ingress") <= own, policy["metadata"]["name"]


def test_services_and_policies_open_the_same_ports(tree: Tree) -> None:
    objects = tree.with_components(*(c for c in COMPONENTS if c != "hpa-external"))
    _, pods = policies(tree)
    served: set[int] = set()
    for one in objects:
        if one["kind"] == "Service":
            (where,) = [w for w, (labels, _) in pods.items()
                        if one["spec"]["selector"].items() <= labels.items()]  # fmt: skip
            names = ports(dict(pod_specs(objects))[where]["spec"]["containers"][0])
            for port in one["spec"]["ports"]:
                assert names[port["targetPort"]] == port["port"]
                served.add(port["port"])
    # The page of a steward is for `kubectl port-forward` and for scrapes.
    assert {port for _, _, port in REACHED} == served - {words.STEWARD_PORT}
