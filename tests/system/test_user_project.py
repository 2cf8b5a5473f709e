"""A user's project beside the installed wheel: its own modules are its own, the kit's are found.

Everything runs outside the checkout, in an environment that has the wheel and pytest.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Processes, clean_env, free_port
from tests.support.services import need
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("user-project")]

#: Names that the kit's wheel once put at the top of everybody's import path, then of libraries.
OWN = (
    *("worker", "contract", "report", "devserver", "client", "bench", "chaos", "steward", "fleet"),
    *("aiohttp", "msgspec", "prometheus_client", "resonate", "structlog", "uvloop"),
)

FUNCTIONS = """\
import contract
import worker


def greet(ctx, name: str) -> str:
    return f"{worker.WHOSE} {contract.WHOSE} {name}"


def register(registry):
    registry.register(greet)
"""
SUITE = """\
import importlib

import pytest


@pytest.mark.parametrize("name", {own!r})
def test_the_modules_are_ours(name):
    assert importlib.import_module(name).WHOSE == "mine"


def test_functions():
    import my_functions

    assert my_functions.greet(None, "you") == "mine mine you"
"""


class Project:
    """A folder of the user's, and the environment that its commands run in."""

    def __init__(self, root: Path, bin: Path) -> None:
        self.root = root
        self.bin = bin
        self.env = clean_env({"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"})
        self.env.pop("PYTHONPATH", None)

    def run(self, *command: str, env: dict[str, str] | None = None) -> str:
        """Run a command of the environment that must succeed; return what it printed."""
        done = subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.root,
            env=self.env | (env or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    uv = shutil.which("uv") or ""
    need(bool(uv), "uv is not installed")
    folder = tmp_path_factory.mktemp("user")
    environment = folder / "environment"

    def do(*command: str) -> None:
        subprocess.run([uv, *command], check=True, cwd=folder, stdin=subprocess.DEVNULL)

    do("build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
    do("venv", "--quiet", "--python", sys.executable, str(environment))
    (wheel,) = folder.glob("*.whl")
    target = ("--python", str(environment / "bin" / "python"))
    locked = ("--constraints", str(ROOT / "requirements.lock"))
    do("pip", "install", "--quiet", *target, *locked, str(wheel), "pytest")
    root = folder / "project"
    for name in OWN[:4]:
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").write_text('WHOSE = "mine"\n')
    (root / "worker" / "__main__.py").write_text('print("my own worker")\n')
    for name in OWN[4:]:
        (root / f"{name}.py").write_text('WHOSE = "mine"\nprint("my own module")\n')
    (root / "my_functions.py").write_text(FUNCTIONS)
    (root / "test_mine.py").write_text(SUITE.format(own=OWN))
    return Project(root, environment / "bin")


@pytest.fixture
def up(project: Project, tmp_path: Path) -> Iterator[dict[str, str]]:
    """`fleet up --functions my_functions`; yields what finds its server."""
    port, steward = free_port(), free_port()
    ports = ("--port", str(port), "--steward-port", str(steward))
    asked = ("up", "--functions", "my_functions", "--workers", "1", *ports)
    with started(project, tmp_path, "Ctrl-C ends it", port, *asked) as env:
        yield env


@contextmanager
def started(
    project: Project, tmp_path: Path, ready: str, port: int, *asked: str
) -> Iterator[dict[str, str]]:
    with Processes(tmp_path / "logs") as processes:
        command = ["env", f"--chdir={project.root}", str(project.bin / "fleet"), *asked]
        process = processes.start("fleet", command, {"PATH": project.env["PATH"]})
        wait_until(
            lambda: ready in process.out.read_text() + process.err.read_text(),
            60,
            f"fleet {asked[0]} is ready:\n{process.tail()}",
        )
        yield {"RESONATE_URL": f"http://127.0.0.1:{port}"}


def test_the_users_own_modules_run(project: Project) -> None:
    assert project.run("python", "-m", "worker") == "my own worker\n"
    assert project.run("python", "client.py") == "my own module\n"
    assert project.run("python", "-m", "steward") == "my own module\n"


def test_the_users_own_test_suite_runs(project: Project) -> None:
    shown = project.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")
    assert f"{len(OWN) + 1} passed" in shown


def test_the_wheel_brings_one_package_and_no_plugin(project: Project) -> None:
    code = (
        "from importlib.metadata import distribution as d; one = d('resonate-fleet')\n"
        "print({str(file).partition('/')[0] for file in one.files if '/' in str(file)})\n"
        "print({entry.group for entry in one.entry_points})"
    )
    tops, groups = project.run("python", "-c", code).splitlines()
    assert "resonate_fleet'" in tops
    assert not any(f"'{name}'" in tops for name in OWN)
    assert groups == "{'console_scripts'}"


def test_the_demo_runs_outside_a_checkout(project: Project) -> None:
    shown = project.run("fleet", "demo", "--jobs", "6", "--scale", "0.1", "--workers", "2")
    assert "PASS: 6 of 6 jobs" in shown


def test_a_fleet_runs_the_users_functions(project: Project, up: dict[str, str]) -> None:
    asked = ("submit", "greet", "--args", '["you"]', "--id", "one", "--wait", "60")
    assert 'one resolved "mine mine you"' in project.run("fleet", *asked, env=up)


def test_server_and_worker_run_apart(project: Project, tmp_path: Path) -> None:
    port = free_port()
    server = ("server", "--port", str(port), "--metrics-port", "0", "--bind", "127.0.0.1")
    with started(project, tmp_path / "server", "server.ready", port, *server) as env:
        url = env["RESONATE_URL"]
        worker = ("worker", "--functions", "my_functions", "--server", url, "--port", "0")
        with started(project, tmp_path / "worker", "member.ready", port, *worker):
            asked = ("submit", "greet", "--args", '["me"]', "--id", "two", "--wait", "60")
            assert '"mine mine me"' in project.run("fleet", *asked, "--server", url)
            shown = project.run("fleet", "result", "two", "--server", url)
            assert shown == 'two resolved "mine mine me"\n'
