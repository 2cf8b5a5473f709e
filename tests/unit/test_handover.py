"""What becomes of what a dead member held, step by step in virtual time."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.wire import Refused, Reply, Task
from resonate_fleet.steward.handover import ABREAST, Death, Handover
from resonate_fleet.steward.parking import Parking
from tests.support.by_hand import START, Stage

pytestmark = pytest.mark.usefixtures("no_logs")

GRACE, LIMIT = 0.1, 3


class Scene(Stage):
    """A member `m` whose presence ended at 0, at a steward that members offer their slots to."""

    def begin(self, limit: int = LIMIT) -> "Scene":
        self.parking = Parking(self.tools, limit)
        self.handover = Handover(self.tools, self.parking)
        self.serving = asyncio.Event()
        self.serving.set()
        self.death = self.missed("m")
        return self

    def missed(self, member: str, *unanswered: str) -> Death:
        return Death(member, START, unanswered, self.serving)

    def run(self, *unanswered: str, seconds: float = 0.2) -> None:
        self.death.unanswered = unanswered
        self.start(self.handover.run(self.death))
        self.loop.run_for(seconds)

    def declared(self) -> bool:
        return self.death.declared

    def released(self) -> list[str]:
        return [task for kind, task in self.server.asked if kind == "task.release"]

    def blamed(self, task: str) -> list[str]:
        record = self.tools.memory.records.get(task)
        return record.members if record else []


@pytest.fixture
def scene() -> Iterator[Scene]:
    with closing(Scene()) as one:
        yield one.begin()


def test_what_a_dead_member_held_is_released_when_its_grace_is_out(scene: Scene) -> None:
    scene.claimed("a", "m")
    scene.claimed("b:1", "m", 2)
    scene.claimed("other", "n")
    scene.run(seconds=0.09)
    assert scene.server.asked == []
    assert not scene.declared()
    scene.loop.run_for(0.02)
    assert scene.server.asked == [("task.release", "a"), ("task.release", "b:1")]
    assert scene.declared()
    assert scene.death.blamed
    assert scene.death.taken == [("a", 1), ("b:1", 2)]
    assert [one.task for one in scene.attempts.running.values()] == ["other"]
    assert {(one.task, one.outcome, one.ended) for one in scene.attempts.ended} == {
        ("a", "died", START + GRACE),
        ("b:1", "died", START + GRACE),
    }


def test_a_hand_over_is_written_down_and_counted(scene: Scene) -> None:
    scene.server.lag = 0.05
    scene.claimed("a", "m")
    scene.claimed("b:1", "m", 2)
    scene.run()
    told = [(line, level) for line, level in scene.journal.lines]
    by: Any = {"member": "m", "seconds": 0.15}
    assert told == [
        (j.Died(member="m", tasks=[("a", 1), ("b:1", 2)]), 30),
        (j.HandedOver(job="a", task="a", attempt=1, **by), 20),
        (j.HandedOver(job="b", task="b:1", attempt=2, **by), 20),
    ]
    assert scene.marks() == [
        (0.1, "died", "m", None),
        (0.15, "handed-over", "m", "a"),
        (0.15, "handed-over", "m", "b"),
    ]
    assert [scene.count(name) for name in ("deaths_total", "handovers_total")] == [1, 2]
    assert scene.count("handover_duration_seconds_count") == 1
    assert scene.count("handover_duration_seconds_sum") == pytest.approx(0.15)
    assert scene.blamed("a") == scene.blamed("b:1") == ["m"]


def test_a_member_that_held_nothing_is_dead_all_the_same(scene: Scene) -> None:
    scene.run()
    assert scene.lines() == [j.Died(member="m", tasks=[])]
    assert scene.count("handover_duration_seconds_count") == 0
    assert scene.file.saves == 0


def test_a_member_that_comes_back_in_time_keeps_everything(scene: Scene) -> None:
    scene.claimed("a", "m")
    scene.loop.call_later(0.05, scene.death.back.set)
    scene.run("x", seconds=20.0)
    assert scene.server.asked == []
    assert scene.lines() == []
    assert not scene.declared()


def test_a_release_that_the_server_refuses_is_no_hand_over(scene: Scene) -> None:
    """The task has moved on; the member does not hold it so any more either."""
    scene.claimed("a", "m")
    scene.server.holds("a", "n", 2)
    scene.run()
    assert scene.death.taken == [("a", 1)]
    assert scene.lines(j.HandedOver) == []
    assert scene.count("handovers_total") == 0


def test_what_was_assigned_and_not_answered_is_looked_at_again_and_again(scene: Scene) -> None:
    """The claim may have been on the wire when the member died."""
    scene.claimed("told", "m")
    scene.server.holds("sent", "m")
    scene.server.holds("taken", "n")
    scene.run("told", "sent", "taken", "unknown")
    looks = [task for kind, task in scene.server.asked if kind == "task.get"]
    assert looks == ["sent", "taken", "unknown"]
    assert scene.released() == ["told", "sent"]
    for until, task in ((0.29, ""), (0.31, "sent"), (1.09, ""), (1.11, "taken"), (3.09, "")):
        if task:
            scene.server.holds(task, "m", 5)
        before = len(scene.released())
        scene.loop.run_for(until - scene.at())
        assert scene.released()[before:] == ([task] if task else []), until
    scene.server.holds("unknown", "m")
    scene.loop.run_for(30.0)
    assert scene.released()[-1] == "unknown"
    assert len([one for one in scene.server.asked if one[0] == "task.get"]) == 3 + 3 * 4


def test_looking_again_ends_when_the_member_is_back(scene: Scene) -> None:
    scene.run("sent")
    scene.server.holds("sent", "m")
    scene.loop.call_later(0.05, scene.death.back.set)
    scene.loop.run_for(30.0)
    assert scene.released() == []


# A steward that members do not offer their slots to.


def test_another_steward_has_ten_seconds(scene: Scene) -> None:
    scene.serving.clear()
    scene.claimed("kept", "m")
    scene.claimed("moved", "m")
    scene.run(seconds=10.05)
    assert scene.server.asked == []
    scene.server.holds("moved", "n", 2)
    scene.server.tasks["gone"] = scene.server.tasks.pop("moved")
    scene.loop.run_for(0.1)
    assert scene.released() == ["kept"]
    assert scene.lines(j.Died) == [j.Died(member="m", tasks=[("kept", 1)])]
    assert scene.blamed("kept") == scene.blamed("moved") == ["m"]


def test_it_acts_at_once_when_members_turn_to_it(scene: Scene) -> None:
    scene.serving.clear()
    scene.claimed("a", "m")
    scene.loop.call_later(3.0, scene.serving.set)
    scene.run(seconds=3.01)
    assert scene.server.asked == [("task.release", "a")]


def test_what_another_steward_has_handed_over_counts_here_too(scene: Scene) -> None:
    """This one may be the one that has to park it."""
    scene.serving.clear()
    scene.claimed("moved", "m")
    scene.server.holds("moved", "n", 2)
    scene.run(seconds=11.0)
    assert scene.lines() == []
    assert not scene.declared()
    assert scene.death.blamed
    assert scene.blamed("moved") == ["m"]


def test_a_death_beside_another_steward_without_leases_is_none_here(scene: Scene) -> None:
    scene.serving.clear()
    scene.run(seconds=11.0)
    assert scene.lines() == []
    assert not scene.death.blamed


@pytest.mark.parametrize("at", [5.0, 10.2])
def test_a_member_that_turns_up_again_meanwhile_keeps_everything(scene: Scene, at: float) -> None:
    scene.serving.clear()
    scene.server.lag = 0.3
    scene.claimed("a", "m")
    scene.loop.call_later(at, scene.death.back.set)
    scene.run(seconds=12.0)
    assert scene.released() == []
    assert scene.lines() == []
    assert not scene.death.blamed


def test_one_that_is_back_before_the_ten_seconds_are_out_is_waited_for_no_longer(
    scene: Scene,
) -> None:
    scene.serving.clear()
    scene.loop.call_later(5.0, scene.death.back.set)
    scene.do(scene.handover.run(scene.death))
    assert scene.at() == 5.0


def test_no_more_than_so_many_requests_at_once(scene: Scene) -> None:
    scene.server.lag = 0.05
    for number in range(2 * ABREAST + 1):
        scene.claimed(f"t{number:02}", "m")
    scene.run(seconds=GRACE + 0.06)
    assert len(scene.released()) == ABREAST
    scene.death.back.set()
    scene.loop.run_for(1.0)
    assert len(scene.released()) == len(scene.death.taken) == 2 * ABREAST, "these were under way"


# A steward that has restarted.


def test_leases_of_one_that_nobody_saw_end_are_searched_for(scene: Scene) -> None:
    scene.server.holds("a", "m", 3)
    scene.server.holds("b", "n")
    scene.server.holds("c", "m", state="suspended")
    scene.do(scene.handover.run_unseen(scene.death))
    assert scene.server.asked == [("task.search", "acquired"), ("task.release", "a")]
    assert scene.lines(j.Died) == [j.Died(member="m", tasks=[("a", 3)])]
    assert scene.death.taken == [("a", 3)]
    late = scene.server.holds("late", "m", 4)
    scene.do(scene.handover.release_late(late, START))
    assert scene.death.taken == [("a", 3), ("late", 4)]


def test_one_that_nobody_saw_end_and_that_holds_nothing_has_left(scene: Scene) -> None:
    scene.server.holds("b", "n")
    scene.do(scene.handover.run_unseen(scene.death))
    assert scene.lines() == []
    assert not scene.declared()


def test_one_that_turns_up_during_the_search_keeps_its_leases(scene: Scene) -> None:
    scene.server.lag = 0.1
    scene.server.holds("a", "m")
    scene.loop.call_later(0.05, scene.death.back.set)
    scene.do(scene.handover.run_unseen(scene.death))
    assert scene.lines() == []


@pytest.mark.parametrize("unseen", [False, True])
def test_a_server_that_is_away_is_waited_for_until_the_member_is_back(
    scene: Scene, *, unseen: bool
) -> None:
    scene.server.away = True
    scene.claimed("a", "m")
    hand_over = scene.handover.run_unseen if unseen else scene.handover.run
    scene.start(hand_over(scene.death))
    scene.loop.run_for(1.0)
    assert scene.count("errors_total", what="hand-over") == 1
    scene.death.back.set()
    scene.loop.run_for(0.01)
    scene.server.away = False
    scene.loop.run_for(5.0)
    # The search is for all whom nobody saw end, so the return of one does not end it.
    assert scene.server.asked == [("task.search", "acquired")] * unseen


def test_one_search_is_for_all_whom_nobody_saw_end(scene: Scene) -> None:
    for member in "mno":
        scene.server.holds(f"of-{member}", member)
        scene.start(scene.handover.run_unseen(scene.missed(member)))
    scene.loop.run_for(5.0)
    assert scene.server.asked[0] == ("task.search", "acquired")
    assert sorted(scene.server.asked[1:]) == [("task.release", f"of-{one}") for one in "mno"]


def test_a_hand_over_waits_for_a_fresh_token(scene: Scene) -> None:
    scene.server.away = True
    scene.server.why = Refused(Reply(kind="task.release", status=401, data="expired"))
    scene.claimed("a", "m")
    scene.run(seconds=1.0)
    assert scene.released() == []
    assert scene.count("errors_total", what="hand-over") > 0
    scene.server.away = False
    scene.loop.run_for(1.0)
    assert scene.released() == ["a"]


def test_the_looks_wait_for_the_server_too(scene: Scene) -> None:
    scene.server.away = True
    scene.server.holds("sent", "m")
    scene.run("sent", seconds=1.0)
    assert scene.count("errors_total", what="hand-over") == 1
    scene.server.away = False
    scene.loop.run_for(1.0)
    assert scene.released() == ["sent"]


def test_the_looks_end_when_the_member_is_back(scene: Scene) -> None:
    scene.server.away = True
    scene.run("sent", seconds=1.0)
    scene.death.back.set()
    scene.loop.run_for(0.01)
    scene.server.away = False
    scene.loop.run_for(5.0)
    assert scene.server.asked == []


# Quarantine.


@pytest.fixture
def strict() -> Iterator[Scene]:
    """The limit is no crash at all."""
    with closing(Scene()) as one:
        yield one.begin(limit=0)


def test_the_one_to_blame_is_parked_and_the_others_are_released(strict: Scene) -> None:
    strict.claimed("poison", "x")
    strict.do(strict.handover.run(strict.missed("x")))
    assert strict.tools.memory.records["poison"].parked_at is not None
    assert strict.server.tasks["poison"].state == "halted"
    assert strict.released() == []
    [death] = strict.lines(j.Died)
    assert death == j.Died(member="x", tasks=[("poison", 1)])


def test_one_that_is_parked_is_told_to_a_member_that_comes_back(strict: Scene) -> None:
    strict.claimed("poison", "m")
    strict.run()
    assert strict.death.taken == [("poison", 1)]


def trial(strict: Scene) -> str:
    """Let `m` die of one of three jobs; return the one that is tried first."""
    for task in ("a", "b", "c"):
        strict.claimed(task, "m")
    strict.run()
    [tried] = strict.released()
    return tried


def test_several_to_blame_are_tried_one_after_the_other(strict: Scene) -> None:
    first = trial(strict)
    second, third = sorted({"a", "b", "c"} - {first})
    assert strict.handover.is_trial(first)
    assert not strict.handover.is_trial(second)
    states = strict.server.tasks
    states[first] = Task(id=first, state="acquired", version=2)
    states[second] = Task(id=second, state="pending", version=1)
    strict.do(strict.handover.follow_up())
    assert strict.released() == [first]
    states[first] = Task(id=first, state="suspended", version=2)
    strict.do(strict.handover.follow_up())
    assert strict.released() == [first, second]
    assert not strict.handover.is_trial(first)
    assert strict.handover.is_trial(second)
    strict.do(strict.handover.follow_up())
    assert strict.released() == [first, second]
    strict.do(strict.handover.end_trial(second))
    assert strict.released() == [first, second, third]
    strict.do(strict.handover.end_trial(third))
    strict.do(strict.handover.end_trial(third))
    assert strict.released() == [first, second, third]
    assert strict.death.taken == [(first, 1), (second, 1), (third, 1)]


def test_what_is_held_back_is_not_swept_up_before_its_turn(strict: Scene) -> None:
    first = trial(strict)
    held_back = next(task for task in "abc" if task != first)
    late = strict.server.tasks[held_back]
    strict.do(strict.handover.release_late(late, START))
    assert strict.released() == [first]
    newer = strict.server.holds(held_back, "m", 2)
    strict.do(strict.handover.release_late(newer, START))
    assert strict.released() == [first, held_back]


def test_what_was_held_back_is_the_members_own_when_it_lives(strict: Scene) -> None:
    first = trial(strict)
    strict.do(strict.handover.pardon("n"))
    strict.do(strict.handover.pardon("m"))
    assert strict.tools.memory.records == {}
    strict.do(strict.handover.end_trial(first))
    assert strict.released() == [first]


def test_a_pardon_leaves_alone_what_another_member_held(strict: Scene) -> None:
    first = trial(strict)
    strict.do(strict.handover.pardon("n"))
    strict.do(strict.handover.end_trial(first))
    assert len(strict.released()) == 2


def test_what_waits_for_a_trial_that_another_steward_ends_waits_for_nothing(
    strict: Scene,
) -> None:
    """The tried one has moved on already: it is not this steward's to release."""
    strict.serving.clear()
    for task in ("a", "b"):
        strict.claimed(task, "m")
    strict.server.holds("a", "n", 2)  # the first to be tried
    strict.run(seconds=11.0)
    assert strict.released() == ["b"]
    assert not strict.handover.is_trial("a")


# Leases that turn up late.


def test_a_lease_that_turns_up_late_is_told_to_the_death_that_was_known(scene: Scene) -> None:
    scene.run()
    late = scene.server.holds("late", "m", 4)
    scene.do(scene.handover.release_late(late, START - 5.0))
    assert scene.death.taken == [("late", 4)]
    [line] = scene.lines(j.HandedOver)
    assert line == j.HandedOver(job="late", task="late", attempt=4, member="m", seconds=0.2)


def test_a_lease_of_one_that_was_never_known(scene: Scene) -> None:
    late = scene.server.holds("late", "stranger")
    scene.do(scene.handover.release_late(late, START - 5.0))
    [line] = scene.lines(j.HandedOver)
    assert line == j.HandedOver(job="late", task="late", attempt=1, member="stranger", seconds=5.0)
    assert scene.death.taken == []


def test_a_lease_of_nobody(scene: Scene) -> None:
    late = replace(scene.server.holds("late", "m"), pid=None)
    scene.do(scene.handover.release_late(late, START - 5.0))
    [line] = scene.lines(j.HandedOver)
    assert line == j.HandedOver(job="late", task="late", attempt=1, member="", seconds=5.0)
