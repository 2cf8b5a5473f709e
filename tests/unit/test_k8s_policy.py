"""What every object must be, whatever is added: our own rules."""

import re
import tomllib
from typing import Any

import pytest

from resonate_fleet.chaos.faults import ALL as FAULTS
from resonate_fleet.chaos.place import Ability, abilities
from resonate_fleet.chaos.plan import prefix
from resonate_fleet.chaos.scenario import read as read_scenario
from resonate_fleet.contract.settings import declared
from resonate_fleet.contract.tuning import DRAIN_SECONDS, LEASE_SECONDS, SERVER_ENV
from resonate_fleet.member.settings import Settings as WorkerSettings
from resonate_fleet.server.settings import DevServerSettings
from resonate_fleet.steward import presence_secret
from resonate_fleet.steward.settings import StewardSettings
from resonate_fleet.submit.settings import ClientSettings
from tests.support.images import FILES, GRACE_MARGIN_SECONDS, compose, images
from tests.support.manifests import COMPONENTS, ROOT, Object, Tree, find, pod_specs


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("manifests"))


@pytest.fixture(scope="module", params=["base", "all"])
def objects(request: pytest.FixtureRequest, tree: Tree) -> list[Object]:
    if request.param == "base":
        return tree.render("k8s")
    return tree.with_components(*(c for c in COMPONENTS if c != "hpa-external"))


def test_a_fleet_in_another_namespace_is_bound_to_nobody_elses_accounts(tree: Tree) -> None:
    components = [name for name in COMPONENTS if name != "hpa-external"]
    objects = tree.with_components(*components, namespace="blue")
    bindings = [one for one in objects if one["kind"].endswith("RoleBinding")]
    names = {one["metadata"]["name"] for one in bindings}
    assert names == {"chaos", "scale-in", "presence-secret"}
    for one in objects:
        if one["kind"] == "Namespace":
            assert one["metadata"]["name"] == "blue"
        else:
            assert one["metadata"]["namespace"] == "blue", one["metadata"]
    for one in bindings:
        assert {subject["namespace"] for subject in one["subjects"]} == {"blue"}, one


@pytest.fixture(scope="module")
def base(tree: Tree) -> list[Object]:
    return tree.render("k8s")


def test_every_object_is_ours_and_in_the_namespace(objects: list[Object]) -> None:
    for one in objects:
        if one["kind"] == "Namespace":
            assert one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
            continue
        assert one["metadata"]["namespace"] == "resonate-fleet"
        assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "resonate-fleet"


def test_every_pod_is_restricted(objects: list[Object]) -> None:
    for where, template in pod_specs(objects):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, where
        assert spec["securityContext"]["runAsUser"] > 0, where
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), where
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), where
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, where
            assert context["readOnlyRootFilesystem"] is True, where
            assert context["capabilities"] == {"drop": ["ALL"]}, where


def test_every_container_has_requests_and_a_memory_limit(objects: list[Object]) -> None:
    for where, template in pod_specs(objects):
        for container in template["spec"]["containers"]:
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), where
            assert "memory" in container["resources"]["limits"], where


def test_every_service_has_three_probes_of_named_ports(objects: list[Object]) -> None:
    for where, template in pod_specs(objects):
        if where.startswith("Job/"):
            continue
        for container in template["spec"]["containers"]:
            named = {port["name"] for port in container["ports"]}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container[kind]
                port = probe.get("httpGet", probe.get("tcpSocket", {})).get("port")
                assert port is None or port in named, (where, kind)
            assert container["livenessProbe"]["timeoutSeconds"] >= 5, f"{where}: a busy node"


def test_a_slow_answer_takes_nobody_out_who_is_alone(objects: list[Object]) -> None:
    """A search of a million finished jobs keeps the server's store busy for up to 7 s."""
    for where, template in pod_specs(objects):
        if where in ("Deployment/server", "StatefulSet/postgres"):
            assert template["spec"]["containers"][0]["readinessProbe"]["timeoutSeconds"] > 7, where


def test_a_body_that_holds_the_interpreter_is_not_ended_before_its_lease(tree: Tree) -> None:
    settings = find(tree.render("k8s"), "ConfigMap", "worker-settings")["data"]
    worker = find(tree.render("k8s"), "Deployment", "worker")["spec"]["template"]["spec"]
    probe = worker["containers"][0]["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= float(settings["WORKER_LEASE"])


def test_images_are_pinned(objects: list[Object]) -> None:
    for where, template in pod_specs(objects):
        for container in template["spec"]["containers"]:
            assert re.search(r":v?\d+\.\d+", container["image"]), (where, container["image"])


def test_images_are_those_of_compose(objects: list[Object]) -> None:
    used = images()
    allowed = {used["server"], used["postgres"]}
    version = used["worker"].rpartition(":")[2]
    for where, template in pod_specs(objects):
        for container in template["spec"]["containers"]:
            name, _, tag = container["image"].partition(":")
            if name.startswith("resonate-fleet/"):
                assert tag == version, where
            else:
                assert container["image"] in allowed, where


def test_nobody_has_a_token_that_needs_none(tree: Tree, base: list[Object]) -> None:
    for where, template in pod_specs(base):
        needs = where == "Job/presence-secret"
        assert template["spec"]["automountServiceAccountToken"] is needs, where
    for one in base:
        if one["kind"] == "ServiceAccount":
            assert one["automountServiceAccountToken"] is False
    everything = tree.with_components(*(c for c in COMPONENTS if c != "hpa-external"))
    with_token = {
        where
        for where, template in pod_specs(everything)
        if template["spec"].get("automountServiceAccountToken") is not False
    }
    assert with_token <= {"Deployment/steward", "Job/chaos", "Job/presence-secret"}


def test_selectors_find_their_pods(objects: list[Object]) -> None:
    labels = {where: t["metadata"]["labels"] for where, t in pod_specs(objects)}
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet"):
            selector = one["spec"]["selector"]["matchLabels"]
        elif one["kind"] == "Service":
            selector = one["spec"]["selector"]
        else:
            continue
        assert any(selector.items() <= own.items() for own in labels.values()), one["metadata"]


def test_one_setting_drives_drain_and_grace(base: list[Object]) -> None:
    worker = find(base, "Deployment", "worker")["spec"]["template"]["spec"]
    settings = find(base, "ConfigMap", "worker-settings")["data"]
    assert float(settings["WORKER_DRAIN"]) == DRAIN_SECONDS
    assert float(settings["WORKER_LEASE"]) == LEASE_SECONDS
    grace = DRAIN_SECONDS + GRACE_MARGIN_SECONDS
    assert worker["terminationGracePeriodSeconds"] == grace


def test_the_server_runs_as_measured_and_as_in_compose(base: list[Object]) -> None:
    settings = find(base, "ConfigMap", "server-settings")["data"]
    assert settings.items() >= SERVER_ENV.items()
    theirs = compose(ROOT / "compose.yaml")["services"]["server"]["environment"]
    assert {k: str(v) for k, v in theirs.items() if k in SERVER_ENV} == SERVER_ENV


@pytest.mark.parametrize(
    ("process", "cls"),
    [("worker", WorkerSettings), ("steward", StewardSettings), ("client", ClientSettings)],
)
def test_every_setting_is_declared(tree: Tree, process: str, cls: type[Any]) -> None:
    everything = tree.with_components(*(c for c in COMPONENTS if c != "hpa-external"))
    known = {one.env for _, one in declared(cls)} | {f"{one.env}_FILE" for _, one in declared(cls)}
    given: set[str] = set()
    if process != "client":
        given |= set(find(everything, "ConfigMap", f"{process}-settings")["data"])
    for where, template in pod_specs(everything):
        if where.endswith(f"/{process}"):
            given |= {e["name"] for e in template["spec"]["containers"][0].get("env", [])}
    assert given
    assert given <= known


def ours() -> set[str]:
    """Return the names of all settings that a process of the fleet reads."""
    classes = (WorkerSettings, StewardSettings, ClientSettings, DevServerSettings)
    return {one.env for cls in classes for _, one in declared(cls)}


def service_links(services: list[Object]) -> set[str]:
    """Return what Kubernetes puts into each pod for these Services (headless ones: nothing)."""
    names: set[str] = set()
    for one in services:
        prefix = one["metadata"]["name"].upper().replace("-", "_")
        if one["spec"].get("clusterIP") == "None":
            continue
        names |= {f"{prefix}_SERVICE_HOST", f"{prefix}_SERVICE_PORT", f"{prefix}_PORT"}
        for port in one["spec"]["ports"]:
            names.add(f"{prefix}_SERVICE_PORT_{port.get('name', '').upper().replace('-', '_')}")
            link = f"{prefix}_PORT_{port['port']}_{port.get('protocol', 'TCP')}"
            names |= {link, f"{link}_PROTO", f"{link}_PORT", f"{link}_ADDR"}
    return names


def test_no_pod_takes_settings_from_a_service(objects: list[Object]) -> None:
    named_alike = service_links([one for one in objects if one["kind"] == "Service"]) & ours()
    for where, template in pod_specs(objects):
        assert template["spec"]["enableServiceLinks"] is False, (where, named_alike)


def test_a_service_named_like_a_process_would_set_its_port() -> None:
    spec = {"ports": [{"name": "metrics", "port": 9465}]}
    services = [{"metadata": {"name": name}, "spec": spec} for name in ("steward", "worker")]
    assert service_links(services) & ours() == {"STEWARD_PORT", "WORKER_PORT"}


def test_compose_links_no_container() -> None:
    """Docker puts `<ALIAS>_PORT` and `<ALIAS>_NAME` into a container that links another."""
    aliases = compose(ROOT / "compose.yaml")["services"]
    links = {f"{alias.upper()}_{end}" for alias in aliases for end in ("PORT", "NAME")}
    assert {"STEWARD_PORT", "WORKER_NAME"} <= links & ours()
    for file in FILES:
        for name, service in compose(file)["services"].items():
            assert not {"links", "external_links"} & set(service), (file.name, name)


def test_no_service_of_ours_injects_a_setting(objects: list[Object]) -> None:
    services = [one for one in objects if one["kind"] == "Service"]
    assert not service_links(services) & ours()


def test_members_find_every_steward_and_share_a_secret_with_it(base: list[Object]) -> None:
    service = find(base, "Service", "steward")["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert find(base, "Deployment", "steward")["spec"]["replicas"] == 2
    assert find(base, "PodDisruptionBudget", "steward")["spec"]["maxUnavailable"] == 1
    for name in ("steward", "worker"):
        spec = find(base, "Deployment", name)["spec"]["template"]["spec"]
        (file,) = [
            one["value"]
            for one in spec["containers"][0]["env"]
            if one["name"] == "FLEET_PRESENCE_SECRET_FILE"
        ]
        mounts = {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"]}
        (volume,) = [one for one in spec["volumes"] if "secret" in one]
        assert volume["secret"]["secretName"] == presence_secret.NAME
        assert file == f"{mounts[volume['name']]}/{presence_secret.KEY}"


def test_the_account_that_makes_the_secret_may_do_nothing_else(base: list[Object]) -> None:
    rules = find(base, "Role", "presence-secret")["rules"]
    assert rules == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]


def test_the_worker_rolls_without_a_gap(base: list[Object]) -> None:
    worker = find(base, "Deployment", "worker")["spec"]
    assert worker["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert find(base, "Deployment", "server")["spec"]["strategy"] == {"type": "Recreate"}
    assert find(base, "PodDisruptionBudget", "worker")["spec"]["maxUnavailable"] == 1


#: What each ability asks of the API server (chaos/kubernetes.py), as the tests of the requests see
#: it: what the chaos role must allow, and what only an operator's own account may do.
NEEDS: dict[Ability, set[tuple[str, str]]] = {
    "kill": {("pods", "delete"), ("pods", "watch"), ("pods", "list")},
    "replace": {("pods", "delete"), ("pods", "watch")},
    "terminate": {("pods", "delete")},  # an eviction where the account may, else a delete in order
}
WITNESSES = {("pods/log", "get"), ("pods", "get")}
OPERATORS: dict[Ability, set[tuple[str, str]]] = {
    "restart_members": {("deployments", "patch")},
    "scale": {("deployments/scale", "patch")},
    "run": {("pods/exec", "create")},
}


def test_it_is_known_what_each_ability_asks_for() -> None:
    assert {*NEEDS, *OPERATORS} == abilities("kubernetes")


def test_chaos_may_do_what_its_scenarios_need_and_nothing_more(tree: Tree) -> None:
    objects = tree.with_components("chaos")
    allowed = {
        (resource, verb)
        for rule in find(objects, "Role", "chaos")["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert allowed == WITNESSES.union(*NEEDS.values())
    assert not allowed & set().union(*OPERATORS.values())
    assert not {"ClusterRole", "ClusterRoleBinding"} & {one["kind"] for one in objects}


def test_the_scenario_in_the_cluster_asks_only_for_what_its_role_allows(tree: Tree) -> None:
    text = find(tree.with_components("chaos"), "ConfigMap", "chaos-scenarios")["data"]
    scenario = tomllib.loads(text["in-cluster.toml"])
    needs = {ability for one in scenario["strikes"] for ability in FAULTS[one["fault"]].needs}
    assert needs <= set(NEEDS)
    settings = find(tree.render("k8s"), "ConfigMap", "worker-settings")["data"]
    worker = find(tree.render("k8s"), "Deployment", "worker")
    assert scenario["fleet"]["members"] == worker["spec"]["replicas"]
    assert scenario["fleet"]["slots"] == int(settings["WORKER_SLOTS"])
    assert scenario["fleet"]["lease"] == float(settings["WORKER_LEASE"])


@pytest.mark.parametrize("order", [("auth", "chaos"), ("chaos", "auth")])
def test_chaos_has_a_token_where_the_server_asks_for_one(
    tree: Tree, order: tuple[str, str]
) -> None:
    objects = tree.with_components(*order)
    container = find(objects, "Job", "chaos")["spec"]["template"]["spec"]["containers"][0]
    (token,) = [one for one in container["env"] if one["name"] == "RESONATE_TOKEN"]
    reference = token["valueFrom"]["secretKeyRef"]
    assert reference["optional"] is True, "without `auth` there is none"
    secrets = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Secret"}
    assert reference["key"] in secrets[reference["name"]]["data"]


def test_chaos_strikes_in_its_own_namespace(tree: Tree) -> None:
    job = find(tree.with_components("chaos"), "Job", "chaos")["spec"]["template"]["spec"]
    assert "--namespace" not in job["containers"][0]["args"]


def test_no_volume_is_walked_through_at_each_start(objects: list[Object]) -> None:
    for where, template in pod_specs(objects):
        context = template["spec"]["securityContext"]
        if "fsGroup" in context:
            assert context["fsGroupChangePolicy"] == "OnRootMismatch", where


def test_applying_chaos_strikes_nothing(tree: Tree) -> None:
    assert find(tree.with_components("chaos"), "Job", "chaos")["spec"]["suspend"] is True


def test_scale_in_may_patch_pods_and_nothing_else(tree: Tree) -> None:
    rules = find(tree.with_components("scale-in"), "Role", "scale-in")["rules"]
    assert rules == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}]


def test_the_tokens_of_docker_setup_allow_the_jobs_of_the_base_and_of_chaos(
    base: list[Object],
) -> None:
    script = (ROOT / "docker/setup").read_text()
    (allowed,) = re.findall(r"^prefix=(\S+) ", script, re.MULTILINE)
    args = find(base, "Job", "client")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[args.index("--id-prefix") + 1].startswith(allowed)
    scenario = read_scenario(ROOT / "k8s/components/chaos/in-cluster.toml")
    assert prefix(scenario, 7).startswith(allowed)
