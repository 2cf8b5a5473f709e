"""The images: who runs in them, what they may write, how they start and end, how big they are."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from tests.support.compose import Stack, build_images, docker, need_containers
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.containers,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("compose-images"),
]

ROOT = Path(__file__).parents[2]
ROLES = ("worker", "steward", "client", "devserver", "chaos")
MEGABYTE = 1_000_000
#: The issue's own aims: beyond the base, and until the process is ready.
SIZE_BAR = 120 * MEGABYTE
READY_BAR = 1.5


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A server and a steward, for the images under test to speak to."""
    need_containers()
    build_images()
    with Stack() as started:
        started.compose("up", "--detach", "--wait", "server", "steward")
        yield started


@pytest.fixture(scope="module")
def tags(stack: Stack) -> dict[str, str]:
    """Image of each role; Compose says which one it takes for those that it starts."""
    config = json.loads(stack.compose("--profile", "*", "config", "--format", "json"))
    built = [one for one in config["services"].values() if "build" in one]
    named = {one["build"]["target"]: one["image"] for one in built}
    return named | {"devserver": named["worker"].replace("worker", "devserver")}


@contextmanager
def hardened(stack: Stack, image: str, *env: str) -> Iterator[str]:
    """Run an image as PID 1, with nothing that it can do without; yield the container's id."""
    settings = [word for one in env for word in ("--env", one)]
    limits = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    network = f"{stack.project}_backend"
    container = docker("run", "--detach", "--network", network, *limits, *settings, image)
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def healthy(container: str) -> bool:
    return docker("inspect", "--format", "{{.State.Health.Status}}", container) == "healthy"


def test_every_role_has_an_image(tags: dict[str, str]) -> None:
    assert set(tags) == set(ROLES)


def test_images_run_as_a_user_without_rights_and_say_what_they_are(tags: dict[str, str]) -> None:
    for role, image in tags.items():
        config = json.loads(docker("image", "inspect", image))[0]["Config"]
        assert config["User"] == "10001:10001", role
        early = ["env", "--block-signal=TERM,INT"]
        assert config["Entrypoint"][:4] == [*early, "python", "-m"], role
        labels = config["Labels"]
        assert labels["org.opencontainers.image.version"] == image.rpartition(":")[2]
        assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_code_in_an_image_knows_its_version(tags: dict[str, str]) -> None:
    for image in tags.values():
        ask = "import importlib.metadata as m; print(m.version('resonate-fleet'))"
        said = docker("run", "--rm", "--entrypoint", "python", image, "-c", ask)
        assert said == image.rpartition(":")[2]


def test_data_files_are_in_an_image(tags: dict[str, str]) -> None:
    shown = docker("run", "--rm", tags["chaos"], "chaos", "list")
    shipped = {one.stem for one in (ROOT / "resonate_fleet" / "chaos" / "scenarios").glob("*.toml")}
    assert {line.split()[0] for line in shown.splitlines()} == shipped
    for folder in ("report/page", "web"):
        look = ("run", "--rm", "--entrypoint", "ls", tags["chaos"], f"/app/resonate_fleet/{folder}")
        here = {one.name for one in (ROOT / "resonate_fleet" / folder).iterdir() if one.is_file()}
        assert here <= set(docker(*look).split())


def test_chaos_in_an_image_starts_the_client(tags: dict[str, str]) -> None:
    start = "import os; from resonate_fleet.chaos.child import room_command; "
    start += "command = room_command('submit', '--help'); os.execv(command[0], command)"
    said = docker("run", "--rm", "--entrypoint", "python", tags["chaos"], "-c", start)
    assert said.startswith("usage:")


def test_an_image_is_small(tags: dict[str, str]) -> None:
    default = re.search(r"^ARG PYTHON_IMAGE=(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert default
    base = os.environ.get("PYTHON_IMAGE", default.group(1))
    size = {
        one: int(docker("image", "inspect", "--format", "{{.Size}}", one))
        for one in (base, tags["worker"])
    }
    added = size[tags["worker"]] - size[base]
    assert 0 < added < SIZE_BAR, f"{added / MEGABYTE:.0f} MB beyond {base}"


def started_at(container: str) -> float:
    """Return when the container's process was started, in Unix seconds."""
    text = docker("inspect", "--format", "{{.State.StartedAt}}", container)
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", text)).timestamp()


def ready_at(container: str) -> float | None:
    """Return the time of the worker's `member.ready` line, or None while there is none."""
    for line in docker("logs", container, err=True).splitlines():
        fields = json.loads(line) if line.startswith("{") else {}
        if fields.get("action") == "member.ready":
            return float(fields["at"])
    return None


def cpu_seconds(container: str) -> float:
    """Return the CPU time of the container's first process so far."""
    ask = "import os; f = open('/proc/1/stat').read().rpartition(')')[2].split()"
    said = "print((int(f[11]) + int(f[12])) / os.sysconf('SC_CLK_TCK'))"
    return float(docker("exec", container, "python", "-ISc", f"{ask}; {said}"))


def busy() -> bool:
    """Other work keeps all cores busy just now."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def test_a_worker_is_ready_soon_after_its_start(stack: Stack, tags: dict[str, str]) -> None:
    """The best of three counts, and where other work keeps all cores busy, its CPU time."""
    took, worked = [], []
    for _ in range(3):
        with hardened(stack, tags["worker"], "RESONATE_URL=http://server:8001") as container:
            ready = wait_until(partial(ready_at, container), 20, "the worker is ready")
            assert ready is not None
            took.append(ready - started_at(container))
            worked.append(cpu_seconds(container))
    assert min(worked if busy() else took) < READY_BAR, f"seconds {took}, of the CPU {worked}"
    print(f"ready after {min(took):.2f} s, {min(worked):.2f} s of the CPU")  # noqa: T201 - for -rP


@pytest.mark.parametrize(
    ("role", "env"),
    [
        ("worker", ("RESONATE_URL=http://server:8001", "WORKER_STEWARD=steward:9466")),
        ("steward", ("RESONATE_URL=http://server:8001",)),
        ("devserver", ()),
    ],
)
def test_sigterm_ends_a_container_in_order(
    stack: Stack, tags: dict[str, str], role: str, env: tuple[str, ...]
) -> None:
    with hardened(stack, tags[role], *env) as container:
        wait_until(partial(healthy, container), 30, f"the {role} is healthy")
        began = time.monotonic()
        docker("stop", "--time", "20", container)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == "0"
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("role", "code"), [("worker", 0), ("steward", 0), ("devserver", 0), ("client", 130)]
)
def test_sigterm_during_the_imports_is_heard_where_there_is_no_init(
    stack: Stack, tags: dict[str, str], role: str, code: int
) -> None:
    """Process 1 without a handler would never see it, and die when its grace is over."""
    with hardened(stack, tags[role]) as container:
        # Before that it is the runtime's own process, then `env` for a millisecond: both deaf.
        begun = partial(docker, "top", container, "-o", "pid,comm")
        wait_until(lambda: begun().split()[-1] == "python", 10, "the container has begun")
        docker("kill", "--signal", "TERM", container)
        try:
            docker("wait", container, timeout=10 if busy() else 2)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the {role} goes on: {docker('logs', container, err=True)}")
        assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == str(code)


def test_the_server_runs_as_its_official_image_is_built(stack: Stack) -> None:
    """Root, `resonate-server serve`, no folder for data: Compose has to bring the rest."""
    (server,) = stack.replicas("server")
    image = server.inspect(".Config.Image")
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["resonate-server"], ["serve"])
    assert config["User"] in ("", "root", "0")
    assert not config.get("Volumes")
    look = ("run", "--rm", "--entrypoint", "sh", image, "-c")
    assert docker(*look, "command -v resonate-server") == "/usr/local/bin/resonate-server"
    assert docker(*look, "command -v wget && ls -d /data || echo none").endswith("none")
    assert docker("exec", server.id, "ls", "/data").startswith("resonate.db")


def test_a_services_process_cannot_write_to_its_root(stack: Stack) -> None:
    for name in ("server", "steward"):
        for replica in stack.replicas(name):
            said = docker("exec", replica.id, "sh", "-c", "touch /x 2>&1 || true")
            assert "ead-only" in said, f"{name}: {said!r}"
