import pytest

from resonate_fleet.contract.replica import own_name, replica_of


@pytest.mark.parametrize(
    ("full", "replica"),
    [
        ("resonate-fleet-worker-2.resonate-fleet_metrics", "worker-2"),
        ("my-own-fleet-worker-12.my-own-fleet_backend", "worker-12"),
        ("fleet_a-steward-1.fleet_a_backend", "steward-1"),
        ("worker-2.bridge", None),
        ("ip-10-0-0-1.eu.internal", None),
        ("", None),
    ],
)
def test_a_replica_is_called_what_compose_calls_it(full: str, replica: str | None) -> None:
    assert replica_of(full) == replica


def test_a_container_has_its_name_from_docker() -> None:
    asked: list[str] = []

    def ask(host: str) -> str:
        asked.append(host)
        return "fleet-worker-3.fleet_backend"

    assert own_name("5d9f753f55b3", ask) == "worker-3"
    assert asked == ["5d9f753f55b3"]


def test_a_container_that_docker_has_no_name_for_keeps_its_id() -> None:
    assert own_name("5d9f753f55b3", lambda _: "") == "5d9f753f55b3"


def test_a_host_that_is_no_container_asks_nobody() -> None:
    def ask(host: str) -> str:
        pytest.fail(f"asked about {host}")

    assert own_name("worker-7f9c-x2x", ask) == "worker-7f9c-x2x"
    assert own_name("Ann's laptop", ask) == "Ann-s-laptop"
