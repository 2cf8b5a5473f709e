"""Triggers: which strike is due, on whom, and when one can never be due any more."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_fleet.chaos.scenario import StrikeOrder, When
from resonate_fleet.chaos.triggers import EARLY, LATE, HeldLease, RunState, due, hopeless
from resonate_fleet.contract.faults import Fault

NOBODY: frozenset[str] = frozenset()


def hold(task: str, part: float, member: str = "m1", version: int = 1) -> HeldLease:
    return HeldLease(task=task, version=version, member=member, part=part)


def view(*holds: HeldLease, elapsed: float = 1.0, ended: int = 0, total: int = 10) -> RunState:
    gone = frozenset(f"old-{n}" for n in range(ended))
    return RunState(elapsed=elapsed, total=total, holds=holds, ended=gone)


def at_job(job: str, part: float, attempt: int = 1) -> StrikeOrder:
    when = When(job=1, part=part)
    return StrikeOrder(strike=0, fault="kill", when=when, job=job, attempt=attempt)


def by_clock(fault: Fault, when: When, draw: float = 0.0) -> StrikeOrder:
    return StrikeOrder(strike=0, fault=fault, when=when, draw=draw)


@pytest.mark.parametrize(("part", "is_due"), [(0.49, False), (0.5, True), (0.9, True), (1, False)])
def test_a_job_strike_is_due_once_the_job_is_far_enough_and_not_over(
    part: float, *, is_due: bool
) -> None:
    found = due(at_job("a", 0.5), view(hold("a", part), hold("b", 0.6)), NOBODY)
    assert (found is not None) == is_due
    if found is not None:
        assert found == hold("a", part)


def test_a_childs_lease_counts_as_its_jobs() -> None:
    assert due(at_job("a", 0.5), view(hold("a:1", 0.6)), NOBODY) is not None


def test_a_strike_on_a_later_attempt_waits_for_it() -> None:
    order = at_job("a", 0.5, attempt=2)
    assert due(order, view(hold("a", 0.6)), NOBODY) is None
    assert due(order, view(hold("a", 0.6, version=2)), NOBODY) is not None


def test_a_member_under_a_strike_is_spared() -> None:
    order, now = at_job("a", 0.5), view(hold("a", 0.6))
    assert due(order, now, frozenset({"m1"})) is None


@pytest.mark.parametrize(("elapsed", "is_due"), [(4.9, False), (5.0, True)])
def test_a_timed_strike_takes_a_busy_member(elapsed: float, *, is_due: bool) -> None:
    order = by_clock("pause", When(after=5))
    assert (due(order, view(hold("a", 0.5), elapsed=elapsed), NOBODY) is not None) == is_due


def test_a_busy_member_is_struck_in_the_middle_of_its_job_only() -> None:
    order = by_clock("kill", When(after=0))
    for part in (0.0, EARLY - 0.01, LATE + 0.01, 1.0):
        assert due(order, view(hold("a", part)), NOBODY) is None


@pytest.mark.parametrize(("ended", "is_due"), [(2, False), (3, True)])
def test_a_strike_by_jobs_done_waits_for_a_lease_but_names_no_member(
    ended: int, *, is_due: bool
) -> None:
    order = by_clock("server-restart", When(done=0.3))
    found = due(order, view(hold("a", 0.9), ended=ended), NOBODY)
    assert (found is not None) == is_due
    assert due(order, view(ended=ended), NOBODY) is None, "nobody holds anything just now"


holds = st.lists(
    st.builds(
        HeldLease,
        task=st.sampled_from("abcdef"),
        version=st.integers(1, 3),
        member=st.sampled_from(["m1", "m2", "m3"]),
        part=st.floats(0, 1),
    ),
    max_size=6,
    unique_by=lambda one: one.task,
)
moments = st.builds(
    RunState,
    elapsed=st.floats(0, 100),
    total=st.just(6),
    holds=holds.map(tuple),
    ended=st.frozensets(st.sampled_from("abcdef")),
)
all_orders = st.one_of(
    st.builds(at_job, st.sampled_from("abcdef"), st.floats(0, 0.95), st.integers(1, 3)),
    st.builds(
        by_clock,
        st.sampled_from(["kill", "pause"]),
        st.builds(When, after=st.floats(0, 100)),
        st.floats(0, 0.999),
    ),
)


@given(order=all_orders, now=moments, spared=st.frozensets(st.sampled_from(["m1", "m2"])))
def test_a_victim_always_holds_what_it_is_struck_for(
    order: StrikeOrder, now: RunState, spared: frozenset[str]
) -> None:
    found = due(order, now, spared)
    if found is None:
        return
    assert found in now.holds
    assert found.member not in spared
    stands_in = order.attempt == 1 and order.job in now.ended
    assert not order.job or stands_in or found.job == order.job


@given(order=all_orders, now=moments)
def test_the_choice_depends_on_nothing_but_its_input(order: StrikeOrder, now: RunState) -> None:
    turned = msgspec.structs.replace(now, holds=tuple(reversed(now.holds)))
    assert due(order, now, NOBODY) == due(order, turned, NOBODY)


def test_draws_reach_every_candidate() -> None:
    now = view(*(hold(task, 0.5) for task in "abc"))
    picked = set()
    for draw in (0.0, 0.34, 0.999):
        found = due(by_clock("kill", When(after=0), draw), now, NOBODY)
        assert found is not None
        picked.add(found.task)
    assert picked == set("abc")


def test_a_job_that_ended_unseen_is_stood_in_for_by_another_in_its_middle() -> None:
    order, now = at_job("a", 0.5), view(hold("b", 0.4, "m1"), hold("c", 0.6, "m2"))
    assert due(order, now, NOBODY) is None
    gone = msgspec.structs.replace(now, ended=frozenset({"a"}))
    assert hopeless(order, gone) is None
    found = due(order, gone, NOBODY)
    assert found is not None
    assert found == hold("c", 0.6, "m2")


def test_a_later_attempt_has_no_stand_in() -> None:
    order, now = at_job("a", 0.5, attempt=2), view(hold("c", 0.6, version=2))
    gone = msgspec.structs.replace(now, ended=frozenset({"a"}))
    assert hopeless(order, now) is None
    assert due(order, gone, NOBODY) is None
    assert "attempt 2" in (hopeless(order, gone) or "")


def test_nobody_is_busy_when_all_jobs_have_ended() -> None:
    over = view(ended=10, elapsed=2)
    assert hopeless(by_clock("kill", When(after=5)), over) is not None
    assert hopeless(by_clock("scale", When(after=5)), over) is not None
    assert hopeless(by_clock("kill", When(after=5)), view(ended=9)) is None
