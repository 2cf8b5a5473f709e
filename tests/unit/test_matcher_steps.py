"""The matcher's steps one by one: the table at the head of `steward/matcher.py`, row by row."""

from collections.abc import Callable

import pytest

from resonate_fleet.steward.attempts import REMEMBERED
from resonate_fleet.steward.fair import FairQueue
from resonate_fleet.steward.matcher import ANSWER_SECONDS, FIRST_PAUSE, Matcher
from resonate_fleet.steward.policy import Attributes, GroupPolicy, Limit
from resonate_fleet.steward.subqueues import May, Waiting
from tests.unit.test_matcher import handed, ready


class Noted(FairQueue):
    """A queue that keeps which tasks it was told run no more, and says what a test puts there."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str]] = []
        self.wakes: float | None = None
        vacate = self.limits.vacate

        def noted(task: str) -> None:
            self.told.append(("vacate", task))
            vacate(task)

        self.limits.vacate = noted  # type: ignore[method-assign] # the limits are the queue's own

    def wake_at(self) -> float | None:
        return super().wake_at() if self.wakes is None else self.wakes

    def why(self, now: float, waiting: Waiting) -> str:
        return f"{waiting.task} at {now:g}"

    def limited(self, now: float) -> dict[str, int]:
        return {f"limit at {now:g}": 2}


def limited(
    *members: str, credits: int = 1, functions: tuple[str, ...] = ()
) -> tuple[Matcher, Noted]:
    noted = Noted()
    matcher = Matcher(noted)
    for member in members:
        matcher.join(member, credits, functions)
        matcher.credit(member, credits)
    return matcher, noted


def assigned(*members: str, newer: int | None = None) -> tuple[Matcher, Noted]:
    """Return a matcher that has given `t` to the first of members at version 3."""
    matcher, noted = limited(*(members or ("a",)))
    matcher.offer(0.0, "t", 3, since=0.0)
    matcher.match(0.0)
    if newer is not None:
        matcher.offer(0.5, "t", newer, since=0.5)
    noted.told.clear()
    return matcher, noted


def waits(matcher: Matcher) -> dict[str, int]:
    return {one.task: one.version for one in matcher.queue.waiting.values()}


# What is seen from outside.


def test_how_many_wait_and_since_when() -> None:
    matcher = ready("a", functions=("f",))
    assert (len(matcher), matcher.oldest()) == (0, None)
    matcher.offer(0.0, "lacking", 0, since=1.0, needs="g")
    matcher.offer(0.0, "first", 0, since=2.0)
    matcher.offer(0.0, "second", 0, since=3.0)
    assert handed(matcher) == [("a", "first")]
    assert len(matcher) == 3, "the assigned one among them"
    assert matcher.oldest() == 1.0
    assert ["lacking" in matcher, "first" in matcher, "x" in matcher] == [True, True, False]
    matcher.drop("lacking")
    assert matcher.oldest() == 3.0


def test_what_a_task_waits_for() -> None:
    matcher, _ = limited("a", "b", functions=("f",), credits=3)
    for task, needs in (("none", "g"), ("none-2", "g"), ("full", "f"), ("slot", "")):
        matcher.offer(0.0, task, 0, since=0.0, needs=needs)
    for member in ("a", "b"):
        matcher.filled(member, ["f"])
    assert handed(matcher, 1.0) == [("a", "slot")]
    matcher.offer(0.0, "later", 0, since=0.0)
    nobody, full = "nobody has the function g", "as many of the function f run as may"
    assert matcher.blocked(7.0) == {nobody: 2, full: 1, "limit at 7": 2}
    assert matcher.queue.limited(7.0) == {"limit at 7": 2}
    assert matcher.stuck() == {nobody: "none", full: "full"}
    assert [matcher.why(7.0, task) for task in ("none", "full", "later", "slot", "unknown")] == [
        nobody,
        full,
        "later at 7",
        "",
        "",
    ]
    matcher.filled("b", [])
    assert list(matcher.stuck()) == [nobody], "one may begin it"


def test_a_function_waits_for_nobody_once_its_tasks_are_gone() -> None:
    matcher = ready("a", functions=("f",))
    matcher.offer(0.0, "g", 0, since=0.0, needs="g")
    matcher.offer(0.0, "h", 0, since=0.0, needs="h")
    assert handed(matcher) == []
    matcher.drop("g")
    assert list(matcher.stuck().values()) == ["h"]
    assert list(matcher.blocked(0.0)) == ["nobody has the function h"]


def test_another_queue_takes_over_what_stands_in_the_present_one() -> None:
    matcher = ready("a", credits=4, functions=("f",))
    matcher.offer(0.0, "lacking", 0, since=0.0, needs="g")
    assert handed(matcher) == []
    matcher.offer(0.0, "queued", 0, since=1.0)
    matcher.declined("paused", "")
    matcher.offer(0.0, "paused", 0, since=0.0)
    matcher.requeue(Noted())
    assert list(matcher.queue.waiting) == ["lacking", "queued", "paused"]
    assert handed(matcher) == [("a", "queued")]
    matcher.claimed(0.0, "a", "queued", 1)
    assert matcher.blocked(0.0) == {"nobody has the function g": 1, "limit at 0": 2}
    assert handed(matcher, FIRST_PAUSE) == [("a", "paused")]


# What is heard of tasks.


def test_a_task_that_is_heard_of_again_keeps_its_turn_and_its_latest_version() -> None:
    matcher = Matcher()
    matcher.offer(1.0, "t", 2, since=1.0, needs="f")
    matcher.offer(2.0, "t", 5, since=9.0, needs="g")
    matcher.offer(3.0, "t", 4, since=9.0)
    [one] = matcher.queue.waiting.values()
    assert (one.version, one.needs, one.since, one.heard_at) == (5, "g", 1.0, 3.0)


@pytest.mark.parametrize(("attempt", "left"), [(None, 0), (4, 0), (3, 1)])
def test_a_task_that_was_claimed_waits_no_more_unless_it_was_before(
    attempt: int | None, left: int
) -> None:
    matcher = Matcher()
    matcher.offer(0.0, "t", 3, since=0.0)
    matcher.drop("t", attempt)
    matcher.drop("unknown", attempt)
    assert len(matcher) == left


def test_a_paused_task_can_be_over_too() -> None:
    matcher = ready("a")
    matcher.declined("t", "")
    matcher.offer(0.0, "t", 0, since=0.0)
    matcher.drop("t")
    assert handed(matcher, 100.0) == []
    assert len(matcher) == 0


# What is heard of members.


def test_a_slot_is_a_credit_an_assignment_or_a_word_that_is_owed() -> None:
    matcher = Matcher()
    matcher.join("a", 5)
    matcher.credit("a", 3)
    matcher.credit("a", -1)
    assert matcher.credits_of("a") == 3
    for task in ("late", "t"):
        matcher.offer(0.0, task, 0, since=0.0)
        assert handed(matcher, ANSWER_SECONDS / 2 if task == "t" else 0.0) == [("a", task)]
    matcher.match(ANSWER_SECONDS)  # one has waited for its word for too long
    matcher.credit("a", 9)
    assert matcher.credits_of("a") == 5 - 1 - 1


def test_a_member_without_credits_is_passed_over() -> None:
    matcher = Matcher()
    matcher.join("a", 1)
    matcher.credit("a", 0)
    matcher.withdraw("a")
    matcher.offer(0.0, "t", 0, since=0.0)
    assert handed(matcher) == []


def test_members_that_find_nothing_keep_their_turn() -> None:
    matcher = ready("a", "b", functions=("f",))
    matcher.join("c", 1, ("f", "g"))
    matcher.credit("c", 1)
    matcher.offer(0.0, "rare", 0, since=0.0, needs="g")
    assert handed(matcher) == [("c", "rare")]
    for number in range(2):
        matcher.offer(0.0, f"t{number}", 0, since=1.0)
    assert handed(matcher) == [("a", "t0"), ("b", "t1")]


def test_a_member_that_leaves_names_all_that_it_has_not_answered_for() -> None:
    matcher = Matcher()
    matcher.join("a", 2, ("f",))
    matcher.join("b", 1)
    matcher.credit("a", 1)
    matcher.offer(0.0, "late", 0, since=0.0)
    matcher.match(0.0)
    matcher.credit("a", 1)
    matcher.offer(0.5, "t", 0, since=1.0)
    matcher.match(0.5)
    matcher.match(ANSWER_SECONDS)
    before = matcher.is_mixed
    assert matcher.leave(2.0, "a") == ["t", "late"]
    assert (before, matcher.is_mixed) == (True, False)
    assert matcher.leave(2.0, "a") == []
    matcher.credit("b", 1)
    assert handed(matcher, 2.0) == [("b", "late")]


def test_one_that_leaves_with_credits_gets_nothing_more() -> None:
    matcher = ready("a")
    matcher.leave(0.0, "a")
    matcher.offer(0.0, "t", 0, since=0.0)
    assert handed(matcher) == []
    assert matcher.credits_of("a") == 0


def test_where_a_function_was_ever_full_each_claim_is_waited_for() -> None:
    matcher = ready("a", credits=5, functions=("f", "g"))
    matcher.filled("a", ["f"])
    matcher.filled("a", ["g"])
    matcher.filled("a", [])
    for number, needs in enumerate(["f", "f", "g", "g", "f"]):
        matcher.offer(0.0, f"{needs}{number}", 0, since=float(number), needs=needs)
    assert handed(matcher) == [("a", "f0"), ("a", "g2")]
    matcher.claimed(0.0, "a", "f0", 1)
    assert handed(matcher) == [("a", "f1")]


# The member's word.


def test_a_claim_ends_the_wait_and_says_how_it_was() -> None:
    matcher, noted = assigned()
    found = matcher.claimed(1.0, "a", "t", 4)
    assert found is not None
    assert (found.task, found.version) == ("t", 3)
    assert (len(matcher), noted.told) == (0, [])


@pytest.mark.parametrize(("newer", "left"), [(4, {"t": 4}), (5, {"t": 5})])
def test_what_was_heard_since_is_about_the_next_claim(newer: int, left: dict[str, int]) -> None:
    matcher, _ = assigned(newer=newer)
    matcher.claimed(1.0, "a", "t", 4)
    assert waits(matcher) == left


def test_what_was_heard_since_may_be_older_than_the_claim() -> None:
    matcher, _ = assigned(newer=4)
    matcher.claimed(1.0, "a", "t", 5)
    assert waits(matcher) == {}
    matcher, _ = assigned(newer=3)
    matcher.returned(1.0, "a", "t")
    assert waits(matcher) == {"t": 3}


def test_a_claim_that_nobody_assigned() -> None:
    matcher, _ = limited("a")
    matcher.withdraw("a")
    assert matcher.claimed(0.0, "stranger", "x", 1) is None
    matcher.offer(0.0, "t", 0, since=0.0)
    found = matcher.claimed(0.0, "stranger", "t", 1)
    assert found is not None
    assert found.task == "t"
    assert len(matcher) == 0


def test_a_refusal_frees_the_limit_and_forgets_what_was_not_heard_since() -> None:
    matcher, noted = assigned("a", "b")
    matcher.refused(1.0, "b", "t", 3)
    assert noted.told == [], "it was not asked to claim it"
    matcher.refused(1.0, "a", "t", 3)
    assert noted.told == [("vacate", "t")]
    assert len(matcher) == 0


@pytest.mark.parametrize(("newer", "left"), [(4, {"t": 4}), (7, {"t": 7})])
def test_what_was_heard_since_a_refused_claim_waits(newer: int, left: dict[str, int]) -> None:
    matcher, _ = assigned(newer=newer)
    matcher.refused(1.0, "a", "t", 3)
    assert waits(matcher) == left


def test_a_refusal_at_a_later_version_forgets_that_too() -> None:
    matcher, _ = assigned(newer=4)
    matcher.refused(1.0, "a", "t", 4)
    assert waits(matcher) == {}


def test_a_returned_task_waits_as_it_is_known_now() -> None:
    matcher, noted = assigned("a", "b", newer=6)
    matcher.returned(7.0, "b", "t")
    assert waits(matcher) == {}
    matcher.returned(7.0, "a", "t")
    [one] = matcher.queue.waiting.values()
    assert (one.version, one.heard_at, one.since) == (6, 7.0, 0.0)
    assert noted.told == [("vacate", "t")]


def test_a_word_that_comes_late_makes_the_member_ready_again() -> None:
    matcher, _ = limited("a", credits=2)
    matcher.offer(0.0, "t", 0, since=0.0)
    matcher.match(0.0)
    matcher.match(ANSWER_SECONDS)
    assert handed(matcher, ANSWER_SECONDS) == [], "it owes a word"
    assert matcher.claimed(ANSWER_SECONDS, "a", "t", 1) is not None
    matcher.offer(ANSWER_SECONDS, "u", 0, since=0.0)
    assert handed(matcher, ANSWER_SECONDS) == [("a", "u")]


# Declines.


def test_a_task_that_ended_has_declined_nothing() -> None:
    matcher = ready("a", credits=2)
    matcher.declined("t", "")
    matcher.ended("t")
    matcher.ended("unknown")
    matcher.offer(0.0, "t", 0, since=0.0)
    assert handed(matcher) == [("a", "t")]


def test_a_function_that_is_lacked_is_no_pause_and_a_later_word_counts() -> None:
    matcher = ready("a", credits=2, functions=("f",))
    matcher.declined("t", "g")
    matcher.offer(0.0, "t", 0, since=0.0, needs="f")
    assert handed(matcher) == []
    assert list(matcher.blocked(0.0)) == ["nobody has the function g"]
    matcher.drop("t")
    matcher.declined("t", "")
    matcher.offer(0.0, "t", 1, since=0.0, needs="f")
    assert matcher.wake_at() == FIRST_PAUSE
    assert handed(matcher, FIRST_PAUSE) == [("a", "t")]


def test_the_declines_of_very_many_tasks_are_forgotten_the_longest_unheard_first() -> None:
    matcher = ready("a", credits=9)
    for number in range(REMEMBERED):
        matcher.declined(f"t{number}", "")
    matcher.declined("t0", "")
    matcher.declined("one more", "")
    for task in ("t0", "t1", "t2"):
        matcher.offer(0.0, task, 0, since=0.0)
    for at, task in enumerate(("t1", "t2", "t0")):
        assert handed(matcher, at * FIRST_PAUSE) == [("a", task)]
        matcher.claimed(at * FIRST_PAUSE, "a", task, 1)


# Matching.


def test_when_there_is_something_to_do_even_if_nothing_happens() -> None:
    matcher, noted = limited("a", credits=3)
    assert matcher.wake_at() is None
    matcher.offer(0.0, "t", 0, since=0.0)
    matcher.offer(0.0, "u", 0, since=0.0)
    matcher.match(0.0)
    assert matcher.wake_at() == ANSWER_SECONDS
    matcher.declined("p", "")
    matcher.declined("p", "")
    matcher.offer(0.25, "p", 0, since=0.0)
    assert matcher.wake_at() == ANSWER_SECONDS
    matcher.claimed(0.5, "a", "t", 1)
    assert matcher.wake_at() == ANSWER_SECONDS, "the other one has not answered"
    matcher.claimed(0.5, "a", "u", 1)
    assert matcher.wake_at() == 0.25 + 2 * FIRST_PAUSE
    noted.wakes = 2.0
    assert matcher.wake_at() == 2.0
    matcher.match(3.0)
    assert matcher.wake_at() == 2.0


def test_a_task_that_one_lacks_counts_for_no_limit() -> None:
    matcher, noted = limited("a", functions=("f",))
    matcher.offer(0.0, "t", 0, since=0.0, needs="g")
    assert handed(matcher, 1.0) == []
    matcher.join("b", 1, ("g",))
    matcher.credit("b", 1)
    assert handed(matcher, 3.0) == [("b", "t")]
    assert noted.told == []


def test_what_is_late_frees_its_limit_and_is_not_given_to_the_late_one() -> None:
    matcher, noted = assigned("a", "b", newer=5)
    assert matcher.match(ANSWER_SECONDS) == {"b": [("t", 5)]}
    assert noted.told == [("vacate", "t")]


class Later(FairQueue):
    """Gives nothing before 5."""

    def take(self, now: float, may: May) -> Waiting | None:
        return super().take(now, may) if now >= 5.0 else None


def test_the_queue_is_asked_for_whose_turn_it_is_at_that_time() -> None:
    matcher = Matcher(Later())
    matcher.join("a", 1)
    matcher.credit("a", 1)
    matcher.offer(0.0, "t", 0, since=0.0)
    assert handed(matcher, 4.0) == []
    assert handed(matcher, 5.0) == [("a", "t")]


def test_what_was_heard_since_is_kept_with_all_that_was_said() -> None:
    matcher, _ = assigned()
    matcher.offer(0.5, "t", 4, since=0.25, needs="g")
    matcher.claimed(1.0, "a", "t", 4)
    [one] = matcher.queue.waiting.values()
    assert (one.since, one.heard_at, one.needs) == (0.25, 0.5, "g")


@pytest.mark.parametrize("how", ["claimed", "refused", "returned", "leaves", "is late"])
def test_a_pause_counts_from_when_the_task_came_back(how: str) -> None:
    matcher, _ = assigned("a", newer=4)
    matcher.declined("t", "")
    at = ANSWER_SECONDS
    steps: dict[str, Callable[[], object]] = {
        "claimed": lambda: matcher.claimed(at, "a", "t", 4),
        "refused": lambda: matcher.refused(at, "a", "t", 3),
        "returned": lambda: matcher.returned(at, "a", "t"),
        "leaves": lambda: matcher.leave(at, "a"),
        "is late": lambda: matcher.match(at),
    }
    steps[how]()
    assert waits(matcher) == {"t": 4}
    assert matcher.wake_at() == at + FIRST_PAUSE


def test_tasks_may_pause_until_the_same_moment() -> None:
    matcher = ready("a", credits=2)
    for task in ("t", "u"):
        matcher.declined(task, "")
        matcher.offer(0.0, task, 0, since=0.0)
    assert sorted(handed(matcher, FIRST_PAUSE)) == [("a", "t"), ("a", "u")]


def test_a_paused_task_waits_for_its_time() -> None:
    matcher = ready("a", functions=("f",))
    matcher.declined("t", "")
    matcher.offer(0.0, "t", 0, since=0.0, needs="f")
    assert matcher.why(0.25, "t") == "waits for its time: 1 s"
    assert matcher.blocked(0.25) == {"waits for its time": 1}
    assert handed(matcher, FIRST_PAUSE) == [("a", "t")]


def test_what_may_start_while_no_slot_is_free_is_no_reason_to_match_again() -> None:
    known = {"timed": Attributes(not_before=5.0), "one": Attributes(), "two": Attributes()}
    queue = FairQueue(GroupPolicy(each_key=Limit(rate=0.5)), known.get)
    matcher = Matcher(queue)
    matcher.join("a", 1)
    for task in ("one", "two", "timed"):
        matcher.offer(0.0, task, 0, since=0.0)
    matcher.credit("a", 1)
    assert handed(matcher, 2.0) == [("a", "one")]
    matcher.claimed(2.0, "a", "one", 1)
    matcher.credit("a", 1)
    assert handed(matcher, 3.0) == []
    assert matcher.wake_at() == pytest.approx(4.0), "the rate allows the next start"
    matcher.withdraw("a")
    matcher.match(4.0)
    assert matcher.wake_at() == 5.0, "the time of the other comes"
    matcher.match(5.0)
    assert matcher.wake_at() is None


def test_of_two_functions_that_were_set_aside_the_one_that_waits_longer_goes_first() -> None:
    matcher = ready("old", functions=("f",))
    matcher.offer(0.0, "late", 0, since=2.0, needs="g")
    assert handed(matcher) == []
    matcher.offer(0.0, "early", 0, since=1.0, needs="h")
    assert handed(matcher) == []
    matcher.join("new", 2, ("g", "h"))
    matcher.credit("new", 2)
    assert handed(matcher) == [("new", "early"), ("new", "late")]
