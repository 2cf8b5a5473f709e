"""What needs the real server: PostgreSQL as its store, tokens. The database itself runs anyway."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from resonate_fleet.contract.wire import Refused
from tests.support.compose import ROOT, Stack, build_images, docker, need_containers
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.containers,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("compose-images"),
]

POSTGRES = "compose.yaml:compose.postgres.yaml"
AUTH = "compose.yaml:compose.auth.yaml"


@contextmanager
def stack(*secrets: str, **env: str) -> Iterator[Stack]:
    make = [str(ROOT / "docker" / "setup"), "secrets", *secrets]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    build_images()
    with Stack(**env) as started:
        yield started


def test_postgres_17_runs_as_its_own_user_on_a_root_that_nobody_can_write_to() -> None:
    need_containers()
    with stack(COMPOSE_FILE=POSTGRES) as fleet:
        fleet.compose("up", "--detach", "--wait", "postgres")
        (database,) = fleet.replicas("postgres")
        ask = ("exec", database.id, "psql", "-U", "resonate", "-At", "-c", "show server_version")
        assert docker(*ask).startswith("17.")
        assert docker("exec", database.id, "id", "-un") == "postgres"
        assert "ead-only" in docker("exec", database.id, "sh", "-c", "touch /x 2>&1 || true")


@pytest.mark.real
def test_the_server_on_postgres_is_killed_in_the_middle_and_nothing_is_lost() -> None:
    need_containers()
    with stack(WORKER_SLOTS="2", COMPOSE_FILE=POSTGRES) as fleet:
        fleet.up(workers=3)
        jobs = fleet.submit("--count", "24", "--cost", "0.5..1", "--seed", "5")
        assert len(jobs) == 24
        (server,) = fleet.replicas("server")
        server.kill_processes()
        wait_until(lambda: int(server.inspect(".RestartCount")) == 1, 20, "the server died")
        wait_until(
            lambda: server.inspect(".State.Health.Status") == "healthy", 20, "the server is back"
        )
        claims = fleet.finish(jobs, within=60)
        assert len(claims) == 24
        (database,) = fleet.replicas("postgres")
        count = "select count(*) from promises where state = 'resolved'"
        ask = ("exec", database.id, "psql", "-U", "resonate", "-At", "-c", count)
        assert docker(*ask) == "24"


@pytest.mark.real
def test_narrow_tokens_do_for_worker_and_client_and_no_token_for_nobody() -> None:
    need_containers()
    with stack("auth", COMPOSE_FILE=AUTH) as fleet:
        fleet.up(workers=2)
        jobs = fleet.submit("--count", "6", "--cost", "0.2", "--id-prefix", "fleet-test", "--wait")
        assert len(jobs) == 6
        refused = fleet.compose(
            "run", "--rm", "--no-TTY", "client", "--id-prefix", "other", check=False
        )
        assert "other-00001" not in refused.split()
        with pytest.raises(Refused, match="401"):
            fleet.held()
