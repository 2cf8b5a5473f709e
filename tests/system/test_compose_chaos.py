"""The shipped scenarios on Docker Compose: the same files, the same judge as on processes."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, Any
from uuid import uuid4

import pytest

from resonate_fleet.contract import exits
from resonate_fleet.contract.journal import (
    MemberStarted,
    ServerBack,
    StrikeDone,
    StrikeHealed,
    read_folder,
)
from resonate_fleet.contract.run import RunFolder
from tests.support.compose import ROOT, build_images, need_containers
from tests.support.processes import clean_env, room_command
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.containers, pytest.mark.system, pytest.mark.timeout(300)]

#: Longest recovery in seconds, where the member is dead: that on processes (1.5 at worst) and a
#: second for the container runtime.
DEATH = 2.5
#: The same for a member that stands still or is cut off: the scenarios' lease of 2.5 s, 2 s to
#: notice that it is over, and the second.
LAPSE = 5.5
#: Longest body of the partition's jobs: one may have to end before a slot is free.
BODY = 4.0
#: Until members have their stream again after the server's return: 2 s, and the second.
BACK = 3.0
#: Members that the scenario out-of-memory has killed.
STRIKES = 2
#: Each with its bar, None where nothing is to be recovered.
BARS: dict[str, float | None] = {
    "one-kill": DEATH,
    "out-of-memory": DEATH,
    "freeze": LAPSE,
    "partition": LAPSE + BODY,
    "drain": None,
    "server-restart": None,
    "steward-kill": None,
    "kill-with-steward": DEATH,
    "rolling-restart": None,
    "tests/system/scale-3-5-2.toml": None,
}
#: Each is a project of its own on ports of its own, so they may run side by side.
SCENARIOS = [
    pytest.param(
        name, bar, id=Path(name).stem, marks=pytest.mark.xdist_group(f"compose-{Path(name).stem}")
    )
    for name, bar in BARS.items()
]


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    need_containers()
    build_images()


def chaos(scenario: str, runs: Path, project: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [*room_command("fleet"), "chaos", "run", scenario, "--on", "compose"]
    command += ["--strike", "--seed", "11", "--runs", str(runs), "--project", project]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=clean_env(env),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize(("name", "bar"), SCENARIOS)
def test_a_scenario_passes_on_compose(name: str, bar: float | None, tmp_path: Path) -> None:
    project = f"fleet-chaos-{uuid4().hex[:8]}"
    with deaths(project) as heard:
        done = chaos(name, tmp_path, project)
        if name == "out-of-memory":
            wait_until(lambda: len(killed(heard)) == STRIKES, 10, f"{STRIKES} deaths are told")
    assert done.returncode == exits.OK, f"{done.stdout}\n{done.stderr}"
    (folder,) = (RunFolder(one) for one in tmp_path.iterdir())
    verdict: dict[str, Any] = json.loads(folder.verdict.read_text(encoding="utf-8"))
    assert verdict["verdict"] == "PASS"
    assert verdict["place"] == "compose"
    figures = verdict["figures"]
    assert figures["strikes"] >= 1
    assert figures["lost"] == figures["doubled"] == 0
    if bar is None:
        assert figures["redone_jobs"] == 0
    else:
        assert 0 < figures["recovery"]["max"] <= bar
    if name == "server-restart":
        for wait in returns(folder):
            assert wait <= BACK
    if name == "out-of-memory":
        assert figures["strikes"] == STRIKES
        assert killed_for_memory(heard), [said(one) for one in heard]
    print(f"{name}: {json.dumps(figures['recovery'])}, {figures['redone_jobs']} redone")  # noqa: T201 - for -rP


@pytest.mark.real
@pytest.mark.xdist_group("compose-tokens")
def test_a_scenario_passes_where_the_server_asks_for_tokens(tmp_path: Path) -> None:
    """Those of worker and client are narrow: they may not search, and reach `fleet-` ids alone."""
    make = [str(ROOT / "docker" / "setup"), "secrets", "auth"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    files = {"COMPOSE_FILE": "compose.yaml:compose.auth.yaml"}
    done = chaos("one-kill", tmp_path, f"fleet-chaos-{uuid4().hex[:8]}", **files)
    assert done.returncode == exits.OK, f"{done.stdout}\n{done.stderr}"


def returns(folder: RunFolder) -> list[float]:
    """Return how long after each return of the server each member had its stream again."""
    lines = read_folder(folder.journal)
    members = {line.who for line in lines if isinstance(line, MemberStarted)}
    # Members may be back before chaos has looked, but not before the strike.
    went = {line.strike: line.at for line in lines if isinstance(line, StrikeDone)}
    waits: list[float] = []
    for healed in (line for line in lines if isinstance(line, StrikeHealed)):
        back = {
            line.who: line.at - healed.at
            for line in reversed(lines)
            if isinstance(line, ServerBack)
            and line.who in members
            and line.at > went[healed.strike]
        }
        assert back.keys() == members
        waits += back.values()
    return waits


@contextmanager
def deaths(project: str) -> Iterator[list[dict[str, Any]]]:
    """Listen to the engine meanwhile: it forgets events soon. The list grows as it tells them."""
    heard: list[dict[str, Any]] = []
    filters = (f"label=com.docker.compose.project={project}", "event=oom", "event=die")
    command = ["docker", "events", "--format", "{{json .}}"]
    command += [word for one in filters for word in ("--filter", one)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None
        reader = Thread(target=_hear, args=(listening.stdout, heard))
        reader.start()
        try:
            yield heard
        finally:
            listening.terminate()
            reader.join()


def _hear(told: IO[str], heard: list[dict[str, Any]]) -> None:
    for line in told:
        heard.append(json.loads(line))  # noqa: PERF401 - the list is read while it grows


def said(event: dict[str, Any]) -> tuple[str, ...]:
    labels = event["Actor"]["Attributes"]
    return (str(event["timeNano"]), event["Action"], labels["name"], labels.get("exitCode", ""))


def killed(heard: list[dict[str, Any]]) -> list[str]:
    """Return the members that ended with 137. In this scenario only the kernel sends SIGKILL."""
    died = [one["Actor"] for one in heard if one["Action"] == "die"]
    return [
        one["ID"]
        for one in died
        if one["Attributes"]["exitCode"] == "137"
        and one["Attributes"]["com.docker.compose.service"] == "worker"
    ]


def killed_for_memory(heard: list[dict[str, Any]]) -> list[str]:
    """Return those of which the engine says that their memory was full.

    It may not know: the event is lost where the container has gone before its shim reads it.
    """
    full = {one["Actor"]["ID"] for one in heard if one["Action"] == "oom"}
    return [one for one in killed(heard) if one in full]
