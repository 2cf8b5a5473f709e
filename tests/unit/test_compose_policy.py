"""What every service of compose.yaml must keep to, and that its values are those of the code."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from resonate_fleet.chaos.compose import WORKER_IMAGE
from resonate_fleet.contract import settings, tuning, words
from resonate_fleet.member.settings import Settings as WorkerSettings
from resonate_fleet.server.settings import DevServerSettings
from resonate_fleet.steward.settings import StewardSettings
from resonate_fleet.submit.settings import ClientSettings
from tests.support.images import GRACE_MARGIN_SECONDS, compose, images

ROOT = Path(__file__).parents[2]
COMPOSE = compose(ROOT / "compose.yaml")
AUTH = compose(ROOT / "compose.auth.yaml")
POSTGRES = compose(ROOT / "compose.postgres.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"] | {
    "postgres": POSTGRES["services"]["postgres"]
}
VOLUMES = COMPOSE["volumes"] | POSTGRES["volumes"]
OURS = {"worker": WorkerSettings, "steward": StewardSettings, "client": ClientSettings}
#: The only things of the host that a container may see; all of them read-only.
HOST_MOUNTS = {
    "prometheus": {"./observability/prometheus:/etc/prometheus:ro"},
    "grafana": {
        "./observability/grafana/provisioning:/etc/grafana/provisioning:ro",
        "./observability/grafana/dashboards:/var/lib/grafana/dashboards:ro",
    },
}
RUN_ONCE = {"client", "fleet", "preflight"}

every = pytest.mark.parametrize("name", SERVICES)


def environment(name: str) -> dict[str, str]:
    """Return what a service is given, with the defaults of `${NAME:-default}` filled in."""
    found: dict[str, str] = SERVICES[name].get("environment", {})
    return {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for key, value in found.items()}


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


@every
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    forbidden = {"privileged", "cap_add", "devices", "pid", "ipc", "container_name"}
    assert service.get("network_mode", "none") == "none"
    assert not forbidden & set(service)


@every
def test_a_service_sees_of_the_host_what_is_declared_here(name: str) -> None:
    mounts = {one for one in SERVICES[name].get("volumes", []) if one.startswith((".", "/", "~"))}
    assert mounts == HOST_MOUNTS.get(name, set())
    named = {one.split(":")[0] for one in SERVICES[name].get("volumes", [])} - {
        one.split(":")[0] for one in mounts
    }
    assert named <= set(VOLUMES)


@every
def test_a_service_has_limits_and_a_health_check(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    check = service.get("healthcheck")
    if name in RUN_ONCE:
        assert check == {"disable": True}
        assert service["restart"] == "no"
    else:
        stage = (
            (ROOT / "Dockerfile")
            .read_text(encoding="utf-8")
            .partition(f"AS {service.get('build', {}).get('target')}\n")[2]
        )
        assert check or "HEALTHCHECK" in stage.partition("FROM")[0]
        assert service["restart"] == "unless-stopped"


@every
def test_host_ports_are_on_loopback_and_can_be_moved(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z]+_HOST_PORT-\d+\}:\d+", port), port


@every
def test_an_image_is_pinned_and_those_of_others_can_be_moved(name: str) -> None:
    image = images()[name]
    assert re.search(r":v?\d+(\.\d+)+$", image), image
    ours = image.startswith("resonate-fleet/")
    assert ours == ("build" in SERVICES[name])
    assert ours or SERVICES[name]["image"].startswith("${")


@every
def test_waiting_for_another_service_means_waiting_for_its_health(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        once = other in RUN_ONCE
        expected = "service_completed_successfully" if once else "service_healthy"
        assert how["condition"] == expected, f"{name} waits for {other}"


def test_a_server_whose_store_does_not_answer_is_not_healthy() -> None:
    """`/health` would be 200 meanwhile."""
    assert SERVICES["server"]["healthcheck"]["test"][-1].endswith(f":{words.SERVER_PORT}/ready")


def test_what_can_be_scaled_holds_no_port_of_the_host() -> None:
    assert [name for name in ("worker", "steward") if "ports" in SERVICES[name]] == []


def test_what_runs_once_neither_starts_nor_changes_another_service() -> None:
    """`docker compose run` makes anew what it depends on, if it differs from what is up."""
    assert [name for name in RUN_ONCE if "depends_on" in SERVICES[name]] == []


@pytest.mark.parametrize("name", OURS)
def test_every_setting_is_declared_and_its_value_accepted(name: str) -> None:
    given = environment(name)
    extra = AUTH["services"][name]["environment"]
    declared = {one.env for _, one in settings.declared(OURS[name])}
    assert {key.removesuffix("_FILE") for key in given | extra} <= declared
    settings.load(OURS[name], {k: v for k, v in given.items() if not k.endswith("_FILE")})


def test_what_the_command_submits_is_for_our_members() -> None:
    """Another group has none, and their token reaches no other ids."""
    group = "${WORKER_GROUP:-worker-group}"
    given = [("worker", "WORKER_GROUP"), ("steward", "STEWARD_GROUPS")]
    given += [("client", "CLIENT_GROUP"), ("fleet", "CLIENT_GROUP")]
    assert {SERVICES[name]["environment"][setting] for name, setting in given} == {group}
    with_tokens = (AUTH["services"][name]["environment"] for name in ("client", "fleet"))
    assert {one["CLIENT_ID_PREFIX"] for one in with_tokens} == {"${CLIENT_ID_PREFIX:-fleet-}"}


def test_what_goes_on_is_made_anew_for_new_tokens() -> None:
    """A secret is one file mounted: a container that goes on keeps the old one."""
    for name, service in AUTH["services"].items():
        goes_on = name not in RUN_ONCE
        assert (service.get("labels") == {"fleet.tokens": "${FLEET_TOKENS-}"}) is goes_on, name


def test_the_server_runs_with_the_tuned_values() -> None:
    given = environment("server")
    ways = ("STORAGE", "SERVER", "OBSERVABILITY", "LEVEL", "AUTH")
    tuned = {
        key: value
        for key, value in given.items()
        if key.split("_", 1)[1].split("__")[0] not in ways
    }
    assert tuned == tuning.SERVER_ENV
    known = {one.env for _, one in settings.declared(DevServerSettings)}
    assert set(given) <= known


def test_the_worker_is_given_the_tuned_lease_and_drain_and_the_time_to_drain() -> None:
    given = environment("worker")
    assert float(given["WORKER_LEASE"]) == tuning.LEASE_SECONDS
    assert float(given["WORKER_DRAIN"]) == tuning.DRAIN_SECONDS
    grace = seconds(SERVICES["worker"]["stop_grace_period"])
    assert grace == tuning.DRAIN_SECONDS + GRACE_MARGIN_SECONDS


def test_addresses_in_compose_are_the_ports_of_the_contract() -> None:
    assert environment("worker")["WORKER_STEWARD"] == f"steward:{words.PRESENCE_PORT}"
    for name in ("worker", "steward", "client", "fleet"):
        assert environment(name)["RESONATE_URL"] == f"http://server:{words.SERVER_PORT}"
    inside = {name: SERVICES[name]["ports"][0].rsplit(":", 1)[1] for name in ("server", "console")}
    assert inside == {"server": str(words.SERVER_PORT), "console": str(words.STEWARD_PORT)}
    assert SERVICES["console"]["entrypoint"][-1] == f"steward:{words.STEWARD_PORT}"
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for port, page in (
        (words.WORKER_PORT, "/readyz"),
        (words.STEWARD_PORT, "/readyz"),
        (words.SERVER_PORT, "/health"),
    ):
        assert f'"{page}", "{port}"' in dockerfile


def test_a_member_cut_off_from_the_backend_reaches_neither_server_nor_steward() -> None:
    others = set(SERVICES["worker"]["networks"]) - {"backend"}
    assert "backend" in SERVICES["worker"]["networks"]
    for name in ("server", "steward"):
        assert not others & set(SERVICES[name]["networks"])
    assert len(set(SERVICES["prometheus"]["networks"]) & set(SERVICES["worker"]["networks"])) == 1


def test_chaos_may_strike_the_fleet_and_nothing_else() -> None:
    allowed = {
        name for name in SERVICES if SERVICES[name].get("labels") == {"fleet.chaos": "allowed"}
    }
    assert allowed == {"server", "worker", "steward"}


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ours = [one for one in images().values() if one.startswith("resonate-fleet/")]
    assert {one.rpartition(":")[2] for one in ours} == {project["version"]}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^ARG VERSION=(.+)$", dockerfile, re.MULTILINE) == [project["version"]]


def test_chaos_brings_its_own_functions_whatever_was_chosen() -> None:
    assert images()["worker"] == WORKER_IMAGE


def test_no_host_needs_more_than_one_cpu() -> None:
    """A limit above what the host has is refused."""
    for name, service in SERVICES.items():
        assert float(service["deploy"]["resources"]["limits"]["cpus"]) <= 1, name


def test_no_secret_stands_in_a_file_of_ours() -> None:
    for one in (COMPOSE["secrets"] | AUTH["secrets"]).values():
        assert one["file"].startswith("secrets/")
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
