"""What is known of attempts, from what members tell and surveys show."""

import pytest
from msgspec.structs import replace

from resonate_fleet.contract.live import LiveAttempt
from resonate_fleet.contract.presence import Holding
from resonate_fleet.steward import work as module
from resonate_fleet.steward.work import UNKNOWN, Work, attempt_of


def attempt(
    task: str, number: int = 1, member: str = "m", *, since: float = 1.0, created: float = 0.5
) -> LiveAttempt:
    return replace(attempt_of(Holding(task, number, "f", since), "g", member), created=created)


def test_an_interrupted_job_keeps_its_place_and_a_suspended_one_does_not() -> None:
    work = Work()
    for task, outcome in (("taken", "lost"), ("handed-back", "released"), ("parent", "suspended")):
        work.claimed(attempt(task))
        work.over(2.0, task, 1, outcome)
    assert [work.waits_since(one, 9.0) for one in ("taken", "handed-back", "parent")] == [
        0.5,
        0.5,
        9.0,
    ]
    work.claimed(attempt("taken", 2))
    assert work.group_totals["g"].redone == 1
    assert work.waits_since("taken", 9.0) == 0.5, "its member is cut off and tells nothing"
    work.over(3.0, "taken", 2, "resolved")
    assert work.waits_since("taken", 9.0) == 9.0


def test_a_hint_of_a_claim_that_is_known_is_stale() -> None:
    work = Work()
    work.claimed(attempt("t", 3))
    assert work.is_stale("t", 2)
    assert not work.is_stale("t", 3)
    work.over(2.0, "t", 3, "resolved")
    assert work.is_stale("t", 2)


def test_an_older_word_changes_nothing() -> None:
    work = Work()
    work.claimed(attempt("t", 2, "new"))
    work.claimed(attempt("t", 1, "old"))
    assert work.over(2.0, "t", 1, "resolved") is None
    assert work.running["t"].member == "new"
    assert [one.attempt for one in work.held_by("new")] == [2]
    assert work.held_by("old") == []


def test_what_a_member_says_that_it_holds_is_all_that_it_holds() -> None:
    work = Work()
    work.claimed(attempt("over"))
    work.claimed(attempt("kept", since=1.5))
    work.reconcile(3.0, "m", [attempt("kept", since=2.0), attempt("news")])
    assert [one.task for one in work.held_by("m")] == ["kept", "news"]
    assert work.running["kept"].since == 1.5
    assert [(one.task, one.outcome) for one in work.ended] == [("over", UNKNOWN)]


def test_a_survey_corrects_what_nobody_tells_and_nothing_else() -> None:
    work = Work()
    work.claimed(attempt("told", member="present"))
    work.claimed(attempt("gone", member="stranger"))
    work.claimed(attempt("young", member="stranger", since=6.0))
    found = {"found": attempt("found", 4, "stranger")}
    work.found_running(5.0, found, reporting={"present"})
    assert sorted(work.running) == ["found", "told", "young"]
    work.over(7.0, "found", 4, "resolved")
    work.found_running(6.5, found, reporting=set())
    assert "found" not in work.running, "its end was told after the survey began"


def test_suspended_and_parked_are_those_of_the_survey_and_what_happened_since() -> None:
    work = Work()
    for task, at in (("before", 1.0), ("after", 9.0)):
        work.claimed(attempt(task))
        work.over(at, task, 1, "suspended")
    work.found_suspended(5.0, {"shown": "g"})
    assert sorted(work.suspended) == ["after", "shown"]


def test_the_totals_of_members_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    work = Work()
    for number, member in enumerate(("a", "b", "a", "c")):
        task = f"t{number}"
        work.claimed(attempt(task, member=member))
        work.over(2.0, task, 1, "resolved")
    assert {name: one.done for name, one in work.member_totals.items()} == {"a": 2, "c": 1}
