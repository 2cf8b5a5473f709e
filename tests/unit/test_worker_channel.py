"""What an answer says of the server and of this member's token."""

import json

import pytest

from resonate_fleet.contract.wire import Raw, Wire
from resonate_fleet.member.channel import Channel
from resonate_fleet.member.health import Health
from resonate_fleet.member.requests import nobody


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
    answer = await channel.exchange(*nobody(), refused_patience=0.0)
    assert answer.reply.status == status
    assert health.takes(1.0) is taken
