"""The queue of a group without a policy."""

from resonate_fleet.steward.waiting import FirstCome, NoLimits, Waiting


def anything(_: str) -> bool:
    return True


def queue_of(*since: float) -> tuple[FirstCome, list[Waiting]]:
    queue = FirstCome()
    tasks = [Waiting(f"t{n}", 0, at, at) for n, at in enumerate(since)]
    for one in tasks:
        queue.add(one)
    return queue, tasks


def test_first_come_first_served_and_among_equals_by_arrival() -> None:
    queue, tasks = queue_of(3.0, 1.0, 2.0, 1.0)
    assert all(one.queue is queue for one in tasks)
    taken = []
    while (one := queue.take(9.0, anything)) is not None:
        taken.append(one.task)
    assert taken == ["t1", "t3", "t2", "t0"]
    assert len(queue) == 0
    assert queue.oldest() is None


def test_those_that_are_gone_count_no_more_and_are_passed_over() -> None:
    queue, tasks = queue_of(*range(10))
    for left, number in ((9, 4), (8, 6), (7, 8)):
        queue.drop(tasks[number])
        assert tasks[number].dropped
        assert len(queue) == left
    assert queue.oldest() is tasks[0]
    for left, number in ((6, 0), (5, 1)):
        queue.drop(tasks[number])
        assert len(queue) == left
        assert queue.oldest() is tasks[number + 1]
        assert len(queue) == left
    assert [queue.take(9.0, anything) for _ in range(6)] == [
        *(tasks[n] for n in (2, 3, 5, 7, 9)),
        None,
    ]
    assert len(queue) == 0


def test_very_many_that_are_gone_change_nothing() -> None:
    queue, tasks = queue_of(*range(100))
    for one in reversed(tasks[3:]):
        queue.drop(one)
    queue.add(Waiting("late", 0, 1.5, 1.5))
    assert len(queue) == 4
    taken = [queue.take(9.0, anything) for _ in range(5)]
    assert [one and one.task for one in taken] == ["t0", "t1", "late", "t2", None]
    assert len(queue) == 0


def test_without_a_policy_there_are_no_limits() -> None:
    limits = NoLimits()
    limits.occupy("t")
    assert (limits.unread(), limits.wake_at()) == ([], None)
    assert (limits.why(0.0, "t"), limits.limited(0.0)) == ("", {})


def test_what_a_member_may_not_begin_is_set_aside_in_its_turn() -> None:
    queue, tasks = queue_of(1.0, 2.0, 3.0, 4.0, 5.0)
    for number, needs in ((0, "g"), (1, "h"), (2, "f"), (4, "g")):
        tasks[number].needs = needs
    assert queue.take(9.0, lambda one: one == "f") is tasks[2]
    assert {name: (one.size, one.first.task) for name, one in queue.aside().items()} == {
        "g": (1, "t0"),
        "h": (1, "t1"),
    }
    assert (len(queue), queue.oldest()) == (4, tasks[0])
    queue.drop(tasks[0])
    assert list(queue.aside()) == ["h"]
    assert [queue.take(9.0, anything) for _ in range(4)] == [tasks[1], tasks[3], tasks[4], None]
    assert not queue.aside()
