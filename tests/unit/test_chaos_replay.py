"""Replays: the journal's strikes become orders at the same points, and differences are named."""

from pathlib import Path

import msgspec
import pytest

from resonate_fleet.chaos import replay, scenario
from resonate_fleet.chaos.__main__ import main
from resonate_fleet.chaos.plan import script
from resonate_fleet.chaos.replay import Recorded
from resonate_fleet.chaos.run import write_plan
from resonate_fleet.chaos.scenario import When
from resonate_fleet.contract import exits
from resonate_fleet.contract.journal import StrikeDone
from resonate_fleet.contract.recorder import Journal
from resonate_fleet.contract.run import RunFolder

SEED = 5
JOB = "fleet-everything-at-once-5-{:05d}"


def struck(number: int, job: int, version: int = 1, fault: str = "kill") -> StrikeDone:
    name = JOB.format(job)
    return StrikeDone(strike=number, fault=fault, target="m", job=name, held=[(name, version)])


def recorded(*strikes: StrikeDone) -> Recorded:
    read = scenario.read(scenario.find("everything-at-once"))
    plan = script(read, SEED, "processes").plan
    return Recorded(scenario=read, plan=plan, strikes=list(strikes))


def test_a_strike_on_a_member_is_aimed_at_the_job_attempt_and_part_of_the_record() -> None:
    timed = msgspec.structs.replace(struck(1, 31, version=2, fault="pause"), part=0.42)
    (order,) = replay.again(recorded(timed)).orders
    assert order.when == When(job=31, part=0.42)
    assert (order.strike, order.fault, order.job, order.attempt) == (1, "pause", JOB.format(31), 2)
    assert order.seconds == 8.0, "it lasts as long as planned"


def test_a_strike_on_all_is_aimed_at_the_share_of_jobs_that_were_done() -> None:
    server = StrikeDone(strike=4, fault="server-restart", target="server", done=36)
    (order,) = replay.again(recorded(server)).orders
    assert order.when == When(done=36 / 120)
    assert order.job == ""


def test_what_was_missed_is_not_done_again_and_the_load_is_the_same() -> None:
    was = recorded(struck(0, 7))
    one = replay.again(was)
    assert [order.strike for order in one.orders] == [0]
    assert one.plan == was.plan
    assert [job.cost for job in replay.again(was, "-b").plan.jobs] == [
        job.cost for job in was.plan.jobs
    ]


def test_a_tag_makes_other_ids_and_no_difference() -> None:
    was = recorded(struck(0, 7))
    (order,) = replay.again(was, "-b").orders
    assert order.job == "fleet-everything-at-once-5-b-00007"
    now = msgspec.structs.replace(struck(0, 7), job=order.job, held=[(order.job, 1)])
    assert replay.differences(was.strikes, [now]) == []


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ([struck(0, 7), struck(1, 9)], []),
        ([struck(0, 8), struck(1, 9)], ["strike 0: kill on the holder of job 7"]),
        ([struck(0, 7, version=2), struck(1, 9)], ["job 7 (attempt 2) now"]),
        ([struck(0, 7)], ["strike 1: kill on the holder of job 9 (attempt 1) then, not done now"]),
    ],
)
def test_differences_name_strike_and_jobs(now: list[StrikeDone], told: list[str]) -> None:
    found = replay.differences([struck(0, 7), struck(1, 9)], now)
    assert len(found) == len(told)
    for line, words in zip(found, told, strict=True):
        assert words in line


def test_the_names_of_members_are_no_difference() -> None:
    other = msgspec.structs.replace(struck(0, 7), target="another")
    assert replay.differences([struck(0, 7)], [other]) == []


def test_a_runs_folder_is_read_back(tmp_path: Path) -> None:
    was = recorded(struck(0, 7))
    folder = RunFolder(tmp_path)
    write_plan(folder, was.plan)
    text = scenario.find("everything-at-once").read_text(encoding="utf-8")
    (tmp_path / replay.SCENARIO_FILE).write_text(text, encoding="utf-8")
    journal = Journal("chaos", folder.journal)
    for line in was.strikes:
        journal.write(line)
    journal.close()
    again = replay.load(tmp_path)
    assert (again.scenario, again.plan) == (was.scenario, was.plan)
    assert [line.held for line in again.strikes] == [line.held for line in was.strikes]


def test_a_folder_that_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.json").write_text("{}")
    assert main(["replay", str(tmp_path)]) == exits.USAGE
    assert "is not the folder of a chaos run" in capsys.readouterr().err
