"""What a member does about hints and looks: pure, in virtual time."""

import sys
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from resonate_fleet.member.choice import GRACE, Choice
from resonate_fleet.member.desk import (
    BRISK,
    MEMORY,
    PASS_BURST,
    Action,
    Census,
    Desk,
    Give,
    Offer,
    Pass,
    Peek,
    Sort,
)
from resonate_fleet.member.looks import FIRST_REST, FROM_HEAD, LONGEST_REST, Look


def desk(slots: int = 1, seed: int = 1) -> Desk:
    random = Random(seed)
    return Desk(slots, random, Choice(random, "me"))


def only[T](kind: type[T], actions: list[Action]) -> list[T]:
    return [action for action in actions if isinstance(action, kind)]


def looked(desk: Desk, now: float, *ids: str, more: bool = False) -> list[Action]:
    """Answer a look with tasks of our own, known by the sort that follows."""
    desk.looked(now, [(job, 0) for job in ids], more=more)
    actions = desk.step(now)
    if only(Sort, actions):
        desk.sorted_out(now, set(ids), None)
        actions += desk.step(now)
    return actions


def looked_twice(desk: Desk, now: float, *ids: str) -> list[Action]:
    """The same, and again when the jobs have waited longer than their hints need."""
    first = looked(desk, now, *ids)
    later = now + 2 * GRACE
    assert only(Look, desk.step(later))
    return first + looked(desk, later, *ids)


def test_a_free_slot_without_a_hint_looks_at_once() -> None:
    assert only(Look, desk().step(0.0))


def idle_with_a_hint(job: str) -> Desk:
    """Return a desk that had nothing to do for five seconds until `job` was hinted at."""
    it = desk()
    it.step(0.0)
    looked(it, 0.001)
    it.hint(5.0, job, 0)
    assert only(Look, it.step(5.0)), "knowledge is stale"
    return it


def test_a_hint_is_claimed_after_a_look_at_what_else_waits() -> None:
    it = idle_with_a_hint("b")
    assert only(Give, looked(it, 5.001, "a", "b")) == [Give("a", 0)], "the oldest goes first"


def test_a_hint_for_the_last_free_slot_is_checked_however_calm_it_was() -> None:
    """Else an older job, hinted to a busy member, would wait for a whole job."""
    it = desk()
    for now in (0.0, 1.5, 3.0):
        assert only(Look, it.step(now))
        looked(it, now + 0.001)
    it.hint(3.1, "b", 0)
    assert only(Look, it.step(3.1)), "a look a tenth of a second ago found nothing"


def test_with_slots_to_spare_a_hint_is_believed_while_it_is_calm() -> None:
    it = desk(4)
    for now in (0.0, 1.5, 3.0, 4.5, 6.0, 7.5):
        assert only(Look, it.step(now))
        looked(it, now + 0.001)
    it.hint(7.6, "b", 0)
    assert it.step(7.6) == [Give("b", 0)]


def test_a_body_is_over_once_however_often_it_is_told() -> None:
    it = desk()
    it.forbidden()
    for job in "abc":
        it.hint(0.0, job, 0)
    assert it.step(0.0) == [Give("a", 0)]
    it.granted("a")
    for _ in range(3):
        it.ending("a")
    assert it.step(0.0) == [Give("b", 0)]
    assert it.step(0.0) == []
    it.refused("b")
    it.done("b")
    assert it.step(0.0) == [Give("c", 0)], "a refused claim frees its slot, and no other"


def test_fresh_knowledge_needs_no_second_look() -> None:
    it = desk(2)
    it.step(0.0)
    assert only(Give, looked(it, 0.001, "a", "b", "c", "d", "e")) == [Give("a", 0), Give("b", 0)]
    it.granted("a")
    it.done("a")
    assert it.step(0.003) == [Give("c", 0)]


def test_a_lone_young_job_is_left_to_whom_its_hint_went_for_a_moment() -> None:
    it = desk(2)
    it.step(0.0)
    assert not only(Give, looked(it, 0.001, "a"))
    assert it.wake_at is not None
    assert it.wake_at <= 2 * GRACE
    assert only(Look, it.step(2 * GRACE))
    assert only(Give, looked(it, 2 * GRACE + 0.001, "a")) == [Give("a", 0)]


def test_a_member_without_a_free_slot_takes_nothing() -> None:
    it = desk()
    it.step(0.0)
    assert only(Give, looked_twice(it, 0.001, "a"))
    it.granted("a")
    assert it.hint(1.0, "b", 0) is None
    assert it.step(1.0) == []
    assert it.wake_at is None
    assert it.used == 1


def test_a_slot_is_free_when_the_body_is_over_but_for_so_many_at_most() -> None:
    it = desk(1)
    it.forbidden()
    for job in "abc":
        it.hint(0.0, job, 0)
    for job in "ab":
        assert it.step(0.0) == [Give(job, 0)]
        it.granted(job)
        it.ending(job)
    assert it.step(0.0) == [], "two outcomes are being written, and there is one slot"
    it.done("a")
    assert it.step(0.0) == [Give("c", 0)]


def test_a_strangers_job_is_never_claimed() -> None:
    it = desk(8)
    it.step(0.0)
    it.looked(0.001, [("a", 0), ("b", 0), ("c", 0)], more=False)
    assert only(Sort, it.step(0.001))
    it.sorted_out(0.002, {"b"}, None)
    later = it.step(0.002) + it.step(0.1)
    it.looked(0.2, [("a", 0), ("c", 0)], more=False)
    assert [give.id for give in only(Give, later)] in ([], ["b"])
    assert not only(Give, it.step(1.0))
    assert not only(Sort, it.step(1.0)), "judgements are remembered"


def test_behind_a_flood_of_strangers_the_look_goes_on() -> None:
    it = desk()
    it.step(0.0)
    flood = [(f"s{n:03d}", 0) for n in range(500)]
    it.looked(0.001, flood, more=True)
    it.step(0.001)
    it.sorted_out(0.002, set(), None)
    after = only(Look, it.step(it.wake_at or 0.0))
    assert after
    assert after[0].after == "s499"


def test_a_durable_sleep_is_peeked_at_and_left_alone() -> None:
    it = desk()
    it.forbidden()
    it.hint(0.0, "job:1", 0)
    assert it.step(0.0) == [Peek("job:1")]
    it.peeked(0.1, "job:1", ours=False)
    assert it.step(0.1) == []
    assert it.hint(0.2, "job:1", 0) == "not-ours"
    it.hint(0.3, "job:2", 0)
    it.step(0.3)
    it.peeked(0.4, "job:2", ours=True)
    assert it.step(0.4) == [Give("job:2", 0)]


def test_without_the_right_to_search_hints_are_claimed_as_they_come() -> None:
    it = desk(2)
    it.step(0.0)
    it.forbidden()
    assert it.wake_at is None
    it.hint(1.0, "b", 3)
    assert it.step(1.0) == [Give("b", 3)]
    assert not it.searches


def test_a_refused_claim_is_not_tried_again_until_the_job_was_claimed_and_freed() -> None:
    it = desk()
    it.forbidden()
    it.hint(0.0, "a", 0)
    it.step(0.0)
    it.refused("a")
    assert it.hint(1.0, "a", 0) == "known"
    assert it.hint(1.0, "a", 1) is None
    assert it.step(1.0) == [Give("a", 1)]


def test_a_claim_without_an_answer_may_be_tried_again() -> None:
    it = desk()
    it.forbidden()
    it.hint(0.0, "a", 0)
    it.step(0.0)
    it.done("a")
    assert it.hint(1.0, "a", 0) is None


def test_a_hint_that_a_look_disproves_is_dropped() -> None:
    it = desk()
    it.hint(0.0, "a", 0)
    it.step(0.001)
    assert not only(Give, looked(it, 0.002, "b")) or it.hints == 0
    assert it.hints == 0


def test_a_shunned_job_is_left_to_others_for_its_time() -> None:
    it = desk()
    it.forbidden()
    it.shun("a", 10.0)
    assert it.hint(5.0, "a", 1) == "shunned"
    assert it.hint(11.0, "a", 1) is None


def test_a_closed_desk_does_nothing() -> None:
    it = desk()
    it.hint(0.0, "a", 0)
    it.close(0.0)
    assert it.step(1.0) == []
    assert it.hint(1.0, "b", 0) == "closed"
    assert it.hints == 0


BACKLOG = [f"job-{number:04}" for number in range(1000)]


def in_a_backlog(now: float, first: int = 0) -> Desk:
    """Return a desk whose look from the beginning has found a full page; it has taken one job."""
    it = desk()
    assert only(Look, it.step(now)) == [Look(16)]
    assert only(Give, looked(it, now, *BACKLOG[first : first + 16], more=True))
    it.granted(BACKLOG[first])
    return it


def next_look(it: Desk, now: float, done: str) -> Look:
    it.done(done)
    [look] = only(Look, it.step(now))
    return look


def test_looks_in_a_backlog_skip_what_was_taken_before() -> None:
    it = in_a_backlog(5.0)
    assert next_look(it, 5.4, "job-0000").after == "job-000", "job-0000 may be offered again"
    assert only(Give, looked(it, 5.4, *BACKLOG[70:86], more=True)) == [Give("job-0070", 0)]
    it.granted("job-0070")
    assert next_look(it, 5.8, "job-0070").after == "job-007"


def test_a_backlog_is_looked_at_from_its_beginning_now_and_then() -> None:
    it = in_a_backlog(5.0)
    assert next_look(it, 5.0 + FROM_HEAD + 0.1, "job-0000").after is None


def test_who_hears_of_an_older_job_looks_at_the_beginning() -> None:
    it = in_a_backlog(5.0, first=100)
    it.hint(5.1, "job-0005", 1)
    assert next_look(it, 5.4, "job-0100").after is None


def test_nobody_rests_before_the_beginning_was_looked_at() -> None:
    it = in_a_backlog(5.0)
    assert next_look(it, 5.4, "job-0000").after is not None
    assert not only(Give, looked(it, 5.41))
    assert it.wake_at is not None
    assert only(Look, it.step(max(5.42, it.wake_at))) == [Look(16)]


def relayed(slots: int = 1) -> Desk:
    """Return a desk with a steward that has looked once and found nothing."""
    it = desk(slots)
    it.relayed(on=True)
    it.step(0.0)
    assert only(Offer, looked(it, 0.001)) == [Offer(idle=True)]
    return it


def busy_with(job: str) -> Desk:
    """Return the same, whose only slot is taken by `job` since 5.0."""
    it = relayed()
    it.hint(5.0, job, 0)
    it.step(5.0)
    actions = looked(it, 5.001, job)
    assert [action for action in actions if not isinstance(action, Sort)] == [
        Give(job, 0),
        Offer(idle=False),
    ]
    return it


def test_a_hint_without_a_slot_is_passed_on_once() -> None:
    it = busy_with("a")
    it.hint(5.1, "b", 3)
    assert it.step(5.1) == [Pass("b", 3)]
    assert it.step(5.2) == []
    it.hint(6.0, "b", 3)
    assert it.step(6.0) == [Pass("b", 3)], "the server has sent it again: nobody took it"


def test_what_was_heard_before_the_last_slot_went_is_passed_on_too() -> None:
    it = relayed()
    for job in ("a", "b", "c"):
        it.hint(5.0, job, 0)
    it.step(5.0)
    assert only(Pass, looked(it, 5.001, "a", "b", "c")) == [Pass("b", 0), Pass("c", 0)]


def test_hints_of_a_backlog_are_passed_on_a_few_at_a_time() -> None:
    it = busy_with("a")
    passed = 0
    for number in range(100):
        it.hint(5.1, f"b-{number:03}", 0)
        passed += len(only(Pass, it.step(5.1)))
    assert passed == PASS_BURST
    it.hint(6.1, "c", 0)
    assert len(only(Pass, it.step(6.1))) <= 1


def test_a_member_is_idle_again_when_a_look_has_found_nothing() -> None:
    it = busy_with("a")
    it.granted("a")
    it.ending("a")
    assert only(Look, it.step(7.0))
    assert only(Offer, looked(it, 7.001)) == [Offer(idle=True)]
    assert only(Offer, it.step(7.01)) == [], "said once"


def test_a_hint_from_another_member_is_used_like_any_other() -> None:
    it = relayed()
    assert it.handed(5.0, "b", 0) is None
    assert only(Look, it.step(5.0))
    assert only(Give, looked(it, 5.001, "b")) == [Give("b", 0)]


def test_who_was_handed_nothing_of_use_is_idle_again() -> None:
    it = relayed()
    it.handed(4.999, "b", 0)
    it.step(5.0)
    assert only(Offer, looked(it, 5.001)) == [Offer(idle=True)]


def test_without_a_steward_nobody_is_told_anything() -> None:
    it = busy_with("a")
    it.relayed(on=False)
    it.hint(5.1, "b", 0)
    assert it.step(5.1) == []
    it.relayed(on=True)
    it.hint(5.2, "c", 0)
    assert Pass("c", 0) in it.step(5.2)


def test_a_drain_passes_on_what_was_heard() -> None:
    it = busy_with("a")
    it.hint(5.1, "b", 0)
    assert it.close(5.2) == [Offer(idle=False), Pass("b", 0)]
    assert desk().close(0.0) == []


def test_a_job_whose_hint_is_lost_is_taken_by_the_second_look_that_shows_it() -> None:
    it = relayed()
    now = 0.0
    while now < 10.0:  # until it rests for long
        assert it.wake_at is not None
        now = it.wake_at
        assert only(Look, it.step(now))
        looked(it, now)
    assert it.wake_at is not None
    now = it.wake_at
    assert only(Look, it.step(now))
    assert not only(Give, looked(it, now, "lost")), "somebody may be about to take it"
    assert it.wake_at - now < 2 * FIRST_REST
    now = it.wake_at
    assert only(Look, it.step(now))
    assert only(Give, looked(it, now, "lost")) == [Give("lost", 0)]


def test_jobs_on_their_way_to_others_do_not_keep_a_member_looking() -> None:
    it = relayed()
    now, looks = 10.0, 0
    while now < 40.0:
        if only(Look, it.step(now)):
            looks += 1
            looked(it, now + 0.001, f"young-{looks}")
        assert it.wake_at is not None
        now = max(now + 0.001, it.wake_at)
    assert looks < 2 * 30 / LONGEST_REST + 10


def has_worked_among(pace: float, *, steward: bool = True) -> Desk:
    """Return an idle desk beside which others took so many jobs a second."""
    it = relayed() if steward else desk()
    if not steward:
        it.step(0.0)
        looked(it, 0.001)
    names = [f"a-{number:02}" for number in range(65)]
    now = 5.0
    it.hint(now, names[0], 0)
    for first in range(0, 60, 6):  # one for this member, five for others
        assert only(Look, it.step(now))
        assert only(Give, looked(it, now, *names[first:])) == [Give(names[first], 0)]
        it.granted(names[first])
        now += 5 / pace
        it.done(names[first])
    assert only(Look, it.step(now))
    assert not only(Give, looked(it, now))
    return it


def test_a_hint_is_believed_where_whoever_is_passed_over_waits_for_a_moment_only() -> None:
    """An older job may have lost its hint to somebody who took another one just now."""
    brisk = has_worked_among(2 * BRISK)
    brisk.hint(50.0, "b", 0)
    assert only(Give, brisk.step(50.0)) == [Give("b", 0)]
    for it in (has_worked_among(BRISK / 2), has_worked_among(2 * BRISK, steward=False)):
        it.hint(50.0, "b", 0)
        actions = it.step(50.0)
        assert only(Look, actions)
        assert not only(Give, actions)


def test_dear_looks_keep_away_from_each_other() -> None:
    waits = []
    for took in (0.001, 0.1, 1.0):  # a big store makes a look dear
        it = desk()
        it.step(0.0)
        it.looked(took, [("a", 0)], more=True)
        it.step(took)
        it.sorted_out(took, set(), None)
        assert it.wake_at is not None
        waits.append((it.wake_at - took) / took)
    assert waits[0] < 3
    assert waits[1] > 5
    assert waits[2] > 50


def test_an_idle_member_looks_at_most_once_a_second() -> None:
    for seed in range(20):
        it = desk(seed=seed)
        now, looks = 0.0, 0
        while now < 70.0:
            if only(Look, it.step(now)):
                looks += 1 if now >= 10.0 else 0
                it.looked(now + 0.001, [], more=False)
            assert it.wake_at is not None
            now = max(now + 0.001, it.wake_at)
        assert 30 <= looks <= 60 / LONGEST_REST


def test_looks_that_fail_back_off_too() -> None:
    it = desk()
    now, looks = 0.0, 0
    while now < 30.0:
        if only(Look, it.step(now)):
            looks += 1
            it.look_failed(now + 0.001)
        now = max(now + 0.001, it.wake_at or 0.0)
    assert 20 <= looks <= 40


def test_a_crowd_takes_a_census_now_and_then() -> None:
    it = desk(8)
    it.step(0.0)
    given = only(Give, looked(it, 0.001, *[f"job-{n:02d}" for n in range(20)]))
    assert len(given) == 8
    for give in given:
        it.refused(give.id)
    assert only(Census, it.step(0.01))
    assert not only(Census, it.step(0.02))


def test_only_what_was_heard_of_or_sorted_out_is_known_to_be_ours() -> None:
    it = desk(8)
    it.hint(0.0, "heard", 0)
    it.step(0.0)
    it.looked(0.001, [("own", 0), ("strange", 0)], more=False)
    assert only(Sort, it.step(0.001))
    it.sorted_out(0.002, {"own"}, None)
    tasks = ("heard", "own", "strange", "never-seen")
    assert [it.is_ours(task) for task in tasks] == [True, True, False, False]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 32), st.booleans())
def test_repeated_hints_do_each_job_once_in_bounded_memory(
    seed: int,
    slots: int,
    searches: bool,  # noqa: FBT001 - drawn
) -> None:
    """10,000 hints for 100 jobs, in any order, while slots come and go."""
    random, it = Random(seed), desk(slots, seed)
    if not searches:
        it.forbidden()
    waiting = {f"job-{n:03d}" for n in range(100)}
    running: list[str] = []
    done: list[str] = []

    def act(now: float) -> None:
        for action in it.step(now):
            match action:
                case Look(limit, _):
                    page = sorted(waiting)[:limit]
                    it.looked(now, [(job, 0) for job in page], more=len(waiting) > limit)
                    act(now)
                case Sort():
                    it.sorted_out(now, set(waiting), None)
                    act(now)
                case Give(id, 0):
                    it.granted(id)
                    waiting.remove(id)  # raises if the job was given before
                    running.append(id)
                case _:
                    raise AssertionError(action)

    for n in range(10_000):
        now = n * 0.0003
        it.hint(now, f"job-{random.randrange(100):03d}", 0)
        act(now)
        assert len(running) <= slots
        assert it.hints <= it.hint_limit
        if running and random.random() < 0.05:
            done.append(running.pop(random.randrange(len(running))))
            it.done(done[-1])
            act(now)
    assert len(set(done)) == len(done)
    assert len(done) + len(running) + len(waiting) == 100
    assert not waiting or not searches or len(running) == slots


class Busy:
    """A desk among others, at work: what happens comes by chance."""

    def __init__(self, seed: int, slots: int, *, searches: bool) -> None:
        self.random = Random(seed)
        self.desk = desk(slots, seed)
        if not searches:
            self.desk.forbidden()
        self.claiming: set[str] = set()
        self.bodies: set[str] = set()
        self.writing: set[str] = set()
        self.waiting = {f"job-{n:03d}" for n in range(200)}
        self.given: list[str] = []
        self.asked: Action | None = None

    def move(self, now: float) -> None:
        """Let one thing happen, and the desk do what it will."""
        moves = {
            self._answer_a_claim: self.claiming,
            self._end_a_body: self.bodies,
            self._answer_an_outcome: self.writing,
        }
        possible = [move for move, over in moves.items() if over]
        if self.bodies and self.random.random() < 0.05:
            possible.append(self._lose_a_lease)
        if self.asked is not None and self.random.random() < 0.5:
            self._answer(now, self.asked)
        elif self.waiting and self.random.random() < 0.5:
            self.desk.hint(now, self.random.choice(sorted(self.waiting)), 0)
        elif possible:
            self.random.choice(possible)()
        for action in self.desk.step(now):
            self._note(now, action)

    def _note(self, now: float, action: Action) -> None:
        match action:
            case Give(id, 0):
                self.waiting.discard(id)
                self.given.append(id)
                self.claiming.add(id)
            case Census():
                self.desk.met(now, {"me", "another"})
            case _:
                assert self.asked is None, "one question at a time"
                self.asked = action

    def _answer(self, now: float, asked: Action) -> None:
        self.asked = None
        page = sorted(self.waiting)
        if isinstance(asked, Look):
            tasks = [(job, 0) for job in page[: asked.limit]]
            self.desk.looked(now, tasks, more=len(page) > asked.limit)
        else:
            self.desk.sorted_out(now, set(page), None)

    def _answer_a_claim(self) -> None:
        job = self.claiming.pop()
        if self.random.random() < 0.3:
            self.desk.refused(job)
            self.desk.done(job)
        else:
            self.desk.granted(job)
            self.bodies.add(job)

    def _end_a_body(self) -> None:
        job = self.bodies.pop()
        self.desk.ending(job)
        self.writing.add(job)

    def _answer_an_outcome(self) -> None:
        """Granted, refused, or the lease was lost meanwhile: all the same to the desk."""
        self.desk.done(self.writing.pop())

    def _lose_a_lease(self) -> None:
        """The body has been stopped."""
        self.desk.done(self.bodies.pop())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.booleans())
@example(1358, 5, False)
def test_no_more_bodies_run_than_slots_whatever_is_still_being_written(
    seed: int,
    slots: int,
    searches: bool,  # noqa: FBT001 - drawn
) -> None:
    """Claims refused, outcomes answered late and out of order, leases lost at any point."""
    it = Busy(seed, slots, searches=searches)
    for n in range(1500):
        it.move(n * 0.0005)
        assert len(it.claiming) + len(it.bodies) <= slots
        assert 0 <= it.desk.used <= slots
        assert len(it.claiming | it.bodies | it.writing) <= 2 * slots
    assert len(set(it.given)) == len(it.given), "no job twice at the same version"
    assert len(it.given) > 10 * slots


def test_memory_stays_flat_under_a_flood_of_hints() -> None:
    it = desk(4)
    it.forbidden()
    for n in range(3 * MEMORY):
        it.hint(n / 1000, f"job-{n:06d}", 0)
        it.step(n / 1000)
    assert it.hints <= it.hint_limit
    assert sys.getsizeof(it._ours) < 1_000_000  # noqa: SLF001 - the memory is the point
    assert len(it._ours) <= MEMORY  # noqa: SLF001
