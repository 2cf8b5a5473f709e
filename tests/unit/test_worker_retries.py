"""When a function that raised runs again."""

from collections.abc import Iterator

import pytest

from resonate_fleet.member.attempts import Attempt, Body, Callee, current
from resonate_fleet.member.failures import UnwritableError
from resonate_fleet.member.sdk import Retries


def delays(policy: Retries, error: Exception, tries: int) -> list[float | None]:
    """Ask the policy as the SDK does: while the error is being handled."""
    found: list[float | None] = []
    for number in range(1, tries + 1):
        try:
            raise error
        except type(error):
            found.append(policy.next(number))
    return found


@pytest.fixture
def attempt() -> Iterator[Attempt]:
    made = Attempt("j", 1, Callee("f", "f"), body=Body(entered=True))
    token = current.set(made)
    yield made
    current.reset(token)


@pytest.mark.usefixtures("attempt")
def test_delays_double_up_to_a_minute_and_then_end() -> None:
    told: list[float] = []
    policy = Retries(8, 1.0, lambda _attempt, _error, delay: told.append(delay))
    expected = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert delays(policy, ValueError("no"), 9) == [*expected, None]
    assert told == expected


@pytest.mark.usefixtures("attempt")
def test_a_longer_first_delay_is_kept() -> None:
    assert delays(Retries(2, 90.0, _nobody), ValueError("no"), 3) == [90.0, 90.0, None]


@pytest.mark.usefixtures("attempt")
def test_no_retries_at_all() -> None:
    assert delays(Retries(0, 1.0, _nobody), ValueError("no"), 1) == [None]


def test_arguments_that_do_not_fit_are_final(attempt: Attempt) -> None:
    attempt.body.entered = False
    assert delays(Retries(3, 1.0, _nobody), ValueError("no"), 1) == [None]


@pytest.mark.usefixtures("attempt")
def test_a_result_that_cannot_be_written_is_final() -> None:
    assert delays(Retries(3, 1.0, _nobody), UnwritableError("no"), 1) == [None]


def _nobody(_attempt: Attempt, _error: BaseException, _delay: float) -> None:
    pass
