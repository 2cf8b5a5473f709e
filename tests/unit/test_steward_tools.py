"""How a steward asks a server that does not answer, and what it says of failures."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from unittest.mock import Mock

import pytest
import structlog

from resonate_fleet.contract.sockets import SAID_SECONDS, say_once
from resonate_fleet.contract.wire import Refused, Reply, Strange, Unreachable
from tests.support.by_hand import Stage


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with closing(Stage()) as one:
        monkeypatch.setattr("time.monotonic", one.loop.time)
        yield one


class Server:
    """Answers what a test gives it, in turn, and keeps when it was asked."""

    def __init__(self, stage: Stage, *answers: str | Exception) -> None:
        self.at: list[float] = []
        self._stage = stage
        self._answers = list(answers)

    async def ask(self) -> str:
        self.at.append(self._stage.at())
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


AWAY = Unreachable("server", "away")


def refusal(status: int) -> Refused:
    return Refused(Reply(kind="task.get", status=status, data="no"))


@pytest.mark.usefixtures("no_logs")
class TestInsist:
    def test_it_asks_until_the_server_answers_less_often_each_time(self, stage: Stage) -> None:
        server = Server(stage, *[AWAY] * 6, "answer")
        assert stage.do(stage.tools.insist(server.ask, "hand-over")) == "answer"
        assert server.at == [0.0, 0.05, 0.15, 0.35, 0.85, 1.35, 1.85]
        assert stage.count("errors_total", what="hand-over") == 1, "one outage is one failure"

    def test_a_token_that_has_expired_is_soon_replaced(self, stage: Stage) -> None:
        server = Server(stage, refusal(401), refusal(401), "answer")
        assert stage.do(stage.tools.insist(server.ask, "hand-over")) == "answer"
        assert stage.count("errors_total", what="hand-over") == 2

    @pytest.mark.parametrize(
        "error", [refusal(403), refusal(500), Strange("server", KeyError("task"))]
    )
    def test_a_refusal_is_final(self, stage: Stage, error: Exception) -> None:
        server = Server(stage, error)
        assert stage.do(stage.tools.insist(server.ask, "hand-over")) is None
        assert stage.count("errors_total", what="hand-over") == 1

    def test_it_gives_up_when_told_to(self, stage: Stage) -> None:
        give_up = asyncio.Event()
        stage.loop.call_later(0.2, give_up.set)
        server = Server(stage, *[AWAY] * 9)
        assert stage.do(stage.tools.insist(server.ask, "hand-over", give_up)) is None
        assert (len(server.at), stage.at()) == (3, 0.2)


def test_a_failure_is_counted_each_time_and_logged_once_a_minute(stage: Stage) -> None:
    with structlog.testing.capture_logs() as logs:
        for seconds in (0.0, 1.0, 58.0, 2.0):
            stage.loop.run_for(seconds)
            stage.tools.failed("state", OSError("disk full"))
        stage.tools.failed("accept", OSError("no descriptors"))
    assert [(line["what"], line["error"], line["unsaid"]) for line in logs] == [
        ("state", "disk full", 0),
        ("state", "disk full", 2),
        ("accept", "no descriptors", 0),
    ]
    assert stage.count("errors_total", what="state") == 4


def test_connections_that_cannot_be_accepted_are_said_once_a_minute() -> None:
    """Asyncio says so a thousand times a second; whatever else it says stays as it is."""
    now, said, loop = 0.0, list[str](), Mock(spec=asyncio.AbstractEventLoop)
    say_once(loop, said.append, lambda: now)
    [[handle]] = [call.args for call in loop.set_exception_handler.call_args_list]
    context: dict[str, Any] = {
        "message": "socket.accept() out of system resource",
        "exception": OSError("too many open files"),
    }
    for now in (0.0, 0.001, SAID_SECONDS - 1, SAID_SECONDS):  # noqa: B007 - read by the clock above
        handle(loop, context)
    assert said == ["too many open files"] * 2
    loop.default_exception_handler.assert_not_called()
    other = {"message": "Task exception was never retrieved"}
    handle(loop, other)
    loop.default_exception_handler.assert_called_once_with(other)
    assert len(said) == 2
