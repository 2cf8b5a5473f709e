"""Each runbook is walked through: its fault in a fleet that stays, each command run as written."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate_fleet.contract import exits
from tests.support.docs_blocks import Command, blocks, missing
from tests.support.processes import ROOT, Process, Processes, clean_env, room_command
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

RUNBOOKS = ROOT / "docs/runbooks"
#: What comes first in the last part of each page.
SCENARIOS = {
    "poison": ("FleetJobsParked.md", "FleetRedoRateHigh.md"),
    "partition": ("FleetHeartbeatsFailing.md", "FleetLeasesLost.md"),
    "blocked-loop": ("FleetLoopBlocked.md",),
    "nobody-there": ("FleetNoMembers.md", "FleetNoProgress.md", "FleetOldestWaitingTooOld.md"),
    "server-away": ("FleetServerDown.md",),
    "no-steward-kill": ("FleetStewardAbsent.md",),
}
#: Its README.md says how to do by hand what this does.
README = RUNBOOKS / "README.md"
#: Longest wait until a command shows the cause, in seconds: some faults take their time.
WAIT_SECONDS = 45.0


@pytest.fixture
def staying(request: pytest.FixtureRequest, processes: Processes, tmp_path: Path) -> Iterator[str]:
    """The scenario of that name in a fleet that stays, ended by Ctrl-C; its `export` line."""
    asked = ("chaos", "run", request.param, "--seed", "7", "--stay", "--runs", str(tmp_path))
    run = processes.start("chaos", [*room_command("fleet"), *asked], {})
    export = wait_until(lambda: re.search(r"^  export (.*)$", said(run), re.MULTILINE), 150, "up")
    yield export[1]
    os.kill(run.pid, 2)
    assert run.wait(60) == exits.INTERRUPTED
    assert "everything of this run was healed and ended" in run.tail()


def said(run: Process) -> str:
    assert run.running, run.tail()
    return run.out.read_text()


def result(command: Command, env: dict[str, str]) -> str | None:
    """Run a command as written; return what it lacks of what the page shows, with its output."""
    done = subprocess.run(
        ["bash", "-c", command.line],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lacks = missing(command.prints, done.stdout)
    return None if lacks is None else f"{lacks!r} is not in:\n{done.stdout}{done.stderr}"


@pytest.mark.long
@pytest.mark.parametrize(("staying", "pages"), SCENARIOS.items(), indirect=["staying"])
def test_the_pages_commands_find_the_cause(staying: str, pages: tuple[str, ...]) -> None:
    env = clean_env(dict(word.split("=", 1) for word in shlex.split(staying)))
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    for page in pages:
        found = [one for block in blocks(RUNBOOKS / page) for one in block.commands]
        assert found, page
        for command in found:
            assert command.prints, f"{page}: {command.line} shows nothing"
            lacks, end = result(command, env), time.monotonic() + WAIT_SECONDS
            while lacks is not None and time.monotonic() < end:
                time.sleep(0.5)
                lacks = result(command, env)
            assert lacks is None, f"{page}: {command.line}: {lacks}"


def test_every_runbook_is_walked_through_in_the_scenario_that_it_names() -> None:
    named = {
        page.name: re.search(r"\*\*Reproduce\.\*\* `fleet chaos run ([\w-]+)", page.read_text())
        for page in RUNBOOKS.glob("Fleet*.md")
    }
    walked = {page: scenario for scenario, pages in SCENARIOS.items() for page in pages}
    assert {page: found[1] for page, found in named.items() if found} == walked
    assert README.is_file()
