"""When may a claim that the server counted be missing in the journals? Only in these cases."""

from pathlib import Path

from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.verdict import Verdict, judge
from tests.support.runs import Blow, Run, play
from tests.support.sabotage import add, claimant, drop, line_of, quiet_job, set_record, set_result


def judged(run: Run, root: Path) -> Verdict:
    return judge(facts_of(read_evidence(run.write(root))))


def unwitnessed(run: Run, root: Path) -> bool:
    return "unrecorded-claim" in {one.name for one in judged(run, root).findings}


def struck(run: Run) -> j.StrikeDone:
    return next(one for one in run.journals["chaos"] if isinstance(one, j.StrikeDone))


def killed_before_its_line(part: float = 0.0, *, job: int = 7, **more: object) -> Run:
    """A member was killed when the job was that far, and its claim of it was never written."""
    run = play([Blow("kill", job, part)], jobs=20, seed=5, **more)
    strike = struck(run)
    claimed = next(
        one
        for one in run.journals[strike.target]
        if isinstance(one, j.Claimed) and one.job == strike.job
    )
    drop(run, claimed)
    return run


def test_killed_in_the_instant_before_its_line(tmp_path: Path) -> None:
    assert judged(killed_before_its_line(), tmp_path).findings == []


def test_the_same_without_a_steward_to_name_it(tmp_path: Path) -> None:
    run = killed_before_its_line(steward=False, lease=4.0)
    assert not unwitnessed(run, tmp_path)


def test_chaos_had_watched_the_job_at_work(tmp_path: Path) -> None:
    """The line was due long before the member died."""
    assert unwitnessed(killed_before_its_line(0.8), tmp_path)


def test_nobody_saw_the_dead_member_hold_it(tmp_path: Path) -> None:
    run = killed_before_its_line()
    strike = struck(run)
    drop(run, strike, *[x for x in run.journals["steward"] if isinstance(x, j.Died | j.HandedOver)])
    add(run, "chaos", replace(strike, held=[]), strike.at)
    add(run, "steward", j.Died(member=strike.target, tasks=[]), strike.at + 0.13)
    assert unwitnessed(run, tmp_path)


def test_its_only_slot_was_taken(tmp_path: Path) -> None:
    """A member cannot have claimed a second job in its one slot."""
    run = killed_before_its_line()
    strike = struck(run)
    other = replace(line_of(run, quiet_job(run), j.Claimed), attempt=1)
    add(run, strike.target, other, strike.at - 0.01)
    assert unwitnessed(run, tmp_path)


def test_its_only_slot_was_free_for_its_outcome_was_being_written(tmp_path: Path) -> None:
    """The body of the other job was over by then; the member died before it wrote down either."""
    run = killed_before_its_line()
    strike = struck(run)
    other = quiet_job(run)
    cost = next(one.cost for one in run.plan.jobs if one.id == other)
    claimed = replace(line_of(run, other, j.Claimed), attempt=1)
    add(run, strike.target, claimed, strike.at - cost - 0.01)
    assert not unwitnessed(run, tmp_path)


def test_a_healthy_member_has_no_excuse(tmp_path: Path) -> None:
    run = play([Blow("kill", 7)], jobs=20, seed=5)
    drop(run, line_of(run, quiet_job(run), j.Claimed))
    assert unwitnessed(run, tmp_path)


def test_long_before_the_kill_is_no_excuse(tmp_path: Path) -> None:
    """The victim's first claim is missing; it was killed much later, over another job."""
    run = play([Blow("kill", 18, 0.0)], jobs=20, seed=5)
    victim = struck(run).target
    drop(run, next(one for one in run.journals[victim] if isinstance(one, j.Claimed)))
    assert unwitnessed(run, tmp_path)


def one_claim_more(run: Run, job: str) -> None:
    """The server counts a claim before the one that is written down."""
    claimed, ended = line_of(run, job, j.Claimed), line_of(run, job, j.Ended)
    drop(run, claimed, ended)
    add(run, claimed.who, replace(claimed, attempt=2), claimed.at)
    add(run, ended.who, replace(ended, attempt=2), ended.at)
    set_record(run, job, {"version": 2}, {})
    set_result(run, job, attempt=2)


def test_an_answer_lost_with_the_server(tmp_path: Path) -> None:
    run = play(jobs=20, seed=5)
    job = quiet_job(run)
    one_claim_more(run, job)
    assert unwitnessed(run, tmp_path / "without")
    who, at = claimant(run, job), line_of(run, job, j.Claimed).at
    add(run, who, j.ServerLost(why="reset"), at - 0.2)
    add(run, who, j.ServerBack(seconds=0.1), at - 0.1)
    assert judged(run, tmp_path / "with").findings == []


def test_given_back_by_a_member_that_was_closing(tmp_path: Path) -> None:
    run = play(jobs=20, seed=5)
    job = quiet_job(run)
    one_claim_more(run, job)
    add(
        run,
        claimant(run, job),
        j.DrainStep(step="intake-closed", held=1),
        line_of(run, job, j.Claimed).at - 0.1,
    )
    assert judged(run, tmp_path).findings == []


def test_a_missing_journal_proves_nothing(tmp_path: Path) -> None:
    run = play(jobs=20, seed=5)
    del run.journals[claimant(run, quiet_job(run))]
    verdict = judged(run, tmp_path)
    assert verdict.verdict == "INCONCLUSIVE"
    assert {one.level for one in verdict.findings if one.name == "unrecorded-claim"} == {"unproved"}
