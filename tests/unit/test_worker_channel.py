"""What an answer says of the server and of this member's token."""

import asyncio
import json
from unittest.mock import Mock

import pytest

from resonate_fleet.contract.envelope import Raw
from resonate_fleet.contract.wire import Unreachable, Wire
from resonate_fleet.member.health import Health
from resonate_fleet.member.requests import made
from resonate_fleet.member.upstream import Channel
from tests.support.waiting import wait_until_async


class Answering(Wire):
    """Answers everything with one status."""

    def __init__(self, kind: str, status: int) -> None:
        super().__init__("http://127.0.0.1:1")
        head = {"corrId": "", "status": status, "version": ""}
        self._reply = json.dumps({"kind": kind, "head": head, "data": "no"}).encode()

    async def post(self, body: str | bytes) -> Raw:  # noqa: ARG002 - whatever is asked
        return Raw(200, self._reply)


@pytest.mark.parametrize(("status", "taken"), [(404, True), (403, True), (401, False)])
async def test_a_token_for_some_ids_only_is_a_token(status: int, *, taken: bool) -> None:
    """The question whether anybody is there asks for an id that such a token does not cover."""
    health = Health(now=lambda: 0.0)
    channel = Channel(Answering("promise.get", status), health)
    answer = await channel.exchange(*made("promise.get", {"id": "a"}), refused_seconds=0.0)
    assert answer.reply.status == status
    assert health.takes(1.0) is taken


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_answers_with_failures_alone_is_said(status: int) -> None:
    """As one does whose database is away: its hint stream stands all the while."""
    counted, clock = list[str](), [100.0]
    health = Health(counted.append, lambda: clock[0], lambda: True)
    channel = Channel(Answering("task.fulfill", status), health)
    asking = asyncio.create_task(channel.exchange(*made("task.fulfill", {"id": "a"})))
    await wait_until_async(lambda: len(counted) >= 2, 5, "it has asked twice")
    clock[0] += 2.0
    assert f"task.fulfill: {status} no" in health.failing
    assert set(counted) == {str(status)}
    asking.cancel()


async def test_an_answer_without_what_was_asked_for_is_none_and_is_asked_for_again() -> None:
    refused = list[str]()
    channel = Channel(Answering("task.get", 200), Health(refused.append))
    asking = asyncio.create_task(channel.find("task.get", "a"))
    await wait_until_async(lambda: len(refused) >= 2, 5, "it has asked twice")
    channel.close()
    assert await asking is None
    assert set(refused) == {"none"}


async def test_an_answer_to_something_else_is_none() -> None:
    """What answers every request with the same page is no server, whatever the page says."""
    wire = Answering("promise.get", 200)
    with pytest.raises(Unreachable, match="not the protocol"):
        await wire.call("task.search", {})


@pytest.mark.parametrize("connected", [True, False])
def test_requests_without_an_answer_are_said_once_unless_the_stream_says_it(
    monkeypatch: pytest.MonkeyPatch, *, connected: bool
) -> None:
    counted, clock = list[str](), [100.0]
    health = Health(counted.append, lambda: clock[0], lambda: connected)
    log = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("resonate_fleet.member.health.log", log)
    for _ in range(5):
        health.silent("no answer in time", after=10.0)
        clock[0] += 1
    health.answered()
    said = [one.args[0] for one in log.mock_calls]
    assert said == (["requests.refused", "requests.accepted"] if connected else [])
    assert counted == ["none"] * 5
