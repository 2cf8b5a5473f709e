"""Runs on real processes: struck as planned, proved, replayed, and nothing left behind."""

import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from resonate_fleet.chaos import replay, scenario
from resonate_fleet.chaos.__main__ import main
from resonate_fleet.chaos.faults import strike
from resonate_fleet.chaos.local_fleet import LocalFleet
from resonate_fleet.chaos.place import PlaceFailed
from resonate_fleet.chaos.plan import script
from resonate_fleet.chaos.processes import LocalPlace
from resonate_fleet.chaos.run import Runner, Stay
from resonate_fleet.chaos.shape import Shape
from resonate_fleet.contract import exits
from resonate_fleet.contract.journal import (
    Claimed,
    Line,
    MemberReady,
    MemberStarted,
    RunEnded,
    RunStarted,
    StrikeDone,
    StrikeHealed,
    StrikeMissed,
    read_folder,
)
from resonate_fleet.contract.run import Plan, Records, RunFolder
from tests.support.processes import SERVER_BIN, Process, Processes, room_command
from tests.support.services import need
from tests.support.waiting import wait_until, wait_until_async

pytestmark = pytest.mark.system

KILL = """\
about = "one kill"
deadline = 60

[fleet]
members = 2

[load]
count = 6
cost = [0.4, 0.6]

[[strikes]]
fault = "kill"
when = { job = 3, part = 0.4 }

[[strikes]]
fault = "kill"
when = { after = 50 }
"""


def lines_of[L: Line](folder: RunFolder, kind: type[L]) -> list[L]:
    """Return a run's journal lines of one kind, by time."""
    return [line for line in read_folder(folder.journal) if isinstance(line, kind)]


def the_run(runs: Path) -> RunFolder:
    (root,) = runs.iterdir()
    return RunFolder(root)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def processes_of(runs: Path) -> list[int]:
    """Return the processes that have the run's folder in their environment or command line."""
    found = []
    for one in Path("/proc").iterdir():
        try:
            told = (one / "environ").read_bytes() + (one / "cmdline").read_bytes()
        except OSError:
            continue
        if str(runs).encode() in told and int(one.name) != os.getpid():
            found.append(int(one.name))
    return found


@pytest.fixture
def kill_file(tmp_path: Path) -> Path:
    path = tmp_path / "small-kill.toml"
    path.write_text(KILL)
    return path


@pytest.fixture
def server_options(server_kind: str) -> list[str]:
    return ["--server-bin", os.environ[SERVER_BIN]] if server_kind == "real" else []


@pytest.mark.long
def test_a_run_and_its_replay_strike_the_holder_of_the_same_job(
    kill_file: Path,
    tmp_path: Path,
    server_options: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs, again = tmp_path / "runs", tmp_path / "again"
    judged: list[Path] = []

    def judge(folder: Path) -> int:
        judged.append(folder)
        return exits.OK

    command = ["run", str(kill_file), "--seed", "11", "--runs", str(runs), *server_options]
    assert main(command, judge) == exits.OK
    first = the_run(runs)
    job = "fleet-small-kill-11-00003"
    check_strike(first, job)
    check_witnesses(first, job)
    assert processes_of(runs) == []

    command = ["replay", str(first.root), "--runs", str(again), *server_options]
    assert main(command, judge) == exits.OK
    assert "every strike hit the holder of the same jobs as then" in capsys.readouterr().out
    second = the_run(again)
    check_strike(second, job)
    assert judged == [first.root, second.root]
    then, now = replay.strikes(first), replay.strikes(second)
    assert now[0].part == pytest.approx(then[0].part, abs=0.3)


def check_strike(folder: RunFolder, job: str) -> None:
    """One strike fell on the job's holder; what nobody was busy for any more is called missed."""
    (struck,) = lines_of(folder, StrikeDone)
    assert (struck.strike, struck.fault, struck.job) == (0, "kill", job)
    assert struck.held == [(job, 1)]
    assert "exit code 137" in struck.answer
    assert 0.4 <= struck.part < 1
    first, second = (line for line in lines_of(folder, Claimed) if line.job == job)
    assert (first.who, first.attempt, second.attempt) == (struck.target, 1, 2)
    assert second.who != struck.target


def check_witnesses(folder: RunFolder, job: str) -> None:
    """Server's records and journals are whole, and every process has ended."""
    (missed,) = lines_of(folder, StrikeMissed)
    assert (missed.strike, missed.fault) == (1, "kill")
    assert "every job had ended" in missed.why
    records = msgspec.json.decode(folder.server.read_bytes(), type=Records).records
    tasks = {one.promise.id: one.task for one in records}
    assert len(tasks) == 6
    assert {one.promise.state for one in records} == {"resolved"}
    assert {name for name, task in tasks.items() if task and task.version == 2} == {job}
    assert len(lines_of(folder, RunStarted)) == 1
    assert [line.finished for line in lines_of(folder, RunEnded)] == [True]
    assert not any(alive(line.process) for line in lines_of(folder, MemberStarted))


def test_a_place_that_does_not_start_is_one_line_and_exit_4(
    kill_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        "run",
        str(kill_file),
        "--runs",
        str(tmp_path / "runs"),
        "--server-bin",
        "/bin/false",
    ]
    assert main(command) == exits.FAILED
    assert "server" in capsys.readouterr().err
    assert processes_of(tmp_path / "runs") == []


PAUSE = """\
about = "a member stands still for long"
deadline = 60

[fleet]
members = 1
lease = 5
steward = false

[load]
count = 1
cost = [1.0, 1.0]

[[strikes]]
fault = "pause"
leases = 10
when = { job = 1, part = 0.1 }
"""


def start_paused(processes: Processes, tmp_path: Path) -> tuple[Process, Path]:
    """Start a run in the background and wait until it holds a member frozen."""
    path, runs = tmp_path / "pause.toml", tmp_path / "runs"
    path.write_text(PAUSE)
    command = [*room_command("chaos"), "run", str(path), "--seed", "1"]
    process = processes.start("chaos", [*command, "--runs", str(runs)], {})

    def frozen() -> bool:
        assert process.running, process.tail()
        return any(runs.glob("*/journal")) and bool(lines_of(the_run(runs), StrikeDone))

    wait_until(frozen, 40, "a member is frozen")
    return process, runs


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_heals_and_ends_everything(
    processes: Processes, tmp_path: Path, number: signal.Signals
) -> None:
    process, runs = start_paused(processes, tmp_path)
    process.send(number)
    assert process.wait(40) == exits.INTERRUPTED
    folder = the_run(runs)
    assert len(lines_of(folder, StrikeHealed)) == 1
    started = lines_of(folder, MemberStarted)
    assert len(started) == 1
    assert not any(alive(line.process) for line in started)


def test_not_even_a_killed_run_leaves_anything_behind(processes: Processes, tmp_path: Path) -> None:
    need(sys.platform == "linux", "only Linux kills a process when its parent is gone")
    process, runs = start_paused(processes, tmp_path)
    assert len(processes_of(runs)) >= 3
    process.kill()
    wait_until(lambda: not processes_of(runs), 10, "server, steward and members are gone")


class Lent(LocalPlace):
    """A fleet that somebody else has started, and ends."""

    async def start(self, _: Plan, folder: RunFolder) -> None:
        folder.journal.mkdir(parents=True, exist_ok=True)

    async def stop(self) -> None:
        pass


async def test_a_client_that_fails_ends_the_run_but_for_one_that_stays(
    kill_file: Path, tmp_path: Path
) -> None:
    async with LocalFleet(Shape(members=0, stewards=0), tmp_path / "fleet") as fleet:
        planned = script(scenario.read(kill_file), 1, "processes")
        one = msgspec.structs.replace(planned, orders=[], client=["--count=none"])
        folder = RunFolder(tmp_path / "run")
        told: list[str] = []
        with pytest.raises(PlaceFailed, match=r"the client ended with 2:\n.*--count is 'none'"):
            await Runner(one, Lent.over(fleet), folder, told.append).drive()
        assert lines_of(folder, RunStarted)
        assert not lines_of(folder, RunEnded)

        stay = Stay(one, Lent.over(fleet), RunFolder(tmp_path / "stay"), told.append).drive()
        staying = asyncio.create_task(stay)
        try:
            again = "what is sent again fails too"
            await wait_until_async(lambda: "".join(told).count("ended with 2") > 1, 30, again)
        finally:
            staying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await staying


async def test_what_a_fleet_guarantees_those_who_use_it(tmp_path: Path) -> None:
    """One fleet for several checks, as each of its starts takes seconds."""
    root = tmp_path / "run"
    async with LocalFleet(Shape(members=1, stewards=0), root) as fleet:
        place = LocalPlace.over(fleet)
        await check_that_a_dead_members_successor_is_spared(fleet, place)
        fleet.shape = replace(fleet.shape, worker_env={"FLEET_CHAOS": ""})
        await fleet.scale(2)
        await check_that_only_the_opted_in_are_struck(fleet, place)
        await fleet.scale(1)
        assert sorted(fleet.members) == ["worker-1"]
        before = fleet.url
        assert "was ended by SIGKILL" in await fleet.restart_server()
        assert fleet.url == before
        await fleet.submit(["--count=2", "--cost=0.05"])

        def claimed() -> bool:
            lines = read_folder(root / "journal")
            return len([line for line in lines if isinstance(line, Claimed)]) == 2

        await wait_until_async(claimed, 20, "both jobs are claimed after the server's return")
    assert len(ready(fleet)) == 3
    assert processes_of(root) == []


def ready(fleet: LocalFleet) -> set[str]:
    """Return the members that have said in their journals that they were ready."""
    lines = read_folder(fleet.folder.journal)
    return {line.who for line in lines if isinstance(line, MemberReady)}


async def check_that_a_dead_members_successor_is_spared(
    fleet: LocalFleet, place: LocalPlace
) -> None:
    old = fleet.members["worker-1"].member
    victim = await place.find(old)
    assert victim is not None
    assert (victim.name, victim.handle.name) == (old, "worker-1")
    await wait_until_async(lambda: old in ready(fleet), 20, "the first member's last line is kept")
    since = time.time()
    assert "exit code 137" in await strike(place, "kill", victim)
    now = fleet.members["worker-1"]
    await fleet.wait_since(now, since)
    with pytest.raises(PlaceFailed, match="has ended"):
        await strike(place, "kill", victim)
    assert await place.find(old) is None
    assert fleet.members["worker-1"].member == now.member != old


async def check_that_only_the_opted_in_are_struck(fleet: LocalFleet, place: LocalPlace) -> None:
    name = fleet.members["worker-2"].member
    found = await place.find(name)
    assert found is not None
    with pytest.raises(PlaceFailed, match="has not opted in"):
        await strike(place, "kill", found)
    child = fleet.members["worker-2"].child
    assert child is not None
    assert child.running
