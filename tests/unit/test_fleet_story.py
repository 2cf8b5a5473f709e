"""The story that the demo tells, from journal lines."""

from resonate_fleet.commands.story import Story
from resonate_fleet.contract.journal import (
    BadLine,
    Claimed,
    Confirmed,
    Ended,
    HandedOver,
    MemberReady,
    MemberStarted,
    StrikeDone,
)


def confirmed(job: str, at: float) -> Confirmed:
    return Confirmed(
        at=at, who="c", job=job, group="g", function="compute_something", cost=2.0, new=True
    )


def claimed(who: str, job: str, attempt: int, at: float) -> Claimed:
    return Claimed(at=at, who=who, job=job, task=job, attempt=attempt, function="f", waited=0.1)


def ended(who: str, job: str, attempt: int, at: float, outcome: str = "resolved") -> Ended:
    return Ended(
        at=at,
        who=who,
        job=job,
        task=job,
        attempt=attempt,
        function="f",
        outcome=outcome,
        seconds=1.5,
    )


def started(who: str) -> list[MemberStarted | MemberReady]:
    begun = MemberStarted(at=0.0, who=who, group="g", slots=1, process=1, version="0")
    return [begun, MemberReady(at=0.5, who=who)]


def test_members_work_and_progress_are_followed() -> None:
    story = Story(2)
    story.apply(
        [*started("a"), confirmed("x", 1.0), confirmed("y", 1.1), claimed("a", "x", 1, 1.2)]
    )
    member = story.members["a"]
    assert (member.state, member.running["x"].cost) == ("up", 2.0)
    news = story.apply([ended("a", "x", 1, 3.0)])
    assert (member.running, member.done, member.busy) == ({}, 1, 1.5)
    assert [event.text for event in news] == ["1 of 2 jobs are done"]
    assert story.ended == {"x"}


def test_a_strike_and_its_recovery_are_told() -> None:
    story = Story(8)
    story.apply([*started("a"), *started("b"), confirmed("x", 1.0), claimed("a", "x", 1, 1.2)])
    strike = StrikeDone(at=2.0, who="chaos", strike=0, fault="kill", target="a", held=[("x", 1)])
    over = HandedOver(at=2.1, who="s", job="x", task="x", attempt=1, member="a", seconds=0.1)
    told = story.apply([strike, over])
    assert [event.kind for event in told] == ["strike", "recovery"]
    assert story.members["a"].state == "killed"
    assert story.members["a"].running == {}
    (again,) = story.apply([claimed("b", "x", 2, 2.5)])
    assert again.text == "x runs again on b after 0.50 s, attempt 2"


def test_a_claim_that_is_read_before_its_strike_is_a_recovery_too() -> None:
    story = Story(8)
    story.apply([*started("a"), claimed("a", "x", 1, 1.0), claimed("b", "x", 2, 2.2)])
    strike = StrikeDone(at=2.0, who="chaos", strike=0, fault="kill", target="a", held=[("x", 1)])
    told = story.apply([strike])
    assert [event.kind for event in told] == ["strike", "recovery"]


def test_an_attempt_that_is_handed_back_is_no_end_of_the_job() -> None:
    story = Story(1)
    story.apply([claimed("a", "x", 1, 1.0), ended("a", "x", 1, 2.0, "released")])
    assert story.ended == set()
    assert story.members["a"].done == 0


def test_a_rejected_job_is_trouble_and_a_torn_line_is_passed_over() -> None:
    story = Story(1)
    told = story.apply([BadLine("a:1", "{"), ended("a", "x", 1, 2.0, "rejected")])
    assert [event.kind for event in told] == ["trouble", "note"]
