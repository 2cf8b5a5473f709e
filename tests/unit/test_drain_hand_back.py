"""The hand-back of a drain: what it waits for, and for how long."""

import queue
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import pytest

from resonate_fleet.contract.wire import Unreachable
from resonate_fleet.member import drain
from resonate_fleet.member.attempts import Attempt, Callee
from resonate_fleet.member.drain import HAND_BACK_SECONDS, Drain

#: Seconds until a request is given up.
TIMEOUT = 1.5


class Silence:
    """A server that does not answer, and the time that this takes."""

    def __init__(self, then: Callable[[float], None] = lambda _: None) -> None:
        self.seconds = 0.0
        self.asked: list[str] = []
        self._then = then

    def call(self, _: str, data: dict[str, Any], accept: tuple[int, ...]) -> None:
        assert accept == (404, 409)
        self.asked.append(data["id"])
        self.sleep(TIMEOUT)
        raise Unreachable("http://server", "no answer in time")

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self._then(self.seconds)

    def close(self) -> None: ...


def hand_back(server: Silence, held: list[Attempt]) -> Mock:
    runner = Mock(claims=SimpleNamespace(pending=0))
    runner.table.held.side_effect = lambda: list(held)
    clock = SimpleNamespace(monotonic=lambda: server.seconds, sleep=server.sleep)
    drained = Drain(queue.SimpleQueue(), 1.0, server, runner, Mock(), Mock())  # type: ignore[arg-type] # what is called of a wire
    with patch.object(drain, "time", clock):
        drained._hand_back()  # noqa: SLF001 - the step that is meant
    return runner


@pytest.mark.usefixtures("no_logs")
def test_all_are_tried_within_one_patience() -> None:
    """It takes no longer for many jobs than for one."""
    server, held = Silence(), [Attempt(f"job-{n}", 1, Callee("f", "f")) for n in range(16)]
    runner = hand_back(server, held)
    assert set(server.asked) == {"job-0"}
    assert HAND_BACK_SECONDS <= server.seconds <= HAND_BACK_SECONDS + TIMEOUT + 0.1
    runner.table.finish.assert_not_called()
    assert runner.on_loop.soon.call_count == len(held), "each body is stopped all the same"


@pytest.mark.parametrize(("takes", "given_back"), [(1.0, False), (60.0, True)])
@pytest.mark.usefixtures("no_logs")
def test_a_job_whose_outcome_is_on_its_way_is_handed_back_only_when_that_takes_too_long(
    takes: float, *, given_back: bool
) -> None:
    attempt = Attempt("job", 1, Callee("f", "f"))
    attempt.lease.wrote_at = 0.0
    held = [attempt]
    server = Silence(lambda now: held.clear() if now >= takes else None)
    hand_back(server, held)
    assert ("job" in server.asked) is given_back
