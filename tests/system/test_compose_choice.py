"""What was chosen at the first `up` holds: a wrong mixture fails loudly and loses nothing."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.compose import ROOT, Stack, build_images, need_containers

pytestmark = [
    pytest.mark.containers,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("compose-choice"),
]

OTHERS = {
    "store": "compose.yaml:compose.postgres.yaml",
    "tokens": "compose.yaml:compose.auth.yaml",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    need_containers()
    build_images()
    make = [str(ROOT / "docker" / "setup"), "secrets", "auth"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    with Stack() as started:
        started.up("worker", workers=1)
        yield started


def up(stack: Stack, **env: str) -> str:
    """Start the fleet as before; return what Compose says where it fails, else nothing."""
    command = ["docker", "compose", "up", "--detach", "--wait", "--scale", "worker=1", "worker"]
    done = subprocess.run(
        command, env=stack.env(**env), cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("what", OTHERS)
def test_another_choice_than_the_first_is_refused_and_the_first_goes_on(
    stack: Stack, what: str
) -> None:
    jobs = stack.submit("--count", "2", "--cost", "0.1")
    stack.finish(jobs, within=30)
    said = up(stack, COMPOSE_FILE=OTHERS[what])
    assert "preflight" in said
    assert "this fleet began with store sqlite, tokens off" in stack.compose("logs", "preflight")
    assert stack.replicas("server") == []
    assert up(stack) == ""
    assert {job for job in jobs if stack.outcome(job)[0].state == "resolved"} == set(jobs)


def test_the_old_way_to_ask_for_postgres_is_refused(stack: Stack) -> None:
    assert "preflight" in up(stack, STORE="postgres")
    assert "STORE=postgres is not read any more" in stack.compose("logs", "preflight")
    assert up(stack) == ""


@pytest.mark.parametrize("what", OTHERS)
def test_what_runs_once_leaves_the_server_alone_whatever_was_chosen(
    stack: Stack, what: str
) -> None:
    (before,) = stack.replicas("server")
    env = stack.env(COMPOSE_FILE=OTHERS[what])
    for words in (("client", "--count", "1", "--cost", "0.1"), ("fleet", "ps")):
        command = ["docker", "compose", "run", "--rm", "--no-TTY", *words]
        done = subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert stack.replicas("server") == [before]
    assert before.inspect(".RestartCount") == "0"


def test_a_change_on_purpose_is_the_choice_from_then_on(stack: Stack) -> None:
    with Stack() as other:
        other.compose("run", "--rm", "preflight")
        env = {"COMPOSE_FILE": OTHERS["tokens"], "FLEET_CHANGE": "yes"}
        command = ["docker", "compose", "run", "--rm", "preflight"]
        subprocess.run(command, env=other.env(**env), cwd=ROOT, check=True, capture_output=True)
        with pytest.raises(AssertionError, match="began with store sqlite, tokens on"):
            other.compose("run", "--rm", "preflight")
