"""Who is blamed for a crash, and who is parked."""

import random
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from resonate_fleet.contract.live import Crash, CrashRecord
from resonate_fleet.contract.wire import Task
from resonate_fleet.steward.parking import Judgement, Parking, judge, outlived, without_member
from resonate_fleet.steward.state_file import Memory
from resonate_fleet.steward.tools import Tools

LIMIT = 3


def crash(member: str, *, at: float = 1.0, attempt: int = 1, blamed: bool = True) -> Crash:
    return Crash(member, attempt, at, blamed)


def test_a_member_that_held_nothing_blames_nobody() -> None:
    assert judge({}, [], LIMIT) == Judgement()


def test_the_first_crash_is_counted_against_all_that_were_there() -> None:
    assert judge({}, ["a", "b"], LIMIT) == Judgement(blamed=("a", "b"), release=("a", "b"))


def test_a_crash_is_counted_against_those_alone_that_crashed_most_before() -> None:
    judged = judge({"poison": 1}, ["a", "poison", "b"], LIMIT)
    assert judged == Judgement(blamed=("poison",), release=("a", "poison", "b"))


def test_it_is_parked_when_it_crashes_once_more_than_the_limit() -> None:
    assert judge({"poison": 2}, ["poison"], LIMIT).park == ()
    assert judge({"poison": 3}, ["poison", "a"], LIMIT) == Judgement(
        blamed=("poison",), park=("poison",), release=("a",)
    )


def test_a_limit_of_none_parks_at_the_first_crash() -> None:
    assert judge({}, ["a"], 0).park == ("a",)


def test_several_that_lead_together_are_taken_apart_and_not_parked() -> None:
    judged = judge({"a": 3, "b": 3, "c": 1}, ["a", "b", "c"], LIMIT)
    assert judged.park == ()
    assert judged.trial in ("a", "b")
    assert set(judged.release) == {"c", judged.trial}
    assert set(judged.hold_back) == {"a", "b"} - {judged.trial}


def test_the_next_time_another_one_is_tried() -> None:
    first = judge({"a": 3, "b": 3}, ["a", "b"], LIMIT).trial
    second = judge({"a": 4, "b": 4}, ["a", "b"], LIMIT).trial
    assert {first, second} == {"a", "b"}


names = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)


@given(names, st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 6)), st.integers(0, 4))
def test_every_lease_is_dealt_with_once(
    suspects: list[str], counts: dict[str, int], limit: int
) -> None:
    judged = judge(counts, suspects, limit)
    assert sorted((*judged.park, *judged.release, *judged.hold_back)) == sorted(suspects)
    assert judged.blamed
    assert len(judged.park) <= 1
    assert all(counts.get(task, 0) + 1 > limit for task in judged.park)


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_in_a_fleet_a_poison_job_alone_is_parked_in_the_end(seed: int, slots: int) -> None:
    """Members take jobs at random; the poison one ends every member that holds it."""
    dice, jobs = random.Random(seed), [f"job-{n}" for n in range(30)]
    counts: dict[str, int] = {}
    crashes = 0
    while "poison" not in (judged := _crash(dice, jobs, slots, counts)).park:
        assert judged.park == ()
        crashes += 1
        assert crashes <= 40
    assert counts["poison"] > LIMIT


def _crash(dice: random.Random, jobs: list[str], slots: int, counts: dict[str, int]) -> Judgement:
    held = [*dice.sample(jobs, slots - 1), "poison"]
    judged = judge(counts, held, LIMIT)
    for task in judged.blamed:
        counts[task] = counts.get(task, 0) + 1
    return judged


def test_on_one_member_that_always_takes_the_same_jobs_trials_find_the_poison() -> None:
    counts: dict[str, int] = {}
    held = ["a", "b", "poison"]
    for _ in range(20):
        judged = judge(counts, held, LIMIT)
        for task in judged.blamed:
            counts[task] = counts.get(task, 0) + 1
        if judged.park:
            break
        # Tried alone, an innocent finishes; the poison brings its member down alone.
        if judged.trial is not None:
            held = (
                ["poison"] if judged.trial == "poison" else [t for t in held if t != judged.trial]
            )
    assert judged.park == ("poison",)


def test_crashes_that_another_was_blamed_for_are_shown_and_not_counted() -> None:
    record = CrashRecord("a", (crash("m-1", blamed=False),))
    assert (record.count, record.members, len(record.crashes)) == (0, [], 1)


def test_a_false_alarm_takes_the_crash_back() -> None:
    record = CrashRecord("a", (crash("m-1"), crash("m-2"), crash("m-3")), parked_at=9.0)
    left = (crash("m-1"), crash("m-3"))
    assert without_member(record, "m-2") == CrashRecord("a", left, parked_at=9.0)


def test_records_end_with_their_jobs() -> None:
    record = CrashRecord("a", (crash("m-1", at=5.0),))
    assert outlived(record, None, at=6.0)
    assert not outlived(record, "pending", at=6.0)
    assert not outlived(record, None, at=4.0), "the look is older than the crash"
    assert not outlived(record, None, at=5.0), "it cannot tell"
    assert outlived(CrashRecord("a"), None, at=0.5)
    assert outlived(CrashRecord("a", (crash("m-1", at=0.2),)), None, at=0.5)


def test_a_parked_job_that_is_halted_no_more_was_redriven() -> None:
    record = CrashRecord("a", (crash("m-1", at=5.0),), parked_at=6.0)
    assert not outlived(record, "halted", at=7.0)
    assert not outlived(record, "acquired", at=5.5), "the look is older than the parking"
    assert outlived(record, "acquired", at=7.0)


class Kept:
    """The part of the steward's tools that following up needs, and the server's answers."""

    def __init__(self, *records: CrashRecord) -> None:
        self.memory = Memory(records={one.task: one for one in records})
        self.wire = self
        self.state = "acquired"

    async def task(self, id: str) -> Task:
        return Task(id=id, state=self.state, version=3)

    def save(self) -> None: ...


async def test_a_job_that_searches_miss_keeps_its_crashes_until_it_is_over() -> None:
    """It was claimed while one state after the other was searched."""
    kept = Kept(CrashRecord("poison", (crash("m1"), crash("m2"))))
    parking = Parking(cast("Tools", kept), LIMIT)
    missed: dict[str, str] = {}
    await parking.follow_up(missed.get, at=100.0)
    assert list(kept.memory.records) == ["poison"]
    kept.state = "fulfilled"
    await parking.follow_up({"poison": "acquired"}.get, at=100.0)
    assert list(kept.memory.records) == ["poison"]
    await parking.follow_up(missed.get, at=1.0)
    assert list(kept.memory.records) == ["poison"], "the searches are older than the crash"
    await parking.follow_up(missed.get, at=100.0)
    assert kept.memory.records == {}
