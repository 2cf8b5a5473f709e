"""A fleet that was there before the run and is there after it, as on Kubernetes."""

from pathlib import Path

from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.verdict import Verdict, judge
from tests.support.runs import EPOCH, Blow, Run, play
from tests.support.sabotage import add, claimant, line_of, members, quiet_job


def judged(run: Run, root: Path) -> Verdict:
    return judge(facts_of(read_evidence(run.write(root))))


def without_goodbyes(run: Run) -> Run:
    for who in members(run):
        lines = run.journals[who]
        kept = [one for one in lines if not isinstance(one, j.MemberStopped | j.DrainStep)]
        run.journals[who] = kept
    return run


def lent(run: Run) -> Run:
    """The fleet was started an hour before the run, did other work, and lives on."""
    first = [who for who in members(run) if run.journals[who][0].at < EPOCH]
    for who in first:
        run.journals[who] = [
            replace(one, at=one.at - 3600)
            if isinstance(one, j.MemberStarted | j.MemberReady)
            else one
            for one in run.journals[who]
        ]
    claimed = j.Claimed(job="old", task="old", attempt=1, function="f", waited=0.0)
    add(run, first[0], claimed, EPOCH - 3000)
    add(run, first[0], replace(claimed, job="long", task="long"), EPOCH - 2)
    over = j.Ended(job="long", task="long", attempt=1, function="f", outcome="resolved", seconds=9)
    add(run, first[0], over, EPOCH + 1)
    add(run, "steward", j.Joined(member="long-gone", group="g"), EPOCH - 3500)
    add(run, "steward", j.Died(member="long-gone", tasks=[("old", 1)]), EPOCH - 3400)
    steward = next(one for one in run.journals["steward"] if isinstance(one, j.StewardStarted))
    run.journals["steward"].remove(steward)
    add(run, "steward", steward, EPOCH - 4000)
    return run


def on_kubernetes() -> Run:
    return lent(without_goodbyes(play([Blow("kill", 6)], jobs=20, place="kubernetes")))


def test_what_was_before_the_run_is_not_of_it(tmp_path: Path) -> None:
    verdict = judged(on_kubernetes(), tmp_path)
    assert verdict.findings == []
    assert {share.slots for share in verdict.figures.shares} == {1}


def test_an_earlier_start_in_the_same_container_is_nobody_of_this_run(tmp_path: Path) -> None:
    run = on_kubernetes()
    who = claimant(run, quiet_job(run))
    before = j.MemberStarted(group="g", slots=1, process=7, version="0.1.0", who="worker-1-000000")
    run.journals[who].insert(0, replace(before, at=EPOCH - 3700))
    assert judged(run, tmp_path).findings == []


def test_a_journal_that_lacks_what_the_server_knows_is_cut(tmp_path: Path) -> None:
    run = on_kubernetes()
    job = run.plan.jobs[-1].id
    who, end = claimant(run, job), line_of(run, job, j.Claimed).at
    run.journals[who] = [one for one in run.journals[who] if one.at < end]
    verdict = judged(run, tmp_path)
    assert "journal-cut" in {one.name for one in verdict.findings}
    assert verdict.verdict == "INCONCLUSIVE", [one.says for one in verdict.findings]


def test_elsewhere_a_member_without_goodbye_is_cut(tmp_path: Path) -> None:
    verdict = judged(without_goodbyes(play([Blow("kill", 6)], jobs=20)), tmp_path)
    assert {one.name for one in verdict.findings} == {"journal-cut"}
