"""The judge's word on strikes that land slowly, and on results that only the server knows of."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.faults import Fault
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.verdict import Verdict, judge
from tests.support.runs import Blow, Run, play
from tests.support.sabotage import add, drop, line_of, quiet_job


def judged(run: Run, root: Path) -> Verdict:
    return judge(facts_of(read_evidence(run.write(root))))


#: A pause of a second leaves nothing to recover, so nothing is promised of it.
NONE = Guarantees()


@pytest.mark.parametrize("fault", ["kill", "out-of-memory", "pause", "partition"])
@pytest.mark.parametrize("lands", [0.4, 5.0])
def test_a_strike_that_lands_slowly_is_no_fault_of_the_fleet(
    fault: Fault, lands: float, tmp_path: Path
) -> None:
    run = play([Blow(fault, 6, 0.2, lands=lands)], jobs=60, place="compose", guarantees=NONE)
    assert judged(run, tmp_path).findings == []


def test_a_recovery_counts_from_when_the_strike_took_hold(tmp_path: Path) -> None:
    run = play([Blow("kill", 6, 0.2, lands=5.0)], jobs=60, place="compose")
    (figure,) = judged(run, tmp_path).figures.strike_figures
    assert figure.seconds is not None
    assert figure.seconds < 3


def test_a_member_that_works_on_after_the_strike_took_hold_is_found_out(tmp_path: Path) -> None:
    run = play([Blow("pause", 6, 0.2, seconds=3, lands=5.0)], jobs=60, place="compose")
    (struck,) = (one for one in run.journals["chaos"] if isinstance(one, j.StrikeDone))
    add(run, struck.target, j.ClaimRefused(task="t", version=1), struck.at + 1)
    assert "strike-without-effect" in {one.name for one in judged(run, tmp_path).findings}


def test_either_of_two_stewards_may_hand_over(tmp_path: Path) -> None:
    """The first dies with the member, of which it still tells; the second hands over."""
    run = play([Blow("kill-with-steward", 6, 0.6)], jobs=20)
    told = run.journals.pop("steward")
    handed = [one for one in told if isinstance(one, j.HandedOver)]
    first = [one for one in told if not isinstance(one, j.HandedOver)]
    (died,) = (one for one in told if isinstance(one, j.Died))
    spoken = [replace(one, who="steward-1") for one in first]
    run.journals["steward-1"] = [one for one in spoken if one.at <= died.at]
    started = j.StewardStarted(version="0.1.0", at=first[0].at, who="steward-2")
    left = [one for one in told if isinstance(one, j.Left)]
    others = [replace(one, who="steward-2") for one in (died, *handed, *left)]
    run.journals["steward-2"] = [started, *others]
    verdict = judged(run, tmp_path)
    assert verdict.findings == []
    assert (verdict.figures.hand_overs, verdict.figures.redone_jobs) == (1, 1)


def test_a_steward_that_was_to_die_with_the_member_and_lives_on_is_found_out(
    tmp_path: Path,
) -> None:
    run = play([Blow("kill-with-steward", 6, 0.6)], jobs=20)
    (struck,) = (one for one in run.journals["chaos"] if isinstance(one, j.StrikeDone))
    add(run, "steward", j.Left(member=struck.target), struck.at + 3)
    found = judged(run, tmp_path / "lived").findings
    assert [one.name for one in found] == ["strike-without-effect"]
    other = j.StewardStarted(version="0.1.0", at=run.journals["steward"][0].at, who="another")
    run.journals["another"] = [other]
    assert judged(run, tmp_path / "another").findings == [], "that one died"
    del run.journals["another"]
    add(run, "steward", j.StewardStarted(version="0.1.0"), struck.at + 0.4)
    assert judged(run, tmp_path / "again").findings == []


def test_a_partition_that_never_ends_is_found_out(tmp_path: Path) -> None:
    """The member writes on, and nobody hears of it but by its own journal."""
    run = play([Blow("partition", 6, 0.2, seconds=9)], jobs=60, lease=2.0)
    (struck,) = (one for one in run.journals["chaos"] if isinstance(one, j.StrikeDone))
    assert judged(run, tmp_path / "healed").findings == []
    heard = (j.Claimed, j.Ended, j.StepEnded)
    drop(
        run,
        *(x for x in run.journals[struck.target] if x.at > struck.at and isinstance(x, heard)),
        *(x for x in run.journals["steward"] if getattr(x, "member", "") == struck.target),
    )
    found = {one.name for one in judged(run, tmp_path / "never").findings}
    assert "strike-not-healed" in found


@pytest.mark.parametrize("said", ["lost", "refused"])
def test_a_result_that_the_server_accepted_was_written(said: str, tmp_path: Path) -> None:
    """Whatever the member's own clock said of its lease."""
    run = play(jobs=20)
    ended = line_of(run, quiet_job(run), j.Ended)
    drop(run, ended)
    add(run, ended.who, replace(ended, outcome=said), ended.at)
    verdict = judged(run, tmp_path)
    assert verdict.findings == []
    assert verdict.figures.redone_attempts == 0
    assert sum(one.results for one in verdict.figures.shares) == 20


def test_a_lease_that_was_lost_before_the_last_claim_stays_lost(tmp_path: Path) -> None:
    run = play([Blow("pause", 6, 0.2, seconds=9)], jobs=20, lease=2.0)
    verdict = judged(run, tmp_path)
    assert verdict.findings == []
    assert verdict.figures.redone_attempts == 1
