"""The programs of docs/from-a-program.md, each against a server and a worker."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.docs_blocks import ROOT, blocks
from tests.support.fleet import Fleet
from tests.support.processes import clean_env

pytestmark = pytest.mark.system

PROGRAMS = {one.language: one.text for one in blocks(ROOT / "docs" / "from-a-program.md")}
#: The SDK asks for Node.js 22; this is all that it misses on 20.
POLYFILL = (
    "Promise.withResolvers ??= () => { const made = {}; made.promise = new Promise((resolve,"
    " reject) => Object.assign(made, { resolve, reject })); return made; };"
)
CARGO = """
[package]
name = "caller"
version = "0.1.0"
edition = "2024"
[dependencies]
resonate-sdk = "0.6"
serde_json = "1"
tokio = { version = "1", features = ["full"] }
"""


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def build(command: Sequence[str], folder: Path) -> None:
    """Run a command that needs the language's registry."""
    done = subprocess.run(
        command, cwd=folder, env=clean_env(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"{command[0]} could not have the packages: {done.stderr.strip()[-300:]}")


def check(
    fleet: Fleet, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> None:
    """Run a program; see that it got what it prints, and that the server agrees."""
    fleet.worker("w")
    own = {**os.environ, **(env or {}), "RESONATE_URL": fleet.server.url}
    done = subprocess.run(
        command, cwd=folder, env=own, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert json.loads(said["result"].replace("'", '"'))["id"] == "order-1"
    assert said["read"].lower() == "resolved"
    assert said["cancelled"].lower().replace("_", "") == "rejectedcanceled"
    assert fleet.server.wait_results(["order-1"])["order-1"]["id"] == "order-1"
    assert (fleet.server.promise("order-2") or {})["state"] == "rejected_canceled"
    assert fleet.server.call("schedule.get", id="nightly")[0] == 404


def test_python(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAMS["python"])
    check(fleet, [shutil.which("python") or "python", "program.py"], tmp_path)


@pytest.mark.node
def test_typescript(fleet: Fleet, tmp_path: Path) -> None:
    need("node", "npm")
    shutil.copy(Path(__file__).parent / "node" / "package.json", tmp_path)
    build(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], tmp_path)
    (tmp_path / "polyfill.mjs").write_text(POLYFILL)
    (tmp_path / "program.mjs").write_text(PROGRAMS["js"])
    check(fleet, ["node", "--import", "./polyfill.mjs", "program.mjs"], tmp_path)


@pytest.mark.timeout(600)
def test_go(fleet: Fleet, tmp_path: Path) -> None:
    need("go")
    (tmp_path / "program.go").write_text(PROGRAMS["go"])
    build(["go", "build", "-o", "program", "program.go"], tmp_path)
    check(fleet, [str(tmp_path / "program")], tmp_path)


@pytest.mark.rust
@pytest.mark.timeout(1800)
def test_rust(fleet: Fleet, tmp_path: Path) -> None:
    need("cargo")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.rs").write_text(PROGRAMS["rust"])
    (tmp_path / "Cargo.toml").write_text(CARGO)
    build(["cargo", "fetch"], tmp_path)
    check(fleet, ["cargo", "run", "--quiet"], tmp_path)
