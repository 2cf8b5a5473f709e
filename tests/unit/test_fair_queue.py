"""The queue of a group with a policy: its order, its shares, its limits."""

from collections import Counter
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resonate_fleet.steward.fair import FairQueue
from resonate_fleet.steward.matcher import Matcher
from resonate_fleet.steward.policy import Attributes, GroupPolicy, Limit
from resonate_fleet.steward.subqueues import May, Waiting
from tests.support.examples import examples


class Scene:
    """A queue whose jobs stand where they were told to."""

    def __init__(self, policy: GroupPolicy) -> None:
        self.attributes: dict[str, Attributes] = {}
        self.queue = FairQueue(policy, lambda task: self.attributes[task])
        self.numbers = count(1)
        self.jobs: dict[str, Waiting] = {}

    def add(self, since: float = 0.0, **where: object) -> str:
        task = f"job-{next(self.numbers)}"
        self.attributes[task] = Attributes(**where)  # type: ignore[arg-type] # as tests give it
        self.jobs[task] = Waiting(task, 0, since, since)
        self.queue.add(self.jobs[task])
        return task

    def take(self, now: float = 1000.0, may: May = lambda _: True) -> str | None:
        self.queue.wake(now)
        waiting = self.queue.take(now, may)
        return waiting.task if waiting else None

    def why(self, now: float, task: str) -> str:
        return self.queue.why(now, self.jobs[task])

    def all(self, now: float = 1000.0) -> list[str]:
        found = []
        while (task := self.take(now)) is not None:
            found.append(task)
        return found


def test_equals_go_first_come_first_served() -> None:
    scene = Scene(GroupPolicy())
    late, early = scene.add(2.0), scene.add(1.0)
    same = [scene.add(3.0) for _ in range(5)]
    assert scene.all() == [early, late, *same]
    assert len(scene.queue.waiting) == 0


def test_a_higher_priority_goes_first_and_waiting_makes_up_for_it() -> None:
    scene = Scene(GroupPolicy(ageing=60))
    low = scene.add(0.0, priority=5)
    middle = scene.add(100.0, priority=3)
    high = scene.add(239.0, priority=1)
    later = scene.add(241.0, priority=1)
    assert scene.all() == [middle, high, low, later]


def test_keys_take_turns_whatever_their_queues() -> None:
    scene = Scene(GroupPolicy())
    for _ in range(1000):
        scene.add(0.0, key="large")
    small = [scene.add(5.0, key="small") for _ in range(3)]
    first = [scene.take() for _ in range(7)]
    assert set(small) <= set(first)


def test_a_key_that_comes_back_has_saved_nothing_up() -> None:
    scene = Scene(GroupPolicy())
    scene.add(0.0, key="b")
    for _ in range(100):
        scene.add(0.0, key="a")
    for _ in range(50):
        scene.take()
    returned = [scene.add(1.0, key="b") for _ in range(10)]
    following = [scene.take() for _ in range(8)]
    assert 3 <= sum(task in returned for task in following) <= 5


def test_a_key_with_nothing_running_gets_the_next_free_slot() -> None:
    """However often it comes: its last start is behind the present virtual time by then."""
    scene = Scene(GroupPolicy())
    for _ in range(1000):
        scene.add(0.0, key="large")
    running = [scene.take() for _ in range(12)]
    for number in range(20):
        alone = scene.add(10.0 + number, key="other")
        for begun in (alone, None, None):
            scene.queue.limits.vacate(str(running.pop(0)))
            running.append(scene.take())
            assert begun in (None, running[-1])


def test_keys_that_are_gone_are_forgotten_and_those_that_owe_are_not() -> None:
    scene = Scene(GroupPolicy(keys={"rated": Limit(rate=0.001)}))
    scene.add(0.0, key="rated")
    started = scene.all()
    for number in range(200):
        scene.add(0.0, key=f"tenant-{number}" * 100)
        for task in started:
            scene.queue.limits.vacate(task)
        started = scene.all()
    assert len(scene.queue.limits.keys) < 10
    late = scene.add(0.0, key="rated")
    assert scene.all() == []
    assert "waits for key rated" in scene.why(1000.0, late)


def test_of_a_long_key_the_beginning_is_told() -> None:
    scene = Scene(GroupPolicy(each_key=Limit(running=1)))
    first, second = (scene.add(0.0, key="\u00e4\n" * 10_000) for _ in range(2))
    assert scene.all() == [first]
    assert len(scene.why(1000.0, second)) < 120
    assert all(len(why) < 120 for why in scene.queue.limited(1000.0))


def test_a_running_limit_holds_until_one_ends() -> None:
    scene = Scene(GroupPolicy(keys={"acme": Limit(running=2)}))
    mine = [scene.add(0.0, key="acme") for _ in range(3)]
    other = scene.add(1.0, key="other")
    assert sorted(scene.all()) == sorted([*mine[:2], other])
    assert scene.why(1000.0, mine[2]) == "waits for key acme: 2 of 2 running"
    assert scene.queue.limited(1000.0) == {"waits for key acme: 2 of 2 running": 1}
    assert len(scene.queue.waiting) == 1
    scene.queue.limits.vacate(mine[0])
    assert scene.queue.limited(1000.0) == {}
    assert scene.all() == [mine[2]]


def test_what_others_claimed_counts_too() -> None:
    scene = Scene(GroupPolicy(keys={"acme": Limit(running=1)}))
    scene.attributes["elsewhere"] = Attributes(key="acme")
    scene.queue.limits.occupy("elsewhere")
    scene.queue.limits.occupy("elsewhere")
    task = scene.add(0.0, key="acme")
    assert scene.take() is None
    scene.queue.limits.vacate("elsewhere")
    assert scene.take() == task


def test_nothing_starts_beside_a_task_of_unknown_attributes_until_it_counts_for_no_key() -> None:
    known = {"waits": Attributes(key="acme"), "keyless": Attributes()}
    queue = FairQueue(GroupPolicy(each_key=Limit(running=1)), known.get)
    queue.limits.occupy("runs")
    for task in known:
        queue.add(Waiting(task, 0, 0.0, 0.0))
    assert sorted(queue.limits.unread) == ["runs"]
    assert [queue.take(at, lambda _: True) for at in (10.0, 14.9)] == [None, None]
    started = queue.take(15.0, lambda _: True)
    assert started is not None
    assert started.task == "waits", "`runs` may be of the key `acme` too"
    assert queue.take(15.0, lambda _: True) is None
    assert queue.why(15.0, queue.waiting["keyless"]) == "waits for key (none): 1 of 1 running"


def test_a_rate_lets_a_burst_through_and_then_one_at_a_time() -> None:
    scene = Scene(GroupPolicy(keys={"acme": Limit(rate=10.0, burst=3)}))
    for _ in range(10):
        scene.add(0.0, key="acme")
    assert len(scene.all(now=100.0)) == 3
    assert scene.queue.wake_at() == pytest.approx(100.1)
    assert len(scene.all(now=100.05)) == 0
    assert len(scene.all(now=100.1)) == 1
    assert len(scene.all(now=100.45)) == 3
    assert len(scene.all(now=200.0)) == 3


def test_a_function_has_a_limit_across_keys() -> None:
    scene = Scene(GroupPolicy(functions={"charge": Limit(running=1)}))
    first = scene.add(0.0, key="a", function="charge")
    second = scene.add(1.0, key="b", function="charge")
    other = scene.add(2.0, key="b", function="mail")
    assert scene.all() == [first, other]
    assert scene.why(1000.0, second) == "waits for function charge: 1 of 1 running"
    scene.queue.limits.vacate(first)
    assert scene.all() == [second]


def test_a_job_waits_for_its_time() -> None:
    scene = Scene(GroupPolicy())
    timed = scene.add(0.0, not_before=500.0)
    plain = scene.add(100.0)
    assert scene.all(now=200.0) == [plain]
    assert scene.queue.wake_at() == 500.0
    assert scene.why(200.0, timed) == "waits for its time: 300 s"
    assert scene.queue.limited(200.0) == {"waits for its time": 1}
    assert scene.all(now=500.0) == [timed]


def test_what_is_dropped_is_not_taken() -> None:
    scene = Scene(GroupPolicy())
    tasks = [scene.add(float(number), key=f"k{number % 2}") for number in range(6)]
    timed = scene.add(0.0, not_before=500.0)
    for task in (tasks[0], tasks[3], timed):
        scene.queue.drop(scene.jobs[task])
    assert len(scene.queue.waiting) == 4
    assert sorted(scene.all(now=1000.0)) == [tasks[1], tasks[2], tasks[4], tasks[5]]


weights = st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0]), min_size=2, max_size=6)


@given(weights=weights, window=st.integers(0, 200))
@settings(max_examples=examples(40), deadline=None)
def test_shares_are_by_weight_over_any_hundred_starts(weights: list[float], window: int) -> None:
    """Each key's share is within 5 % of all starts of what its weight asks for."""
    keys = {f"k{number}": Limit(weight=weight) for number, weight in enumerate(weights)}
    scene = Scene(GroupPolicy(keys=keys))
    for name in keys:
        for _ in range(320):
            scene.add(0.0, key=name)
    started = [scene.attributes[str(scene.take())].key for _ in range(300)]
    shares = Counter(started[window : window + 100])
    for name, limit in keys.items():
        assert abs(shares[name] - 100 * limit.weight / sum(weights)) <= 5


job = st.fixed_dictionaries(
    {
        "since": st.floats(0, 100),
        "priority": st.integers(1, 5),
        "key": st.sampled_from("abc"),
        "function": st.sampled_from(["f", "g"]),
        "not_before": st.sampled_from([0.0, 0.0, 50.0, 150.0]),
    }
)
act = st.one_of(
    st.tuples(st.just("add"), job),
    st.tuples(st.just("take"), st.integers(0, 30)),
    st.tuples(st.just("end"), st.integers(0, 1000)),
    st.tuples(st.just("drop"), st.integers(0, 1000)),
)


@given(acts=st.lists(act, max_size=80))
@settings(max_examples=examples(200), deadline=None)
def test_limits_hold_and_nothing_is_lost_or_handed_out_twice(
    acts: list[tuple[str, object]],
) -> None:
    policy = GroupPolicy(
        each_key=Limit(running=2),
        keys={"c": Limit(rate=1.0, burst=2)},
        functions={"g": Limit(running=3)},
    )
    scene, now = Scene(policy), 100.0
    running: list[str] = []
    starts: list[float] = []
    dropped: set[str] = set()
    taken: list[str] = []
    for kind, what in acts:
        waiting = [one for one in scene.jobs if one not in taken and one not in dropped]
        if kind == "add":
            scene.add(**what)  # type: ignore[arg-type] # what the strategy makes
        elif kind == "take":
            now += int(str(what)) / 10
            while (task := scene.take(now)) is not None:
                taken.append(task)
                running.append(task)
                assert scene.attributes[task].not_before <= now
                starts += [now] if scene.attributes[task].key == "c" else []
        elif kind == "end" and running:
            scene.queue.limits.vacate(running.pop(int(str(what)) % len(running)))
        elif kind == "drop" and waiting:
            dropped.add(waiting[int(str(what)) % len(waiting)])
            scene.queue.drop(scene.jobs[waiting[int(str(what)) % len(waiting)]])
        held = Counter(scene.attributes[one].key for one in running)
        assert held["a"] <= 2
        assert held["b"] <= 2
        assert sum(scene.attributes[one].function == "g" for one in running) <= 3
    for first, last in zip(starts, starts[2:], strict=False):
        assert last - first >= 1.0 - 1e-6, "a burst of 2, then one a second"
    assert len(set(taken)) == len(taken)
    assert not set(taken) & dropped
    rest = set(scene.jobs) - set(taken) - dropped
    assert len(scene.queue.waiting) == len(rest)
    for _ in range(10 * len(rest) + 10):
        now += 200.0
        for task in running:
            scene.queue.limits.vacate(task)
        running = scene.all(now)
        rest -= set(running)
    assert rest == set(), "everything comes to its turn"


@given(
    jobs=st.lists(st.tuples(st.floats(0, 1000), st.integers(1, 5)), min_size=2, max_size=60),
)
@settings(max_examples=examples(100), deadline=None)
def test_nothing_starves_beyond_the_bound(jobs: list[tuple[float, int]]) -> None:
    """Nothing goes before a job of priority p that came more than (p - 1) x ageing after it."""
    scene = Scene(GroupPolicy(ageing=60))
    added = {scene.add(since, priority=priority): (since, priority) for since, priority in jobs}
    order = scene.all(now=5000.0)
    for place, task in enumerate(order):
        for before in order[:place]:
            latest = added[task][0] + (added[task][1] - 1) * 60
            assert added[before][0] <= latest


FUNCTIONS = {"wide": ("f", "g", "h"), "narrow": ("f",), "odd": ("g",)}
mixed_job = st.fixed_dictionaries(
    {
        "since": st.integers(0, 100).map(float),
        "priority": st.integers(1, 5),
        "key": st.sampled_from("abc"),
        "function": st.sampled_from("fgh"),
        "not_before": st.sampled_from([0.0, 0.0, 0.0, 120.0]),
    }
)
turn = st.one_of(
    st.tuples(st.just("add"), mixed_job),
    st.tuples(st.just("free"), st.sampled_from(sorted(FUNCTIONS))),
    st.tuples(st.just("end"), st.integers(0, 1000)),
)


class MixedScene(Scene):
    """Members that differ in their functions, beside a plain account of what may run where."""

    def __init__(self) -> None:
        limits = {"b": Limit(running=2)}, {"g": Limit(running=2)}
        super().__init__(GroupPolicy(keys=limits[0], functions=limits[1], ageing=10))
        self.matcher = Matcher(self.queue)
        self.since: dict[str, float] = {}
        self.waiting: list[str] = []
        self.running: list[str] = []
        for member, functions in FUNCTIONS.items():
            self.matcher.join(member, 1000, functions)

    def come(self, since: float, **where: object) -> None:
        task = f"job-{next(self.numbers)}"
        attributes = Attributes(**where)  # type: ignore[arg-type] # as in `add`
        self.attributes[task] = attributes
        self.waiting.append(task)
        self.since[task] = max(since, attributes.not_before)
        self.matcher.offer(0.0, task, 0, since, attributes.function)

    def free(self, now: float, member: str) -> tuple[set[str], list[str]]:
        """Return what could run on the free slot, and what began."""
        could = {one for one in self.waiting if self.may(now, one, member)}
        self.matcher.credit(member, 1)
        begun = [task for tasks in self.matcher.match(now).values() for task, _ in tasks]
        self.matcher.withdraw(member)
        for task in begun:
            self.matcher.claimed(now, member, task, 1)
            self.waiting.remove(task)
            self.running.append(task)
        return could, begun

    def may(self, now: float, task: str, member: str) -> bool:
        attributes, held = self.attributes[task], [self.attributes[one] for one in self.running]
        if attributes.function not in FUNCTIONS[member] or attributes.not_before > now:
            return False
        of_key = sum(one.key == attributes.key for one in held)
        of_function = sum(one.function == attributes.function for one in held)
        return not (attributes.key == "b" and of_key >= 2) and not (
            attributes.function == "g" and of_function >= 2
        )


@given(turns=st.lists(turn, max_size=120))
@settings(max_examples=examples(200), deadline=None)
def test_the_order_holds_among_what_could_run_on_the_slot(turns: list[tuple[str, Any]]) -> None:
    """Also where what others could run was passed over: none that is less urgent goes first."""
    scene, now = MixedScene(), 100.0
    for kind, what in turns:
        if kind == "add":
            scene.come(**what)
        elif kind == "end" and scene.running:
            scene.queue.limits.vacate(scene.running.pop(what % len(scene.running)))
        elif kind == "free":
            now += 1.0
            could, begun = scene.free(now, what)
            assert len(begun) == bool(could)
            for task in begun:
                check_turn(scene, task, could)


def check_turn(scene: MixedScene, task: str, could: set[str]) -> None:
    def urgency(one: str) -> float:
        return scene.since[one] + 10 * (scene.attributes[one].priority - 1)

    mine = scene.attributes[task]
    alike = [one for one in could if scene.attributes[one].priority == mine.priority]
    assert min(map(urgency, could)) == min(map(urgency, alike)), "a more urgent priority waits"
    of_key = [scene.since[one] for one in alike if scene.attributes[one].key == mine.key]
    assert scene.since[task] == min(of_key), "an older job of the key waits"


def test_what_was_set_aside_does_not_go_before_a_more_urgent_one() -> None:
    scene = MixedScene()
    scene.come(0.0, function="h", key="a")
    assert scene.free(1.0, "narrow") == (set(), [])
    scene.come(1.0, function="h", key="a", priority=1)
    scene.come(2.0, function="h", key="c")
    begun = [scene.free(3.0, "wide")[1] for _ in range(3)]
    assert begun == [["job-2"], ["job-3"], ["job-1"]], "by priority, then keys take turns"
    assert not scene.queue.aside


def test_all_that_was_set_aside_is_shown_by_function_with_the_oldest() -> None:
    scene = MixedScene()
    assert scene.queue.oldest() is None
    scene.come(5.0, function="h", key="a")
    scene.come(3.0, function="h", key="b")
    scene.come(4.0, function="h", key="a", priority=1)
    scene.come(2.0, function="g", key="c")
    assert scene.free(10.0, "narrow") == (set(), [])
    scene.come(1.0, function="f", key="a")
    assert scene.queue.aside == {"h": 3, "g": 1}
    firsts = [scene.queue.oldest(name) for name in ("h", "g")]
    assert [one and one.task for one in firsts] == ["job-2", "job-4"]
    oldest = scene.queue.oldest()
    assert oldest is not None
    assert oldest.task == "job-5"


def test_a_running_task_counts_by_what_becomes_known_of_it() -> None:
    known: dict[str, Attributes] = {}
    queue = FairQueue(GroupPolicy(keys={"acme": Limit(running=1)}), known.get)
    queue.limits.occupy("x")
    assert sorted(queue.limits.unread) == ["x"]
    known["x"] = known["next"] = known["y"] = Attributes(key="acme")
    queue.limits.recount("x")
    queue.limits.recount("y")  # it does not run
    assert sorted(queue.limits.unread) == []
    queue.add(Waiting("next", 0, 0.0, 0.0))
    assert queue.take(1000.0, lambda _: True) is None
    assert queue.why(1000.0, queue.waiting["next"]) == "waits for key acme: 1 of 1 running"
    queue.limits.vacate("x")
    queue.wake(1000.0)
    assert queue.take(1000.0, lambda _: True) is not None


def test_what_waits_is_shown_by_what_it_waits_for() -> None:
    policy = GroupPolicy(
        keys={"acme": Limit(running=1)},
        functions={"charge": Limit(running=1), "rated": Limit(rate=1, burst=1)},
    )
    scene = Scene(policy)
    for key in ("a", "b", "c"):
        scene.add(0.0, function="charge", key=key)
    for _ in range(3):
        scene.add(0.0, key="acme")
    scene.add(0.0, function="rated")
    late = scene.add(0.0, function="rated")
    timed = scene.add(0.0, key="new", not_before=1500.0)
    assert len(scene.all()) == 3
    assert scene.queue.limited(1000.0) == {
        "waits for function charge: 1 of 1 running": 2,
        "waits for key acme: 1 of 1 running": 2,
        "waits for function rated: 1 starts a second at most": 1,
        "waits for its time": 1,
    }
    assert scene.why(1000.5, late) == "waits for function rated: 1 starts a second at most"
    assert scene.why(1001.0, late) == scene.why(1500.0, timed) == ""


def test_a_key_is_shown_in_full_up_to_a_length() -> None:
    full, longer = "k" * 64, "k" * 65
    scene = Scene(GroupPolicy(keys={one: Limit(running=0) for one in (full, longer)}))
    first, second = (scene.add(0.0, key=key) for key in (full, longer))
    assert f"key {full}: " in scene.why(1000.0, first)
    assert f"key {full}...: " in scene.why(1000.0, second)
