"""The server's clock from the dates of its answers."""

import time
from email.utils import formatdate

import pytest

from resonate_fleet.contract.clock import ServerClock, seconds_of


class Here:
    """A clock of this machine, and what was said of it."""

    def __init__(self, ahead: float) -> None:
        self.server, self.ahead = 1_800_000_000.25, ahead
        self.said: list[float] = []
        self.clock = ServerClock(self.now, self.said.append)

    def now(self) -> float:
        return self.server - self.ahead

    def answers(self, count: int = 10) -> None:
        for _ in range(count):
            self.server += 0.01
            self.clock.heard(formatdate(self.server, usegmt=True), 0.01)
            self.server += 0.37


def test_dates_are_read_as_the_standard_writes_them() -> None:
    assert seconds_of("Sun, 06 Nov 1994 08:49:37 GMT") == 784111777
    now = int(time.time())
    assert seconds_of(formatdate(now, usegmt=True)) == now
    assert seconds_of("yesterday") is None
    assert seconds_of("Sun, 06 Brumaire 1994 08:49:37 GMT") is None


@pytest.mark.parametrize("ahead", [5.0, -5.0, 172_800.0])
def test_a_clock_that_is_off_is_said_once_and_set_right(ahead: float) -> None:
    here = Here(ahead)
    here.answers()
    assert len(here.said) == 1
    assert here.said[0] == pytest.approx(ahead, abs=0.6)
    assert here.clock.now() == pytest.approx(here.server, abs=0.3)
    assert abs(here.clock.offset) <= abs(ahead)


@pytest.mark.parametrize("ahead", [0.0, 0.9, -0.9])
def test_a_clock_that_is_about_right_is_left_alone(ahead: float) -> None:
    here = Here(ahead)
    here.answers(30)
    assert here.said == []
    assert here.clock.now() == here.now()


def test_a_clock_that_is_set_meanwhile_is_followed() -> None:
    here = Here(0.0)
    here.answers()
    here.ahead = 60.0
    here.answers()
    assert here.clock.now() == pytest.approx(here.server, abs=1.0)
    here.ahead = 0.0
    here.answers()
    assert here.clock.now() == here.now()


@pytest.mark.parametrize("ahead", [5.0, -5.0])
def test_time_does_not_step_back_while_answers_tell_more(ahead: float) -> None:
    here = Here(ahead)
    here.server += 0.25
    for _ in range(10):
        here.clock.heard(formatdate(here.server, usegmt=True), 0.0)
        here.server += 0.2
        assert here.clock.now() == pytest.approx(here.server, abs=0.01)


def test_time_steps_back_no_further_than_an_answer_makes_it() -> None:
    here = Here(5.0)
    here.server -= 0.15
    here.clock.heard(formatdate(here.server, usegmt=True), 0.0)
    assert here.clock.now() == pytest.approx(here.server + 0.4, abs=0.01)
    here.server += 0.8
    here.clock.heard(formatdate(here.server, usegmt=True), 0.0)
    assert here.clock.now() == pytest.approx(here.server + 0.1, abs=0.01)
