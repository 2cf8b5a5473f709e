"""The judge is judged: every way to spoil a run is found out and called by its name."""

from pathlib import Path

import pytest

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.journal import Claimed, StrikeDone
from resonate_fleet.contract.run import RunFolder
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.findings import CATALOGUE
from resonate_fleet.report.verdict import Verdict, judge
from tests.support.runs import EPOCH, Blow, Run, play
from tests.support.sabotage import SABOTAGES, claimant, drop, members, quiet_job

BLOWS = [Blow("kill", 6, 0.6), Blow("terminate", 11), Blow("pause", 15, seconds=0.8)]


def honest() -> Run:
    return play(BLOWS, jobs=30, seed=11)


def judged(run: Run, root: Path) -> Verdict:
    return judge(facts_of(read_evidence(run.write(root))))


def test_the_honest_run_passes(tmp_path: Path) -> None:
    verdict = judged(honest(), tmp_path)
    assert verdict.findings == []
    assert verdict.verdict == "PASS"
    assert verdict.figures.redone_jobs == 1
    assert verdict.figures.redone_steps == 1


@pytest.mark.parametrize("name", SABOTAGES)
def test_sabotage_is_found_out(name: str, tmp_path: Path) -> None:
    do, word = SABOTAGES[name]
    run = honest()
    expected = do(run)
    verdict = judged(run, tmp_path)
    found = {one.name: one for one in verdict.findings}
    assert expected in found
    assert verdict.verdict == word, [one.says for one in verdict.findings]
    assert all(one.evidence for one in verdict.findings)
    assert word == "FAIL" or all(one.kept for one in verdict.guarantees)


def test_where_clocks_disagree_no_guarantee_of_times_is_judged(tmp_path: Path) -> None:
    run = honest()
    for name in ("recovery_is_slower_than_promised", "the_run_takes_too_long"):
        SABOTAGES[name][0](run)
    broken = [one.guarantee for one in judged(run, tmp_path).guarantees if not one.kept]
    assert broken == ["slowest recovery, s", "makespan over bound"]
    SABOTAGES["a_members_clock_is_ahead"][0](run)
    verdict = judged(run, tmp_path)
    assert verdict.verdict == "INCONCLUSIVE"
    assert all(one.kept for one in verdict.guarantees)
    assert [one for one in verdict.guarantees if one.guarantee in broken and one.limit] == []
    assert all(one.found for one in verdict.guarantees if one.guarantee in broken)


def test_a_journal_of_another_run_is_not_called_missing(tmp_path: Path) -> None:
    run = honest()
    SABOTAGES["a_journal_of_another_run_is_among_them"][0](run)
    says = [one.says for one in judged(run, tmp_path).findings if one.name == "missing-source"]
    assert any(one.endswith(".jsonl: it is of another run") for one in says), says


def test_every_finding_of_the_catalogue_is_made_by_a_sabotage(tmp_path: Path) -> None:
    named = {do(honest()) for do, _ in SABOTAGES.values()}
    assert set(CATALOGUE) - named == set()


#: Lines that tell a reader more, and the verdict nothing that others do not.
ASIDES = (j.Died, j.DrainStep, j.Joined, j.LeaseLost, j.Left)


def test_a_run_without_the_lines_of_any_one_kind_does_not_pass(tmp_path: Path) -> None:
    run = honest()
    kinds = {type(one) for lines in run.journals.values() for one in lines}
    assert {j.HandedOver, j.StepEnded, j.StrikeHealed, j.ClientStarted} <= kinds
    words = {}
    for kind in kinds:
        run = honest()
        drop(run, *(one for lines in run.journals.values() for one in lines if type(one) is kind))
        words[kind] = judged(run, tmp_path / kind.__name__).verdict
    assert {kind for kind, word in words.items() if word == "PASS"} <= set(ASIDES)


def test_evidence_names_the_very_lines(tmp_path: Path) -> None:
    run = honest()
    job = quiet_job(run)
    SABOTAGES["worker_drops_a_result"][0](run)
    [finding] = [one for one in judged(run, tmp_path).findings if one.name == "dropped-result"]
    file, _, number = finding.evidence[0].partition(":")
    line = (tmp_path / "journal" / file).read_text().splitlines()[int(number) - 1]
    assert job in line
    assert '"job.ended"' in line


def test_a_journal_cut_in_the_middle_of_a_line(tmp_path: Path) -> None:
    run = honest()
    folder = run.write(tmp_path)
    who = claimant(run, quiet_job(run))
    path = folder.journal / f"{who}.jsonl"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 - 7])
    verdict = judge(facts_of(read_evidence(folder)))
    assert "journal-cut" in {one.name for one in verdict.findings}
    assert verdict.verdict == "INCONCLUSIVE", [one.says for one in verdict.findings]


def test_a_byte_that_is_no_text_is_a_broken_line(tmp_path: Path) -> None:
    run = honest()
    folder, job = run.write(tmp_path), quiet_job(run).encode()
    path = folder.journal / f"{claimant(run, job.decode())}.jsonl"
    path.write_bytes(path.read_bytes().replace(job, job[:-1] + b"\xff", 1))
    verdict = judge(facts_of(read_evidence(folder)))
    assert "journal-cut" in {one.name for one in verdict.findings}
    assert verdict.verdict == "INCONCLUSIVE", [one.says for one in verdict.findings]


def test_lines_that_were_delivered_twice_are_read_once(tmp_path: Path) -> None:
    folder = honest().write(tmp_path)
    for path in folder.journal.glob("*.jsonl"):
        path.write_bytes(b"".join(2 * line for line in path.read_bytes().splitlines(True)))
    assert judge(facts_of(read_evidence(folder))).findings == []


def test_a_copy_of_a_journal_is_read_once(tmp_path: Path) -> None:
    folder = honest().write(tmp_path)
    for path in list(folder.journal.glob("*.jsonl")):
        path.with_stem(f"{path.stem} (copy)").write_bytes(path.read_bytes())
    assert judge(facts_of(read_evidence(folder))).findings == []


def test_a_journal_that_cannot_be_read_is_a_missing_witness(tmp_path: Path) -> None:
    folder = honest().write(tmp_path)
    (folder.journal / "odd.jsonl").mkdir()
    says = [one.says for one in judge(facts_of(read_evidence(folder))).findings]
    assert says == ["odd.jsonl: Is a directory"]


def test_the_torn_last_line_of_a_killed_member_is_no_finding(tmp_path: Path) -> None:
    run = honest()
    folder = run.write(tmp_path)
    [killed] = [x for x in run.journals["chaos"] if isinstance(x, StrikeDone) and x.fault == "kill"]
    path = folder.journal / f"{killed.target}.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at":1790000')
    assert judge(facts_of(read_evidence(folder))).findings == []


@pytest.mark.parametrize("file", ["plan.json", "server.json"])
def test_missing_and_broken_files_are_missing_witnesses(file: str, tmp_path: Path) -> None:
    folder = honest().write(tmp_path)
    (folder.root / file).write_text("{}")
    broken = judge(facts_of(read_evidence(folder)))
    (folder.root / file).unlink()
    missing = judge(facts_of(read_evidence(folder)))
    for verdict in (broken, missing):
        assert verdict.verdict == "INCONCLUSIVE"
        assert "missing-source" in {one.name for one in verdict.findings}


def test_one_of_two_stewards_is_a_missing_witness(tmp_path: Path) -> None:
    run = play(BLOWS, jobs=30, seed=11, stewards=2)
    says = "the journal of 1 of 2 stewards is missing"
    assert [one.says for one in judged(run, tmp_path).findings] == [says]


def test_a_first_member_is_missed_although_another_replaced_one(tmp_path: Path) -> None:
    """One job at a time on three members: one does nothing, and nobody speaks of it."""
    run = play([Blow("kill", 1, 0.9)], jobs=2, members=3, steward=False, lease=4.0)
    worked = {
        line.who for lines in run.journals.values() for line in lines if type(line) is Claimed
    }
    first = [who for who in members(run) if run.journals[who][0].at < EPOCH]
    idle = next(who for who in first if who not in worked)
    del run.journals[idle]
    says = [one.says for one in judged(run, tmp_path).findings]
    assert says == ["the journal of 1 of 3 members is missing"]


def test_a_member_that_only_chaos_names_is_missed(tmp_path: Path) -> None:
    run = play([Blow("kill", 1)], jobs=6, steward=False, lease=4.0)
    killed = next(one.target for one in run.journals["chaos"] if isinstance(one, StrikeDone))
    del run.journals[killed]
    verdict = judged(run, tmp_path)
    assert f"the journal of member {killed} is missing" in {one.says for one in verdict.findings}
    assert verdict.verdict == "INCONCLUSIVE"


def test_an_empty_folder_is_inconclusive(tmp_path: Path) -> None:
    verdict = judge(facts_of(read_evidence(RunFolder(tmp_path))))
    assert verdict.verdict == "INCONCLUSIVE"
    assert {one.name for one in verdict.findings} == {"missing-source"}
