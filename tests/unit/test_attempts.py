"""What is known of attempts, from what members tell and surveys show."""

import pytest
from msgspec.structs import replace

from resonate_fleet.contract.live import LiveAttempt
from resonate_fleet.contract.presence import Holding
from resonate_fleet.steward import attempts as module
from resonate_fleet.steward.attempts import UNKNOWN, Attempts, attempt_of


def attempt(
    task: str, number: int = 1, member: str = "m", *, since: float = 1.0, created: float = 0.5
) -> LiveAttempt:
    return replace(attempt_of(Holding(task, number, "f", since), "g", member), created=created)


def test_an_interrupted_job_keeps_its_place_and_a_suspended_one_does_not() -> None:
    attempts = Attempts()
    for task, outcome in (("taken", "lost"), ("handed-back", "released"), ("parent", "suspended")):
        attempts.claimed(attempt(task))
        attempts.over(2.0, task, 1, outcome)
    assert [attempts.waits_since(one, 9.0) for one in ("taken", "handed-back", "parent")] == [
        0.5,
        0.5,
        9.0,
    ]
    attempts.claimed(attempt("taken", 2))
    assert attempts.group_totals["g"].redone == 1
    assert attempts.waits_since("taken", 9.0) == 0.5, "its member is cut off and tells nothing"
    attempts.over(3.0, "taken", 2, "resolved")
    assert attempts.waits_since("taken", 9.0) == 9.0


def test_a_hint_of_a_claim_that_is_known_is_stale() -> None:
    attempts = Attempts()
    attempts.claimed(attempt("t", 3))
    assert attempts.is_stale("t", 2)
    assert not attempts.is_stale("t", 3)
    attempts.over(2.0, "t", 3, "resolved")
    assert attempts.is_stale("t", 2)


def test_an_older_word_changes_nothing() -> None:
    attempts = Attempts()
    attempts.claimed(attempt("t", 2, "new"))
    attempts.claimed(attempt("t", 1, "old"))
    assert attempts.over(2.0, "t", 1, "resolved") is None
    assert attempts.running["t"].member == "new"
    assert [one.attempt for one in attempts.held_by("new")] == [2]
    assert attempts.held_by("old") == []


def test_what_a_member_says_that_it_holds_is_all_that_it_holds() -> None:
    attempts = Attempts()
    attempts.claimed(attempt("over"))
    attempts.claimed(attempt("kept", since=1.5))
    attempts.reconcile(3.0, "m", [attempt("kept", since=2.0), attempt("news")])
    assert [one.task for one in attempts.held_by("m")] == ["kept", "news"]
    assert attempts.running["kept"].since == 1.5
    assert [(one.task, one.outcome) for one in attempts.ended] == [("over", UNKNOWN)]


def test_a_survey_corrects_what_nobody_tells_and_nothing_else() -> None:
    attempts = Attempts()
    attempts.claimed(attempt("told", member="present"))
    attempts.claimed(attempt("gone", member="stranger"))
    attempts.claimed(attempt("young", member="stranger", since=6.0))
    found = {"found": attempt("found", 4, "stranger")}
    attempts.found_running(5.0, found, reporting={"present"})
    assert sorted(attempts.running) == ["found", "told", "young"]
    attempts.over(7.0, "found", 4, "resolved")
    attempts.found_running(6.5, found, reporting=set())
    assert "found" not in attempts.running, "its end was told after the survey began"


def test_suspended_and_parked_are_those_of_the_survey_and_what_happened_since() -> None:
    attempts = Attempts()
    for task, at in (("before", 1.0), ("after", 9.0)):
        attempts.claimed(attempt(task))
        attempts.over(at, task, 1, "suspended")
    attempts.found_suspended(5.0, {"shown": "g"})
    assert sorted(attempts.suspended) == ["after", "shown"]


def test_the_totals_of_members_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    attempts = Attempts()
    for number, member in enumerate(("a", "b", "a", "c")):
        task = f"t{number}"
        attempts.claimed(attempt(task, member=member))
        attempts.over(2.0, task, 1, "resolved")
    assert {name: one.done for name, one in attempts.member_totals.items()} == {"a": 2, "c": 1}
