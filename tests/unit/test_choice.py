"""Which waiting job a member claims next."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_fleet.member.choice import (
    CROWD,
    LONGEST_SPELL,
    MEETING,
    MOST_WINDOW,
    Choice,
    Waiting,
    spot_of,
)


def a_job(id: str, *, heard: bool = False, vouched: bool = True, settled: bool = True) -> Waiting:
    return Waiting(id, 0, heard, vouched, settled, spot_of(id))


def line(count: int, *, heard: bool = False, settled: bool = True) -> list[Waiting]:
    return [a_job(f"job-{n:04d}", heard=heard, settled=settled) for n in range(count)]


def crowd(me: str = "b", members: str = "abc") -> Choice:
    """A member that has met a crowd of the named members."""
    choice = Choice(Random(1), me)
    for _ in range(10):
        choice.refused("")
    choice.meet(members)
    choice.granted("")
    assert choice.crowded
    return choice


def test_the_oldest_goes_first() -> None:
    assert Choice(Random(1), "me").pick(0.0, line(5), starved=False) == line(5)[0]


def test_a_young_job_is_left_to_whom_its_hint_went_while_slots_are_plenty() -> None:
    choice = Choice(Random(1), "me")
    young = line(2, settled=False)
    assert choice.pick(0.0, young, starved=True) is None
    assert choice.pick(0.0, [young[0], young[1]._replace(heard=True)], starved=True) is not None
    assert choice.pick(0.0, young, starved=False) == young[0], (
        "jobs wait for slots: the oldest, whoever hears"
    )


def test_one_refusal_changes_nothing() -> None:
    choice = Choice(Random(1), "me")
    choice.refused("")
    assert not choice.crowded
    assert choice.pick(0.0, line(5), starved=False) == line(5)[0]


def test_who_keeps_meeting_others_steps_aside_from_the_head() -> None:
    choice = Choice(Random(1), "me")
    for _ in range(MEETING - 1):
        choice.refused("")
    assert choice.pick(0.0, line(500), starved=False) == line(500)[0]
    choice.refused("")
    picks = {choice.pick(0.0, line(500), starved=False) for _ in range(200)}
    assert 2 < len(picks) <= 2**MEETING
    choice.granted("")
    assert len({choice.pick(0.0, line(500), starved=False) for _ in range(200)}) == 1


def test_who_keeps_meeting_others_prefers_what_was_hinted_to_it() -> None:
    choice = Choice(Random(1), "me")
    for _ in range(MEETING):
        choice.refused("")
    jobs = line(500)
    jobs[2] = jobs[2]._replace(heard=True)
    assert choice.pick(0.0, jobs, starved=False) == jobs[2]


def test_a_rest_does_not_end_a_crowd_that_is_hot() -> None:
    choice = crowd()
    choice.rested()
    assert choice.crowded, "other members are as slow, and many"


def test_a_rest_ends_a_crowd_that_has_cooled_down() -> None:
    choice = crowd()
    for _ in range(10):
        choice.granted("")
    choice.rested()
    assert not choice.crowded
    assert choice.pick(0.0, line(500), starved=False) == line(500)[0]


def test_a_crowd_comes_with_refusals_and_goes_with_grants() -> None:
    choice = crowd()
    claims = 0
    while choice.crowded and claims < 10_000:
        choice.granted("")
        claims += 1
    assert 0 < claims <= LONGEST_SPELL


def test_a_rare_refusal_makes_no_crowd() -> None:
    choice = Choice(Random(1), "me")
    for n in range(1000):
        if n % 20 == 0:
            choice.refused("")
        choice.granted("")
        assert not choice.crowded
    assert CROWD > 1 / 20


def test_a_crowd_that_comes_back_is_believed_for_longer() -> None:
    choice = Choice(Random(1), "me")

    def spell() -> int:
        while not choice.crowded:
            choice.refused("")
        claims = 0
        while choice.crowded and claims < 10_000:
            choice.granted("")
            claims += 1
        return claims

    first, second = spell(), spell()
    assert second > first


def test_the_end_of_a_crowd_is_tried_with_one_job_of_others_at_a_time() -> None:
    choice = crowd()
    while (job := choice.pick(0.0, line(100), starved=False)) != line(100)[0]:
        assert job is not None
        choice.granted(job.id)
    jobs = line(100)[1:]
    own = choice.pick(0.0, jobs, starved=False)
    assert own is not None
    assert own == choice.pick(0.0, jobs, starved=False), "the trial's answer is awaited"
    choice.refused("job-0000")
    assert choice.crowded
    assert choice.pick(0.0, jobs, starved=False) == own, "another spell has begun"


def test_a_trial_without_an_answer_does_not_keep_the_crowd() -> None:
    choice, unanswered = crowd(), 0
    while choice.crowded:
        job = choice.pick(0.0, line(100), starved=False)
        assert job is not None
        if job == line(100)[0] and unanswered < 3:
            choice.unanswered(job.id)
            unanswered += 1
        else:
            choice.granted(job.id)
    assert unanswered == 3


@given(
    st.sets(st.text("abcdefgh-0123456789", min_size=1, max_size=12), min_size=1, max_size=12),
    st.lists(st.uuids(), unique=True, max_size=60),
)
def test_shares_do_not_overlap_and_leave_nothing_out(names: set[str], ids: list[object]) -> None:
    jobs = sorted(a_job(str(name)) for name in ids)
    taken: list[str] = []
    for name in names:
        choice = crowd(name, "")
        choice.meet(names)
        left = list(jobs)
        while choice.widen():
            pass
        while (job := choice.pick(0.0, left, starved=False)) is not None:
            left.remove(job)
            taken.append(job.id)
    assert sorted(taken) == [job.id for job in jobs]


def test_in_a_crowd_the_oldest_of_the_own_share_goes_first() -> None:
    choice = crowd()
    left, picked = line(100), []
    while (job := choice.pick(0.0, left, starved=False)) is not None:
        left.remove(job)
        picked.append(job)
    assert picked == sorted(picked)
    assert len(picked) >= 2


def test_a_young_job_in_a_crowd_belongs_to_whom_its_hint_went() -> None:
    choice = crowd("b", "b")
    young = line(1, settled=False)
    assert choice.pick(0.0, young, starved=False) is None
    heard = [young[0]._replace(heard=True)]
    assert choice.pick(0.0, heard, starved=False) == heard[0]


def test_where_hints_come_too_late_none_is_believed_without_a_look_in_a_crowd() -> None:
    choice = crowd("b", "b")
    heard = a_job("job", heard=True, vouched=False, settled=False)
    assert choice.pick(0.0, [heard], starved=False) == heard
    for _ in range(20):
        choice.proved(true=False)
    assert choice.pick(0.0, [heard], starved=False) is None
    assert choice.pick(0.0, [heard._replace(vouched=True)], starved=False) is not None
    choice.blind = True
    assert choice.pick(0.0, [heard], starved=False) == heard, "else it would never claim again"
    choice.blind = False
    for _ in range(20):
        choice.proved(true=True)
    assert choice.pick(0.0, [heard], starved=False) == heard


def test_others_shares_are_taken_late_and_seldom() -> None:
    choice = crowd("b", "ab")
    others = [job for job in line(100) if crowd("a", "ab").pick(0.0, [job], starved=False)]
    assert choice.pick(1.0, others, starved=False) is None
    assert choice.pick_from_others(1.0, others) in others
    assert choice.pick_from_others(1.001, others) is None
    assert choice.pick_from_others(1.1, others) in others


def test_a_window_that_holds_nothing_of_the_own_share_does_not_narrow() -> None:
    """Else it would be widened again at the next look, for ever, and nothing taken."""
    choice = crowd("b", "ab")
    others = [job for job in line(400) if crowd("a", "ab").pick(0.0, [job], starved=False)]
    for turn in range(20):
        choice.looked(0.01)
        assert choice.pick(turn, others, starved=False) is None
        if not choice.widen():
            break
    else:
        pytest.fail("it never gave up looking further")
    assert choice.pick_from_others(99.0, others) in others


def test_shares_that_nobody_takes_are_taken_faster_and_faster() -> None:
    """A name in the census may be gone, or busy: its share is not left lying."""
    choice = crowd("b", "ab")
    others = [job for job in line(400) if crowd("a", "ab").pick(0.0, [job], starved=False)]

    def taken(now: float) -> list[str]:
        choice.looked(0.0)
        jobs = []
        while job := choice.pick_from_others(now, others):
            others.remove(job)
            jobs.append(job.id)
        return jobs

    for turn, count in enumerate((1, 2, 4, 8)):
        jobs = taken(1.0 + turn)
        assert len(jobs) == count
        for job in jobs:
            choice.granted(job)
    choice.refused(taken(9.0)[0])
    assert len(taken(10.0)) == 1


def test_the_window_is_bounded() -> None:
    choice = crowd("m0", "")
    choice.meet([f"m{n}" for n in range(5000)])
    while choice.widen():
        pass
    assert choice.window == MOST_WINDOW
