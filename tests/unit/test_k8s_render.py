"""Every overlay and every pair of components renders and is valid, strictly, offline."""

import json
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.support.manifests import COMPONENTS, OVERLAYS, PAIRS, ROOT, Object, Tree, find

#: From the least that docs/kubernetes.md names to the newest that there are schemas of.
VERSIONS = ("1.31.0", "1.34.0", "1.37.0")

#: Kinds of operators: no schema of theirs comes with Kubernetes; checked by hand below.
FOREIGN = {
    "ScaledObject": "keda.sh/v1alpha1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("manifests"))


@cache
def validate(rendered: str) -> None:
    """Validate one object strictly for each version; the same object is looked at once."""
    for version in VERSIONS:
        kubernetes_validate.validate(json.loads(rendered), version, strict=True)


def check(objects: list[Object]) -> int:
    """Validate what Kubernetes itself knows; return how many objects that were."""
    looked = 0
    for one in objects:
        if one["kind"] in FOREIGN:
            assert one["apiVersion"] == FOREIGN[one["kind"]]
            continue
        validate(json.dumps(one, sort_keys=True))
        looked += 1
    return looked


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_valid(tree: Tree, overlay: str) -> None:
    assert check(tree.render(overlay)) >= 14


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_alone_is_valid(tree: Tree, component: str) -> None:
    with_it = tree.with_components(component)
    assert check(with_it) >= 14
    assert with_it != tree.render("k8s"), "a component that changes nothing"


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_a_pair_of_components_is_valid(tree: Tree, pair: tuple[str, str]) -> None:
    objects = tree.with_components(*pair)
    assert check(objects) >= 14
    names = [(o["kind"], o["metadata"]["name"]) for o in objects]
    assert len(set(names)) == len(names)


def test_the_check_finds_a_misspelt_field(tree: Tree) -> None:
    worker = find(tree.render("k8s"), "Deployment", "worker")
    spoilt = yaml.safe_load(yaml.safe_dump(worker))
    spoilt["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 40
    with pytest.raises(kubernetes_validate.ValidationError):
        check([spoilt])


def test_the_base_needs_no_operator(tree: Tree) -> None:
    assert not {one["kind"] for one in tree.render("k8s")} & set(FOREIGN)


def test_the_operators_rules_are_the_rules() -> None:
    rules = yaml.safe_load((ROOT / "observability/prometheus/rules/fleet.yaml").read_text())
    rule = yaml.safe_load((ROOT / "k8s/components/monitoring/prometheusrule.yaml").read_text())
    assert rule["spec"] == rules


def test_the_dashboards_are_the_files(tree: Tree) -> None:
    objects = tree.with_components("grafana")
    for name in ("fleet", "server"):
        one = find(objects, "ConfigMap", f"dashboard-{name}")
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        file: Path = ROOT / f"observability/grafana/dashboards/{name}.json"
        assert one["data"] == {f"{name}.json": file.read_text()}
