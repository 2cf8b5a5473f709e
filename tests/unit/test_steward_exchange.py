"""Hints of the busy for the idle: who gets which."""

from dataclasses import dataclass

from resonate_fleet.contract.presence import Busy, Hello, Hint, Idle
from resonate_fleet.steward.exchange import KEPT, MOST_KEPT, Exchange


@dataclass
class Member:
    hello: Hello


def member(name: str, group: str = "group") -> Member:
    return Member(Hello(name, group, 1))


A, B, C = member("a"), member("b"), member("c")
HINT = Hint("job", 0)


def exchange(*idle: Member) -> Exchange[Member]:
    made = Exchange[Member]()
    for one in idle:
        assert made.heard(0.0, one, Idle()) is None
    return made


def test_a_hint_goes_to_whoever_has_been_idle_for_longest() -> None:
    it = exchange(B, C)
    assert it.heard(1.0, A, Hint("first", 0)) == (B, Hint("first", 0))
    assert it.heard(1.0, A, Hint("second", 2)) == (C, Hint("second", 2))
    assert it.heard(1.0, A, Hint("third", 0)) is None, "each gets one until it is idle again"
    assert it.heard(1.01, B, Idle()) == (B, Hint("third", 0))


def test_whoever_passes_a_hint_on_is_not_idle() -> None:
    it = exchange(A)
    assert it.heard(1.0, A, HINT) is None


def test_groups_do_not_mix() -> None:
    it = exchange(member("x", "other"))
    assert it.heard(1.0, A, HINT) is None
    assert it.heard(1.0, member("y", "other"), Idle()) is None


def test_the_busy_and_the_gone_get_nothing() -> None:
    it = exchange(B, C)
    assert it.heard(0.5, B, Busy()) is None
    it.left(C)
    assert it.heard(1.0, A, HINT) is None


def test_a_member_on_a_newer_connection_keeps_its_place() -> None:
    newer = member("b")
    it = exchange(B, newer)
    it.left(B)
    assert it.heard(1.0, A, HINT) == (newer, HINT)


def test_a_hint_waits_a_moment_for_somebody_who_becomes_idle() -> None:
    it = exchange()
    assert it.heard(0.0, A, Hint("old", 0)) is None
    assert it.heard(KEPT, A, Hint("young", 0)) is None
    assert it.heard(1.5 * KEPT, B, Idle()) == (B, Hint("young", 0))
    assert it.heard(1.5 * KEPT, B, Idle()) is None


def test_hints_that_wait_are_bounded() -> None:
    it = exchange()
    for number in range(10 * MOST_KEPT):
        assert it.heard(0.0, A, Hint(f"job-{number}", 0)) is None
    got = 0
    while it.heard(0.0, B, Idle()) is not None:
        got += 1
    assert got == MOST_KEPT
