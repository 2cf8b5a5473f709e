"""What is kept of crashes, and how a job is set aside and put back."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from resonate_fleet.contract import journal as j
from resonate_fleet.contract.live import Crash, CrashRecord, LiveParked
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.parking import Judgement, Parking
from tests.support.by_hand import START, Stage

pytestmark = pytest.mark.usefixtures("no_logs")

LIMIT = 2


class Scene(Stage):
    def begin(self) -> "Scene":
        self.parking = Parking(self.tools, LIMIT)
        self.records = self.tools.memory.records
        return self

    def crashes(self, task: str, *members: str, version: int = 1) -> Judgement:
        """Let one member after the other die of the task."""
        judged = Judgement()
        for member in members:
            judged = self.parking.judge(member, [Task(id=task, state="acquired", version=version)])
        return judged

    def parked(self, task: str, *members: str) -> Task:
        self.claimed(task, members[-1])
        self.crashes(task, *members)
        held = self.server.tasks[task]
        assert self.do(self.parking.park(held))
        return held


@pytest.fixture
def scene() -> Iterator[Scene]:
    with closing(Scene()) as one:
        yield one.begin()


def test_a_crash_is_kept_before_anything_else_happens(scene: Scene) -> None:
    held = [Task(id=task, state="acquired", version=7) for task in ("a", "b")]
    judged = scene.parking.judge("m1", held)
    assert judged == Judgement(blamed=("a", "b"), release=("a", "b"))
    assert scene.records["a"] == CrashRecord("a", (Crash("m1", 7, START, blamed=True),))
    assert scene.file.saves == 1
    assert scene.crashes("a", "m1").park == (), "the same death, told twice"
    assert scene.records["a"].count == 1
    assert scene.parking.judge("m2", held[:1]).blamed == ("a",)
    assert scene.parking.judge("m3", held).blamed == ("a",)
    assert scene.records["b"].members == ["m1"]
    assert [one.blamed for one in scene.records["b"].crashes] == [True, False]


def test_a_member_that_held_nothing_changes_nothing(scene: Scene) -> None:
    assert scene.parking.judge("m", []) == Judgement()
    assert (scene.file.saves, scene.records) == (0, {})


def test_the_limit_is_how_many_crashes_are_forgiven(scene: Scene) -> None:
    assert scene.crashes("a", "m1", "m2").park == ()
    assert scene.crashes("a", "m2").park == (), "the same death, told twice"
    assert scene.crashes("a", "m3").park == ("a",)


def test_a_job_is_set_aside(scene: Scene) -> None:
    scene.loop.run_for(5.0)
    saved = scene.file.saves
    scene.parked("job:1", "m1", "m2", "m3")
    assert scene.server.asked == [("task.get", "job:1"), ("task.halt", "job:1")]
    assert scene.server.tasks["job:1"].state == "halted"
    crashes = tuple(Crash(f"m{n}", 1, START + 5.0, blamed=True) for n in (1, 2, 3))
    assert scene.records["job:1"] == CrashRecord("job:1", crashes, parked_at=START + 5.0)
    assert scene.file.saves == saved + 4
    assert scene.count("quarantined_total") == 1
    members = ["m1", "m2", "m3"]
    parked = j.Parked(job="job", task="job:1", crashes=3, members=members)
    assert scene.journal.lines == [(parked, 30)]
    at = START + 5.0
    live = LiveParked(task="job:1", job="job", attempt=1, since=at, members=members, group="g")
    assert scene.attempts.parked == {"job:1": live}
    assert scene.marks() == [(5.0, "parked", "m3", "job")]
    assert scene.attempts.running == {}


@pytest.mark.parametrize("now", [None, ("acquired", 2), ("pending", 1), ("halted", 1)], ids=str)
def test_a_job_that_has_moved_on_is_left_alone(scene: Scene, now: tuple[str, int] | None) -> None:
    held = Task(id="a", state="acquired", version=1)
    scene.crashes("a", "m")
    if now:
        scene.server.holds("a", "n", now[1], now[0])
    assert not scene.do(scene.parking.park(held))
    assert scene.server.asked == [("task.get", "a")]
    assert scene.lines() == []


def test_a_job_that_moves_on_at_that_moment_is_not_parked(scene: Scene) -> None:
    scene.crashes("a", "m")
    held = scene.server.holds("a", "m")
    scene.server.lag = 0.1
    scene.loop.call_later(0.15, scene.server.tasks.pop, "a")
    assert not scene.do(scene.parking.park(held))
    assert scene.server.asked == [("task.get", "a"), ("task.halt", "a")]
    assert scene.lines() == []
    assert scene.records["a"].parked_at is None


def test_parking_waits_for_a_server_that_is_away(scene: Scene) -> None:
    scene.crashes("a", "m")
    held = scene.server.holds("a", "m")
    scene.server.away = True
    scene.start(scene.parking.park(held))
    scene.loop.run_for(1.0)
    assert scene.count("errors_total", what="quarantine") == 1
    scene.server.away = False
    scene.loop.run_for(1.0)
    assert scene.server.tasks["a"].state == "halted"


def test_one_that_was_parked_and_is_held_again_starts_afresh(scene: Scene) -> None:
    scene.parked("a", "m1", "m2", "m3")
    assert scene.crashes("a", "m4", version=2).park == ()
    assert scene.records["a"].members == ["m4"]
    assert scene.records["a"].parked_at is None


# A member that lives after all.


def test_its_crashes_are_taken_back(scene: Scene) -> None:
    scene.crashes("shared", "m1", "m2")
    scene.crashes("own", "m1")
    scene.crashes("other", "m2")
    saved = scene.file.saves
    scene.do(scene.parking.pardon("m1"))
    assert {task: one.members for task, one in scene.records.items()} == {
        "shared": ["m2"],
        "other": ["m2"],
    }
    assert scene.file.saves == saved + 1
    scene.do(scene.parking.pardon("stranger"))
    assert scene.file.saves == saved + 1
    assert scene.server.asked == []


def test_a_job_that_is_within_its_limit_again_goes_back_to_work(scene: Scene) -> None:
    scene.parked("job:1", "m1", "m2", "m3")
    scene.loop.run_for(5.0)
    scene.do(scene.parking.pardon("m1"))
    assert scene.server.tasks["job:1"].state == "pending"
    assert scene.lines(j.Redriven) == [j.Redriven(job="job")]
    assert scene.marks()[-1] == (5.0, "redriven", None, "job")
    assert scene.attempts.parked == {}
    left = tuple(Crash(member, 1, START, blamed=True) for member in ("m2", "m3"))
    assert scene.records["job:1"] == CrashRecord("job:1", left)


def test_a_job_that_others_died_of_too_stays_parked(scene: Scene) -> None:
    scene.parked("a", "m1", "m2", "m3", "m4")
    scene.do(scene.parking.pardon("m1"))
    assert scene.server.tasks["a"].state == "halted"
    assert scene.records["a"].parked_at is not None
    assert scene.records["a"].members == ["m2", "m3", "m4"]


def test_a_job_that_somebody_has_put_back_already_is_no_redrive(scene: Scene) -> None:
    held = scene.parked("a", "m1", "m2", "m3")
    scene.server.tasks["a"] = held
    scene.do(scene.parking.pardon("m1"))
    assert scene.lines(j.Redriven) == []
    assert scene.records["a"].members == ["m2", "m3"]


# After a survey.


def test_one_that_another_steward_has_parked_starts_afresh_after_its_redrive(scene: Scene) -> None:
    scene.crashes("beyond", "m1", "m2", "m3")
    scene.crashes("within", "m1", "m2")
    halted = {"beyond": "halted", "within": "halted"}
    scene.do(scene.parking.follow_up(halted.get, START + 9.0))
    crashes = tuple(Crash(f"m{n}", 1, START, blamed=True) for n in (1, 2, 3))
    assert scene.records["beyond"] == CrashRecord("beyond", crashes, parked_at=START + 9.0)
    assert scene.records["within"].parked_at is None
    scene.crashes("running", "m1", "m2", "m3")
    scene.do(scene.parking.follow_up({**halted, "running": "acquired"}.get, START + 9.0))
    assert scene.records["running"].parked_at is None


def test_when_it_was_parked_is_kept(scene: Scene) -> None:
    scene.parked("a", "m1", "m2", "m3")
    scene.do(scene.parking.follow_up({"a": "halted"}.get, START + 9.0))
    assert scene.records["a"].parked_at == START


def test_records_end_with_their_jobs_and_that_is_kept(scene: Scene) -> None:
    scene.parked("parked", "m1", "m2", "m3")
    scene.crashes("waiting", "m1")
    scene.crashes("over", "m1")
    states = {"parked": "halted", "waiting": "pending"}
    saved = scene.file.saves
    for state, left in (("pending", 3), ("fulfilled", 2), ("fulfilled", 2)):
        scene.server.tasks["over"] = Task(id="over", state=state, version=1)
        scene.do(scene.parking.follow_up(states.get, START + 9.0))
        assert len(scene.records) == left, "what no search has seen may only have moved on"
    assert scene.file.saves == saved + 1
    states["parked"] = "acquired"
    scene.do(scene.parking.follow_up(states.get, START + 9.0))
    assert list(scene.records) == ["waiting"], "redriven by hand: at once"
    assert scene.file.saves == saved + 2


def test_a_record_that_changes_while_its_task_is_read_keeps_none_of_the_others(
    scene: Scene,
) -> None:
    for task in ("changing", "over"):
        scene.crashes(task, "m1")
    scene.server.lag = 0.1
    scene.loop.call_later(0.05, scene.crashes, "changing", "m2")
    scene.do(scene.parking.follow_up(lambda _: None, START + 9.0))
    assert {task: one.count for task, one in scene.records.items()} == {"changing": 2}
