"""What a live view finds between two looks."""

from collections.abc import Sequence
from typing import get_args

from msgspec import structs

from resonate_fleet.commands.changes import Change, Changes, of_a_run
from resonate_fleet.commands.state_stream import after
from resonate_fleet.contract.journal import BadLine, ClientEnded, Line, StrikeDone, StrikeMissed
from resonate_fleet.contract.live import LiveAttempt, LiveGroup, LiveMark, LiveState, MarkKind
from resonate_fleet.steward.live import news


def held(member: str, attempt: int, since: float = 0.0) -> LiveAttempt:
    return LiveAttempt(
        job="x", task="x", member=member, attempt=attempt, function="f", group="g", since=since
    )


def look(
    changes: Changes,
    at: float,
    *holds: LiveAttempt,
    waiting: int = 0,
    marks: Sequence[LiveMark] = (),
    ended: Sequence[LiveAttempt] = (),
) -> list[Change]:
    group = LiveGroup(group="g", waiting=waiting, running=len(holds))
    state = LiveState(at=at, steward="s", since=0.0, groups=[group], marks=list(marks))
    return changes.take(structs.replace(state, running=list(holds), ended=list(ended)))


def test_a_job_that_changes_hands_is_a_recovery_however_long_it_waited() -> None:
    changes = Changes()
    assert look(changes, 1.0, held("a", 1)) == []
    assert look(changes, 2.0, waiting=1) == []
    (change,) = look(changes, 3.0, held("b", 2))
    assert change.kind == "recovery"
    assert change.text == "x went from a to b, attempt 2, within 2.0 s"


def test_a_job_that_one_look_misses_is_remembered_for_the_next() -> None:
    changes = Changes()
    look(changes, 1.0, held("a", 1))
    assert look(changes, 2.0) == []
    (change,) = look(changes, 3.0, held("b", 2))
    assert change.text == "x went from a to b, attempt 2, within 2.0 s"


def test_a_job_whose_member_died_is_remembered_while_nobody_holds_it() -> None:
    """It neither runs nor waits while it is handed over and while the next one claims it."""
    cut = structs.replace(held("a", 1), ended=1.5, outcome="died")
    changes = Changes()
    look(changes, 1.0, held("a", 1))
    for at in (2.0, 3.0, 4.0):
        assert look(changes, at, ended=[cut]) == []
    (change,) = look(changes, 5.0, held("b", 2), ended=[cut])
    assert change.text == "x went from a to b, attempt 2, within 4.0 s"


def test_a_next_attempt_that_ended_between_two_looks_is_told_once() -> None:
    changes = Changes()
    look(changes, 1.0, held("a", 1))
    (change,) = look(changes, 2.0, waiting=1, ended=[held("a", 1), held("b", 2)])
    assert change.text == "x went from a to b, attempt 2, within 1.0 s"
    assert look(changes, 3.0, waiting=1, ended=[held("a", 1), held("b", 2)]) == []


def test_an_attempt_that_no_look_saw_is_told_by_its_end() -> None:
    changes = Changes()
    cut = structs.replace(held("a", 1), ended=1.5, outcome="died")
    look(changes, 1.0, waiting=1)
    assert look(changes, 2.0, waiting=1, ended=[cut]) == []
    (change,) = look(changes, 3.0, held("b", 2), ended=[cut])
    assert change.text == "x went from a to b, attempt 2, within 1.5 s"
    over = structs.replace(held("b", 2), ended=3.5, outcome="resolved")
    assert look(changes, 4.0, ended=[cut, over]) == []
    assert look(changes, 5.0, ended=[cut, over]) == []
    late = Changes()
    assert look(late, 4.0, ended=[cut, over]) == [], "it was before the first look"


def test_an_attempt_that_ends_between_two_messages_of_the_stream_is_told() -> None:
    """The steward's stream sends what is new; a view looks at it now and then."""
    first = structs.replace(held("a", 1), ended=1.5, outcome="died")
    second = structs.replace(held("b", 2, since=1.6), ended=1.7, outcome="resolved")
    before = LiveState(at=1.0, steward="s", since=0.0, running=[held("a", 1)])
    messages = [
        news(before, structs.replace(before, at=1.6, running=[], ended=[first])),
        news(
            structs.replace(before, at=1.6, running=[], ended=[first]),
            structs.replace(before, at=1.8, running=[], ended=[first, second]),
        ),
    ]
    changes = Changes()
    assert changes.take(before) == []
    (change,) = changes.take(after(after(before, messages[0]), messages[1]))
    assert change.text.startswith("x went from a to b, attempt 2")


def test_since_is_when_a_claim_was_made_or_else_first_seen() -> None:
    changes = Changes()
    look(changes, 1.0, held("a", 1))
    look(changes, 5.0, held("a", 1))
    assert changes.since == {("x", 1): 1.0}
    look(changes, 6.0, held("a", 2))
    assert changes.since == {("x", 2): 6.0}
    look(changes, 7.0, held("a", 2, since=5.5))
    assert changes.since == {("x", 2): 5.5}


def test_what_the_steward_marks_is_told_once() -> None:
    changes = Changes()
    marks = [LiveMark(at=0.5, kind="joined", member="a")]
    assert look(changes, 1.0, marks=marks) == []
    marks += [
        LiveMark(at=1.5, kind="died", member="a"),
        LiveMark(at=1.6, kind="handed-over", member="a", job="x"),
    ]
    found = look(changes, 2.0, marks=marks)
    assert [(one.at, one.kind, one.text) for one in found] == [
        (1.5, "strike", "a died"),
        (1.6, "recovery", "x is handed over from a"),
    ]
    assert look(changes, 3.0, marks=marks) == []


def test_every_kind_of_mark_has_its_text() -> None:
    changes = Changes()
    look(changes, 1.0)
    for number, kind in enumerate(get_args(MarkKind), 2):
        mark = LiveMark(at=float(number), kind=kind, member="a", job="x")
        (change,) = look(changes, float(number), marks=[mark])
        assert "None" not in change.text


def test_a_run_tells_of_its_client_and_its_strikes() -> None:
    lines: list[Line | BadLine] = [
        BadLine("a:1", "{"),
        ClientEnded(at=1.0, confirmed=8, unconfirmed=0),
        StrikeDone(at=2.0, strike=0, fault="kill", target="a", held=[("x", 1)]),
        StrikeMissed(at=3.0, strike=1, fault="kill", why="nobody works"),
    ]
    assert list(of_a_run(lines)) == [
        Change(1.0, "note", "8 jobs are confirmed; the client has gone"),
        Change(2.0, "strike", "a is killed in the middle of x"),
        Change(3.0, "trouble", "the kill missed: nobody works"),
    ]
