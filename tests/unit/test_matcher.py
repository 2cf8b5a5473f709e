"""The matcher: nothing is lost, nothing is handed out twice at once, first come, first served."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from resonate_fleet.steward.matcher import ANSWER_SECONDS, FIRST_PAUSE, LONGEST_PAUSE, Matcher
from tests.support.examples import examples

TASKS = st.sampled_from([f"t{n}" for n in range(8)])
MEMBERS = st.sampled_from(["a", "b", "c"])
SLOTS = 3


def handed(matcher: Matcher, now: float = 0.0) -> list[tuple[str, str]]:
    """Return what is handed out now, as `(member, task)`."""
    return [(who, task) for who, tasks in matcher.match(now).items() for task, _ in tasks]


def ready(*members: str, credits: int = 1, functions: tuple[str, ...] = ()) -> Matcher:
    matcher = Matcher()
    for member in members:
        matcher.join(member, max(1, credits), functions)
        matcher.credit(member, credits)
    return matcher


def test_first_come_first_served_whatever_the_ids_look_like() -> None:
    matcher = Matcher()
    for number in range(200):
        matcher.offer(0.0, f"order-{number}", 0, since=float(number))
    matcher.join("a", 200)
    matcher.credit("a", 200)
    assert [task for _, task in handed(matcher)] == [f"order-{n}" for n in range(200)]


def test_equals_go_by_id_the_shorter_one_first() -> None:
    matcher = Matcher()
    jobs = [f"order-{n}" for n in range(12)]
    for task in sorted(jobs):  # as the server sends those of one tick
        matcher.offer(0.0, task, 0, since=1.0)
    matcher.join("a", 12)
    matcher.credit("a", 12)
    assert [task for _, task in handed(matcher)] == jobs


def test_equals_that_were_set_aside_go_by_id_whatever_they_need() -> None:
    matcher = ready("neither", functions=("other",), credits=1)
    for task, needs in (("order-10", "f"), ("order-9", "g")):
        matcher.offer(0.0, task, 0, since=1.0, needs=needs)
        assert handed(matcher) == []
    matcher.join("both", 2, ("f", "g"))
    matcher.credit("both", 2)
    assert handed(matcher) == [("both", "order-9"), ("both", "order-10")]


def test_jobs_are_spread_over_members_with_slots_to_spare() -> None:
    matcher = ready("a", "b", "c", credits=4)
    for number in range(3):
        matcher.offer(0.0, f"t{number}", 0, since=float(number))
    assert handed(matcher) == [("a", "t0"), ("b", "t1"), ("c", "t2")]


def test_a_task_whose_function_is_known_is_never_given_to_one_that_lacks_it() -> None:
    matcher = ready("old", functions=("f",), credits=3)
    before = matcher.is_mixed
    matcher.join("new", 3, ("f", "g"))
    assert (before, matcher.is_mixed) == (False, True)
    matcher.offer(0.0, "t0", 0, since=0.0, needs="g")
    matcher.offer(0.0, "t1", 0, since=1.0, needs="f")
    assert handed(matcher) == [("old", "t1")]
    matcher.credit("new", 1)
    assert handed(matcher) == [("new", "t0")]
    matcher.leave(0.0, "new")
    assert handed(matcher) == []
    assert dict(matcher.blocked(0.0)) == {"nobody has the function g": 1}
    assert matcher.is_mixed


def test_a_hint_that_comes_before_the_decline_does_not_bring_the_task_back() -> None:
    matcher = ready("old", functions=("f",), credits=2)
    matcher.offer(0.0, "t0", 0, since=0.0)
    assert handed(matcher) == [("old", "t0")]
    matcher.offer(0.0, "t0", 1, since=0.0)
    matcher.claimed(0.0, "old", "t0", 1)
    matcher.declined("t0", "g")
    assert handed(matcher) == []


def test_whoever_has_been_free_for_longest_is_served_first() -> None:
    matcher = ready("a", "b")
    matcher.offer(0.0, "t0", 0, since=0.0)
    assert handed(matcher) == [("a", "t0")]
    matcher.claimed(0.0, "a", "t0", 1)
    matcher.credit("a", 1)
    matcher.offer(0.0, "t1", 0, since=1.0)
    assert handed(matcher) == [("b", "t1")]


def test_an_assignment_without_an_answer_goes_on_to_another_and_its_member_gets_no_new_one() -> (
    None
):
    matcher = ready("frozen", credits=2)
    matcher.offer(0.0, "t0", 0, since=0.0)
    assert handed(matcher) == [("frozen", "t0")]
    matcher.join("fit", 1)
    matcher.credit("fit", 1)
    assert matcher.wake_at() == ANSWER_SECONDS
    assert handed(matcher, ANSWER_SECONDS - 0.01) == []
    assert handed(matcher, ANSWER_SECONDS) == [("fit", "t0")]
    matcher.offer(ANSWER_SECONDS, "t1", 0, since=1.0)
    matcher.credit("frozen", 1)
    assert handed(matcher, ANSWER_SECONDS) == [], (
        "the frozen one has a credit left and owes an answer"
    )
    matcher.refused(ANSWER_SECONDS, "frozen", "t0", 0)
    assert handed(matcher, ANSWER_SECONDS) == [("frozen", "t1")]


def test_a_refused_task_is_gone_until_the_server_speaks_of_it_again() -> None:
    matcher = ready("a", "b")
    matcher.offer(0.0, "t0", 0, since=0.0)
    handed(matcher)
    matcher.refused(0.0, "a", "t0", 0)
    assert len(matcher) == 0
    matcher.offer(0.0, "t0", 1, since=0.0)
    assert handed(matcher) == [("b", "t0")]


def test_what_is_heard_of_a_task_while_it_is_assigned_is_not_lost() -> None:
    matcher = ready("a", "b")
    matcher.offer(0.0, "t0", 0, since=0.0)
    handed(matcher)
    matcher.offer(0.0, "t0", 1, since=0.0)  # a stranger claimed it and gave it back
    matcher.refused(0.0, "a", "t0", 0)
    assert matcher.match(0.0) == {"b": [("t0", 1)]}


def test_a_returned_task_goes_to_another_in_its_turn() -> None:
    matcher = ready("full", "b")
    matcher.offer(0.0, "t0", 0, since=0.0)
    handed(matcher)
    matcher.offer(0.0, "t1", 0, since=1.0)
    matcher.returned(0.0, "full", "t0")
    assert handed(matcher) == [("b", "t0")]


def test_a_member_that_goes_leaves_its_assignments_to_others() -> None:
    matcher = ready("a", "b")
    matcher.offer(0.0, "t0", 0, since=0.0)
    handed(matcher)
    assert matcher.leave(0.0, "a") == ["t0"]
    assert handed(matcher) == [("b", "t0")]


def test_a_task_goes_to_members_that_have_its_function_and_says_so_where_nobody_has() -> None:
    matcher = Matcher()
    matcher.join("old", 4, ["f"])
    matcher.credit("old", 4)
    matcher.offer(0.0, "t0", 0, since=0.0)
    handed(matcher)
    matcher.claimed(0.0, "old", "t0", 1)
    matcher.declined("t0", "g@2")
    matcher.offer(0.0, "t0", 1, since=0.0)
    matcher.offer(0.0, "t1", 0, since=1.0)
    assert handed(matcher) == [("old", "t1")], "the other does not wait behind it"
    assert matcher.blocked(0.0) == {"nobody has the function g@2": 1}
    assert len(matcher) == 2
    assert matcher.oldest() == 0.0
    matcher.join("new", 1, ["f", "g@2"])
    matcher.credit("new", 1)
    assert matcher.blocked(0.0) == {}
    assert handed(matcher) == [("new", "t0")]


def test_a_member_gets_no_more_of_a_function_than_it_may_run() -> None:
    matcher = Matcher()
    matcher.join("a", 4, ["f"])
    matcher.credit("a", 4)
    matcher.offer(0.0, "t0", 0, since=0.0)
    handed(matcher)
    matcher.filled("a", ["f"])
    matcher.claimed(0.0, "a", "t0", 1)
    matcher.declined("t0", "f")
    matcher.offer(0.0, "t0", 1, since=0.0)
    matcher.offer(0.0, "t1", 0, since=1.0)
    assert handed(matcher) == [("a", "t1")], "the other does not wait behind it"
    assert matcher.blocked(0.0) == {"as many of the function f run as may": 1}
    matcher.filled("a", [])
    assert matcher.blocked(0.0) == {}
    assert handed(matcher) == [("a", "t0")]


def test_a_task_that_is_given_back_again_and_again_pauses_for_longer_each_time() -> None:
    matcher = ready("a", credits=20)
    matcher.offer(0.0, "t0", 0, since=0.0)
    handed(matcher)
    now, pauses = 0.0, list[float]()
    for attempt in range(1, 9):
        matcher.claimed(now, "a", "t0", attempt)
        matcher.declined("t0", "")
        matcher.offer(now, "t0", attempt, since=0.0)
        assert handed(matcher, now) == []
        wake = matcher.wake_at()
        assert wake is not None
        pauses.append(wake - now)
        now = wake
        assert handed(matcher, now) == [("a", "t0")]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE


def test_a_survey_takes_away_what_it_does_not_show_and_leaves_what_is_younger() -> None:
    matcher = Matcher()
    matcher.offer(1.0, "over", 0, since=1.0)
    matcher.offer(1.0, "waits", 0, since=1.0)
    matcher.offer(3.0, "young", 0, since=3.0)
    matcher.keep({"waits": 0}, at=2.0)
    assert ["over" in matcher, "waits" in matcher, "young" in matcher] == [False, True, True]


def test_nobody_has_more_credits_than_slots() -> None:
    matcher = Matcher()
    matcher.join("greedy", 3)
    matcher.credit("greedy", 100_000)
    assert matcher.credits_of("greedy") == 3
    for number in range(5):
        matcher.offer(0.0, f"t{number}", 0, since=0.0)
    assert len(handed(matcher)) == 3
    matcher.credit("greedy", 100_000)
    assert matcher.credits_of("greedy") == 0


class Truth(RuleBasedStateMachine):
    """Any order of what can be heard, against the plainest account of it.

    `pending` is what the server would grant, by version. Whatever is pending and was heard of at
    that version waits in the matcher or is on its way to a member, and is handed out once for each
    `ANSWER_SECONDS` at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.matcher = Matcher()
        self.now = 0.0
        self.pending: dict[str, int] = {}
        self.heard: dict[str, tuple[int, float]] = {}
        self.present: dict[str, int] = {}
        self.on_way: dict[str, list[tuple[str, int]]] = {}
        self.deadlines: dict[str, float] = {}

    @rule(task=TASKS)
    def hint(self, task: str) -> None:
        """The server makes the task claimable, if it is not, and says so."""
        if task not in self.pending:
            self.pending[task] = self.heard.get(task, (-1, 0.0))[0] + 1
        needs = "rare" if task in ("t6", "t7") else ""
        self.matcher.offer(self.now, task, self.pending[task], since=self.now, needs=needs)
        self.heard[task] = (self.pending[task], self.now)

    @rule(member=MEMBERS)
    def join(self, member: str) -> None:
        if member not in self.present:
            self.matcher.join(member, SLOTS, ("rare",) if member == "a" else ("other",))
            self.present[member] = SLOTS
            self.on_way[member] = []
            self.offer(member)

    def offer(self, member: str) -> None:
        self.matcher.credit(member, self.present[member])

    @rule()
    def match(self) -> None:
        for member, tasks in self.matcher.match(self.now).items():
            for task, version in tasks:
                assert self.now >= self.deadlines.get(task, 0.0), f"{task} is handed out twice"
                self.deadlines[task] = self.now + ANSWER_SECONDS
                self.on_way[member].append((task, version))
                self.present[member] -= 1
                assert self.present[member] >= 0, f"{member} has no slot for {task}"

    @rule(member=MEMBERS, answers=st.booleans())
    def claim(self, member: str, *, answers: bool) -> None:
        """The member claims what it was assigned first, and mostly says so."""
        if not self.on_way.get(member):
            return
        task, version = self.on_way[member].pop(0)
        granted = self.pending.get(task) == version
        if granted:
            del self.pending[task]
        if not answers:
            self.vanish(member)
            return
        self.deadlines.pop(task, None)
        if granted:
            self.matcher.claimed(self.now, member, task, version + 1)
            self.heard[task] = (version, self.now)
        else:
            self.matcher.refused(self.now, member, task, version)
        self.present[member] += 1
        self.matcher.credit(member, 1)

    @rule(member=MEMBERS)
    def give_back(self, member: str) -> None:
        if self.on_way.get(member):
            task, _ = self.on_way[member].pop(0)
            self.deadlines.pop(task, None)
            self.matcher.returned(self.now, member, task)
            self.present[member] += 1
            self.matcher.credit(member, 1)

    @rule(member=MEMBERS)
    def vanish(self, member: str) -> None:
        if self.present.pop(member, None) is not None:
            for task, _ in self.on_way.pop(member):
                self.deadlines.pop(task, None)
            for task in self.matcher.leave(self.now, member):
                self.deadlines.pop(task, None)

    @rule(seconds=st.sampled_from([0.1, ANSWER_SECONDS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(task=TASKS)
    def ends_unseen(self, task: str) -> None:
        """A waiting task is over: it is settled, or timed out, and nobody ran it."""
        if self.pending.pop(task, None) is not None:
            self.matcher.drop(task)

    @invariant()
    def what_is_gone_leaves_no_trace(self) -> None:
        needed = any(one.needs == "rare" for one in self.matcher.queue.waiting.values())
        differ = len({member == "a" for member in self.present}) > 1
        assert self.matcher.is_mixed in (differ, differ or needed)

    @invariant()
    def nothing_is_lost(self) -> None:
        for task, version in self.pending.items():
            if self.heard.get(task, (-1, 0.0))[0] == version:
                assert task in self.matcher, f"{task} is claimable and nobody will hear of it"

    def teardown(self) -> None:
        """Whoever is there and answers gets to do everything that is claimable."""
        self.join("a")
        for _ in range(30):
            self.match()
            for member in list(self.present):
                while self.on_way.get(member):
                    self.claim(member, answers=True)
            self.now += ANSWER_SECONDS / 2
        known = {t for t, v in self.pending.items() if self.heard.get(t, (-1, 0.0))[0] == v}
        assert not known, f"{known} would wait for ever"


Truth.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=50, deadline=None)
TestTruth = Truth.TestCase


def test_a_function_that_nobody_needs_any_more_is_forgotten() -> None:
    matcher = ready("a", functions=("plain",))
    for number in range(3):
        matcher.offer(0.0, f"odd-{number}", 0, since=0.0, needs=f"made-up-{number}")
    assert handed(matcher) == []
    assert matcher.is_mixed
    matcher.drop("odd-0")
    matcher.offer(1.0, "odd-1", 0, since=0.0, needs="made-up-1@2")
    matcher.drop("odd-1")
    matcher.keep({}, 1.0)
    assert not len(matcher)
    assert not matcher.is_mixed


def test_withdrawn_credits_count_no_more_and_can_be_offered_again() -> None:
    matcher = ready("a", credits=2)
    matcher.withdraw("a")
    matcher.offer(0.0, "t", 0, since=0.0)
    assert (handed(matcher), matcher.credits_of("a")) == ([], 0)
    matcher.credit("a", 1)
    assert (matcher.credits_of("a"), handed(matcher), matcher.credits_of("a")) == (
        1,
        [("a", "t")],
        0,
    )


def test_nobody_unknown_has_free_slots() -> None:
    assert Matcher().credits_of("nobody") == 0


def test_a_survey_leaves_what_was_heard_of_when_it_began() -> None:
    matcher = ready("a", credits=2)
    matcher.offer(4.9, "before", 0, since=0.0)
    matcher.offer(5.0, "then", 0, since=0.0)
    matcher.keep({}, at=5.0)
    assert handed(matcher, 6.0) == [("a", "then")]


def test_a_returned_task_was_heard_of_when_it_came_back() -> None:
    matcher = ready("a")
    matcher.offer(0.0, "t", 0, since=0.0)
    handed(matcher)
    matcher.returned(7.0, "a", "t")
    matcher.keep({}, at=6.0)  # a survey that began while it was assigned shows it or not
    assert len(matcher) == 1


def test_a_task_that_is_over_is_not_handed_out_from_a_queue_of_many() -> None:
    matcher = ready("a", credits=3)
    for number in range(3):
        matcher.offer(0.0, f"t{number}", 0, since=float(number))
    matcher.drop("t1")
    assert (len(matcher), handed(matcher)) == (2, [("a", "t0"), ("a", "t2")])
