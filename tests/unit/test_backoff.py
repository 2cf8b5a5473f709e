"""One back-off for all that tries again."""

from resonate_fleet.contract.backoff import Backoff, doubled


def test_pauses_double_up_to_the_longest_and_begin_anew() -> None:
    assert [doubled(0.5, turn, 3.0) for turn in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert doubled(1.0, 10_000, 60.0) == 60.0
    pauses = Backoff(0.5, 3.0)
    for whole in (0.5, 1.0, 2.0, 3.0, 3.0):
        assert whole / 2 <= pauses.next() <= whole
    pauses.reset()
    assert pauses.next() <= 0.5
