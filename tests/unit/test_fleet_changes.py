"""What a live view finds between two looks."""

from resonate_fleet.commands.changes import Change, Changes
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveMember, LiveState


def held(member: str, attempt: int, since: float = 0.0) -> LiveAttempt:
    return LiveAttempt(
        job="x", task="x", member=member, attempt=attempt, function="f", group="g", since=since
    )


def look(
    changes: Changes,
    at: float,
    *holds: LiveAttempt,
    waiting: int = 0,
    parked: int = 0,
    present: str | None = None,
) -> list[Change]:
    """Take a look; `present` names members by a letter each, None: there is no steward."""
    members = [
        LiveMember(member=name, group="g", slots=1, free=1, since=0.0) for name in present or ""
    ]
    group = LiveGroup(group="g", waiting=waiting, running=len(holds), parked=parked)
    state = LiveState(
        at=at, steward="s", since=0.0, running=list(holds), groups=[group], members=members
    )
    return changes.take(state, steward=present is not None)


def test_a_job_that_changes_hands_is_a_recovery_however_long_it_waited() -> None:
    changes = Changes()
    assert look(changes, 1.0, held("a", 1)) == []
    assert look(changes, 2.0, waiting=1) == []
    (change,) = look(changes, 3.0, held("b", 2))
    assert change.kind == "recovery"
    assert change.text == "x went from a to b, attempt 2, within 2.0 s"


def test_since_is_when_a_claim_was_made_or_else_first_seen() -> None:
    changes = Changes()
    look(changes, 1.0, held("a", 1))
    look(changes, 5.0, held("a", 1))
    assert changes.since == {("x", 1): 1.0}
    look(changes, 6.0, held("a", 2))
    assert changes.since == {("x", 2): 6.0}
    look(changes, 7.0, held("a", 2, since=5.5))
    assert changes.since == {("x", 2): 5.5}


def test_who_goes_with_work_in_hand_stands_out() -> None:
    changes = Changes()
    assert look(changes, 1.0, held("a", 1), present="ab") == []
    gone = look(changes, 2.0, present="c")
    assert [(one.kind, one.text) for one in gone] == [
        ("strike", "a has gone"),
        ("note", "b has gone"),
        ("note", "c has come"),
    ]


def test_a_steward_that_does_not_answer_is_no_death() -> None:
    changes = Changes()
    look(changes, 1.0, present="a")
    assert look(changes, 2.0) == []
    assert look(changes, 3.0, present="a") == []


def test_more_in_quarantine_is_trouble_and_less_is_not() -> None:
    changes = Changes()
    (change,) = look(changes, 1.0, parked=2)
    assert (change.kind, change.text) == ("trouble", "2 more in quarantine")
    assert look(changes, 2.0, parked=1) == []
