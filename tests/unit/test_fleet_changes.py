"""What a live view finds between two looks."""

from resonate_fleet.commands.changes import Changes
from resonate_fleet.commands.looks import Held, Look, Present, Queue


def held(member: str, attempt: int) -> Held:
    return Held(
        job="x", task="x", member=member, attempt=attempt, function="f", group="g", created=0.0
    )


def look(at: float, *holds: Held, waiting: int = 0, parked: int = 0) -> Look:
    queue = Queue(
        group="g", waiting=waiting, running=len(holds), suspended=0, parked=parked, oldest=None
    )
    return Look(at=at, held=list(holds), queues=[queue], failed=[])


def present(*members: str) -> list[Present]:
    return [Present(member, "g", 1, present=True) for member in members]


def test_a_job_that_changes_hands_is_a_recovery_however_long_it_waited() -> None:
    changes = Changes()
    assert changes.take(look(1.0, held("a", 1)), None) == []
    assert changes.take(look(2.0, waiting=1), None) == []
    (change,) = changes.take(look(3.0, held("b", 2)), None)
    assert change.kind == "recovery"
    assert change.text == "x went from a to b, attempt 2, within 2.0 s"


def test_since_is_when_a_claim_was_first_seen() -> None:
    changes = Changes()
    changes.take(look(1.0, held("a", 1)), None)
    changes.take(look(5.0, held("a", 1)), None)
    assert changes.since == {("x", 1): 1.0}
    changes.take(look(6.0, held("a", 2)), None)
    assert changes.since == {("x", 2): 6.0}


def test_who_goes_with_work_in_hand_stands_out() -> None:
    changes = Changes()
    assert changes.take(look(1.0, held("a", 1)), present("a", "b")) == []
    gone = changes.take(look(2.0), present("c"))
    assert [(one.kind, one.text) for one in gone] == [
        ("strike", "a has gone"),
        ("note", "b has gone"),
        ("note", "c has come"),
    ]


def test_a_steward_that_does_not_answer_is_no_death() -> None:
    changes = Changes()
    changes.take(look(1.0), present("a"))
    assert changes.take(look(2.0), None) == []
    assert changes.take(look(3.0), present("a")) == []


def test_more_in_quarantine_is_trouble_and_less_is_not() -> None:
    changes = Changes()
    (change,) = changes.take(look(1.0, parked=2), None)
    assert (change.kind, change.text) == ("trouble", "2 more in quarantine")
    assert changes.take(look(2.0, parked=1), None) == []
