"""A hand-back to a server that does not answer takes no longer for many jobs than for one."""

import queue
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

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked: list[str] = []

    def call(self, _: str, data: dict[str, Any], accept: tuple[int, ...]) -> None:
        assert accept == (404, 409)
        self.asked.append(data["id"])
        self.sleep(TIMEOUT)
        raise Unreachable("http://server", "no answer in time")

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def close(self) -> None: ...


@pytest.mark.usefixtures("no_logs")
def test_all_are_tried_within_one_patience() -> None:
    server = Silence()
    held = [Attempt(f"job-{n}", 1, Callee("f", "f")) for n in range(16)]
    runner = Mock(claims=SimpleNamespace(pending=0))
    runner.table.held.return_value = held
    clock = SimpleNamespace(monotonic=lambda: server.seconds, sleep=server.sleep)
    drained = Drain(queue.SimpleQueue(), 1.0, server, runner, Mock(), Mock())  # type: ignore[arg-type] # what is called of a wire
    with patch.object(drain, "time", clock):
        drained._hand_back()  # noqa: SLF001 - the step that is meant
    assert set(server.asked) == {"job-0"}
    assert HAND_BACK_SECONDS <= server.seconds <= HAND_BACK_SECONDS + TIMEOUT + 0.1
    runner.table.finish.assert_not_called()
    assert runner.on_loop.soon.call_count == len(held), "each body is stopped all the same"
