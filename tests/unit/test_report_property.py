"""Honest runs, whatever strikes them, are never accused of anything; spoiled ones always are."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resonate_fleet.contract.faults import Fault
from resonate_fleet.contract.run import Guarantees
from resonate_fleet.report.assembly import facts_of
from resonate_fleet.report.evidence import read_evidence
from resonate_fleet.report.verdict import Verdict, judge
from tests.support.examples import examples
from tests.support.runs import Blow, Run, play
from tests.support.sabotage import SABOTAGES

JOBS = 24
FAULTS: tuple[Fault, ...] = ("kill", "out-of-memory", "terminate", "pause", "partition")

blow = st.builds(
    Blow,
    fault=st.sampled_from(FAULTS),
    job=st.integers(1, JOBS),
    part=st.floats(0.0, 0.95),
    seconds=st.floats(0.2, 9.0),
    lands=st.sampled_from([0.0, 0.0, 2.0, 7.0]),
)
blows = st.lists(blow, max_size=5, unique_by=lambda one: one.job)
few = settings(
    max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.data_too_large]
)


def judged(run: Run) -> Verdict:
    with tempfile.TemporaryDirectory() as root:
        return judge(facts_of(read_evidence(run.write(Path(root)))))


@few
@given(
    blows=blows,
    seed=st.integers(0, 10_000),
    members=st.integers(2, 5),
    slots=st.integers(1, 3),
    steward=st.booleans(),
)
def test_no_false_accusation(
    blows: list[Blow], seed: int, members: int, slots: int, *, steward: bool
) -> None:
    shape = {"members": members, "slots": slots, "steward": steward, "lease": 3.0}
    # What the dice strike may be idle, and what they leave may be slow: that is not judged here.
    lenient = Guarantees(strikes_hit=False, every_member_works=False)
    run = play(blows, seed=seed, jobs=JOBS, guarantees=lenient, **shape)
    told = ("strike-not-done", "strike-missed")
    assert [one for one in judged(run).findings if one.name not in told] == []


@few
@given(
    name=st.sampled_from(sorted(SABOTAGES)),
    seed=st.integers(0, 10_000),
    slots=st.integers(1, 2),
)
def test_sabotage_of_any_run_is_found_out(name: str, seed: int, slots: int) -> None:
    run = play(
        [Blow("kill", 6, 0.6), Blow("terminate", 11), Blow("pause", 15, seconds=0.8)],
        jobs=40,
        seed=seed,
        slots=slots,
    )
    try:
        expected = SABOTAGES[name][0](run)
    except StopIteration:
        return  # this run has no place for it: nobody else was there, say
    assert expected in {one.name for one in judged(run).findings}
