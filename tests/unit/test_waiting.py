"""The queue of a group without a policy."""

from collections.abc import Callable

import pytest

from resonate_fleet.steward.fair import FairQueue
from resonate_fleet.steward.policy import Attributes, GroupPolicy, Limit
from resonate_fleet.steward.subqueues import Waiting


def queue_of(*since: float) -> tuple[FairQueue, list[Waiting]]:
    queue = FairQueue()
    tasks = [Waiting(f"t{n}", 0, at, at) for n, at in enumerate(since)]
    for one in tasks:
        queue.add(one)
    return queue, tasks


def taken(queue: FairQueue, may: Callable[[str], bool] = lambda _: True) -> list[str]:
    found = []
    while (one := queue.take(9.0, may)) is not None:
        found.append(one.task)
    return found


def test_first_come_first_served_and_among_equals_by_id() -> None:
    queue, _ = queue_of(3.0, 1.0, 2.0, 1.0)
    assert taken(queue) == ["t1", "t3", "t2", "t0"]
    assert not queue.waiting
    assert queue.oldest() is None


def test_those_that_are_gone_count_no_more_and_are_passed_over() -> None:
    queue, tasks = queue_of(*range(10))
    for left, number in ((9, 4), (8, 6), (7, 8)):
        queue.drop(tasks[number])
        assert tasks[number].dropped
        assert len(queue.waiting) == left
    assert queue.oldest() is tasks[0]
    for left, number in ((6, 0), (5, 1)):
        queue.drop(tasks[number])
        assert len(queue.waiting) == left
        assert queue.oldest() is tasks[number + 1]
    assert taken(queue) == ["t2", "t3", "t5", "t7", "t9"]


def test_very_many_that_are_gone_change_nothing() -> None:
    queue, tasks = queue_of(*range(100))
    for one in reversed(tasks[3:]):
        queue.drop(one)
    queue.add(Waiting("late", 0, 1.5, 1.5))
    assert taken(queue) == ["t0", "t1", "late", "t2"]


def test_without_a_policy_there_are_no_limits() -> None:
    queue, tasks = queue_of(1.0)
    for number in range(100):
        queue.limits.occupy(f"r{number}")
    assert (queue.limits.unread, queue.wake_at()) == (set(), None)
    assert (queue.why(2.0, tasks[0]), queue.limited(2.0)) == ("", {})
    assert taken(queue) == ["t0"]


def test_what_runs_elsewhere_or_waits_no_more_leaves_nothing_behind() -> None:
    """A steward that stands by hears of all attempts, with whatever keys."""
    queue = FairQueue(GroupPolicy(), lambda task: Attributes(key=task))
    for number in range(100):
        queue.limits.occupy(f"r{number}")
        queue.limits.vacate(f"r{number}")
        waiting = Waiting(f"w{number}", 0, 0.0, 0.0)
        queue.add(waiting)
        queue.drop(waiting)
    queue.limits.vacate("unknown")
    queue.wake(0.0)
    assert not queue.limits.keys


def test_a_key_that_has_jobs_again_is_not_forgotten() -> None:
    queue = FairQueue(GroupPolicy(), lambda task: Attributes(key=task[0]))
    queue.add(Waiting("a1", 0, 0.0, 0.0))
    assert taken(queue) == ["a1"]
    other, again = Waiting("b1", 0, 1.0, 1.0), Waiting("a2", 0, 5.0, 5.0)
    queue.add(other)
    queue.add(again)
    queue.limits.vacate("a1")
    queue.wake(9.0)
    assert queue.take(9.0, lambda _: True) is other
    assert queue.oldest() is again
    assert sorted(queue.limits.keys) == ["a", "b"]


def test_a_function_with_a_limit_is_waited_for_only_while_its_rate_blocks_it() -> None:
    functions = {"rated": Limit(rate=2.0), "few": Limit(running=1)}
    known = {"t": Attributes(function="rated"), "u": Attributes(function="few")}
    queue = FairQueue(GroupPolicy(functions=functions), known.get)
    for at in (7.0, 8.0):
        queue.wake(at)
        assert queue.wake_at() is None
    for task in known:
        queue.add(Waiting(task, 0, 0.0, 0.0))
    assert [queue.take(8.0, lambda _: True) is not None for _ in range(3)] == [True, True, False]
    assert queue.wake_at() == pytest.approx(8.5)


def test_what_a_member_may_not_begin_is_set_aside_in_its_turn() -> None:
    queue, tasks = queue_of(1.0, 2.0, 3.0, 4.0, 5.0)
    for number, needs in ((0, "g"), (1, "h"), (2, "f"), (4, "g")):
        tasks[number].needs = needs
    assert queue.take(9.0, lambda one: one == "f") is tasks[2]
    assert queue.aside == {"g": 1, "h": 1}
    assert [queue.oldest(needs) for needs in ("", "g", "h")] == [tasks[0], tasks[0], tasks[1]]
    queue.drop(tasks[0])
    assert queue.aside == {"h": 1}
    assert taken(queue) == ["t1", "t3", "t4"]
    assert not queue.aside
