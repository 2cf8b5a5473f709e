"""The judge is judged on real fleets: whoever cheats is found out, member, server or chaos."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from resonate_fleet.chaos import scenario
from resonate_fleet.chaos.local_fleet import LocalFleet
from resonate_fleet.chaos.place import Victim
from resonate_fleet.chaos.plan import script
from resonate_fleet.chaos.processes import LocalPlace
from resonate_fleet.chaos.run import Runner, write_plan
from resonate_fleet.chaos.shape import LocalProcess, Shape
from resonate_fleet.contract.run import Plan, RunFolder
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.verdict import Verdict, judge

pytestmark = [pytest.mark.system, pytest.mark.long]

ROOT = Path(__file__).parents[2]

HEAD = """\
about = "a run that the judge is to look at"
deadline = 60
"""

#: Two members, a kill; short, for it is done more than once.
KILL = (
    HEAD
    + """
[fleet]
members = 2
lease = 3

[load]
count = 6
cost = [0.4, 0.6]

[[strikes]]
fault = "kill"
when = { job = 3, part = 0.3 }
"""
)

#: One long job, and a member with nothing to do that takes it over when its lease has run out.
LONG = (
    HEAD
    + """
[fleet]
members = 2
lease = 2

[load]
count = 1
cost = [7.0, 7.1]
"""
)


class Place(LocalPlace):
    """The local place with members that run other functions than the worker's own."""

    functions = "worker.functions"

    async def start(self, plan: Plan, folder: RunFolder) -> None:
        env = {"WORKER_FUNCTIONS": self.functions, "PYTHONPATH": str(ROOT)}
        shape = Shape(members=plan.members, lease=plan.lease, drain=5.0, worker_env=env)
        fleet = LocalFleet(shape, folder.root)
        await fleet.__aenter__()
        self._fleet, self.url = fleet, fleet.url


class Cheating(Place):
    """Members that cheat, chaos that only says it struck, a server that forgets a promise."""

    functions = "tests.support.saboteurs.cheats"

    async def kill(self, victim: Victim[LocalProcess]) -> str:  # noqa: ARG002 - does nothing
        return "SIGKILL to process 4711: exit code 137"

    async def end_members(self) -> None:
        await super().end_members()
        server = self.fleet.server
        assert server is not None
        await server.kill()
        with closing(sqlite3.connect(self.fleet.folder.root / "store.db")) as store, store:
            store.execute("DELETE FROM promises WHERE id LIKE '%-00006'")
        await self.fleet.start_server()


class Careless(Place):
    """Members that ignore the lease of a job."""

    functions = "tests.support.saboteurs.ignores_leases"


async def judged(root: Path, place: Place, toml: str = KILL) -> Verdict:
    """Do a real run with this place and judge it."""
    one = script(scenario.parse(toml, "sabotage.toml"), 3, "processes")
    folder = RunFolder(root / "run")
    write_plan(folder, one.plan)
    await Runner(one, place, folder, lambda _: None).drive()
    return judge(facts_of(read_evidence(folder)))


def names(verdict: Verdict) -> set[str]:
    return {one.name for one in verdict.findings}


async def test_cheats_of_every_kind_in_one_run(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, Cheating())
    found = {
        (one.name, number) for one in verdict.findings for number in re.findall(r"\d{5}", one.says)
    }
    assert ("dropped-result", "00001") in found
    assert ("unrecorded-claim", "00002") in found
    assert ("double-result", "00004") in found
    assert ("missing-promise", "00006") in found
    assert "strike-without-effect" in names(verdict)
    assert verdict.verdict == "FAIL"


async def test_a_member_that_ignores_its_lease(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, Careless(), LONG)
    assert {"lease-ignored", "unexplained-lapse"} <= names(verdict)
    assert verdict.verdict == "FAIL"


def spoil_client(journal: Path) -> None:
    """Lose an acknowledged id."""
    [path] = journal.glob("client*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    confirmed = next(one for one in lines if '"job.confirmed"' in one)
    path.write_text("".join(one for one in lines if one is not confirmed))


def cut_in_the_middle(journal: Path) -> None:
    """Keep the first half of a living member's journal, to the byte."""
    whole = [path for path in journal.glob("worker-*") if b"member.stopped" in path.read_bytes()]
    path = max(whole, key=lambda one: one.stat().st_size)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_a_journal(journal: Path) -> None:
    max(journal.glob("worker-*"), key=lambda one: one.stat().st_size).unlink()


async def test_journals_that_are_not_whole(tmp_path: Path) -> None:
    """An honest run passes; then the same files are tampered with, each time in another way."""
    honest = await judged(tmp_path, Place())
    assert honest.findings == []
    assert honest.figures.redone_jobs == 1
    folder = RunFolder(tmp_path / "run")
    kept = {path: path.read_bytes() for path in folder.journal.iterdir()}
    spoiled: list[tuple[Callable[[Path], None], str, str]] = [
        (spoil_client, "forgotten-by-client", "FAIL"),
        (cut_in_the_middle, "journal-cut", "INCONCLUSIVE"),
        (lose_a_journal, "missing-source", "INCONCLUSIVE"),
    ]
    for spoil, finding, word in spoiled:
        spoil(folder.journal)
        verdict = judge(facts_of(read_evidence(folder)))
        assert finding in names(verdict)
        assert verdict.verdict == word, [one.says for one in verdict.findings]
        for path, content in kept.items():
            path.write_bytes(content)
