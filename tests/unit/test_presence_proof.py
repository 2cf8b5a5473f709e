"""A proof of the presence secret can be used once, by one side, for one member."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from resonate_fleet.contract import presence as messages
from resonate_fleet.contract.presence import Assign, Challenge, FromSteward, Hello, Welcome, prove
from resonate_fleet.member.link import Link
from resonate_fleet.steward.presence import Connection
from tests.support.virtual import VirtualLoop

SECRET = "a secret"
HELLO = Hello("m", "g", 1, incarnation="i", nonce="n")
PROOF = prove(SECRET, "member", "challenge", HELLO)


@pytest.mark.parametrize(
    "other",
    [
        prove("another secret", "member", "challenge", HELLO),
        prove(SECRET, "steward", "challenge", HELLO),
        prove(SECRET, "member", "another challenge", HELLO),
        *(
            prove(SECRET, "member", "challenge", replace(HELLO, **{part: "other"}))
            for part in ("nonce", "member", "group", "incarnation")
        ),
        prove(SECRET, "member", "challenge", replace(HELLO, member="mg", group="")),
        "",
    ],
    ids=[
        "secret", "side", "steward's nonce", "member's nonce", "name", "group", "incarnation",
        "parts", "none",
    ],
)  # fmt: skip
def test_a_proof_holds_for_one_secret_one_side_both_nonces_and_one_member(other: str) -> None:
    assert messages.proven(SECRET, "member", "challenge", HELLO, PROOF)
    assert not messages.proven(SECRET, "member", "challenge", HELLO, other)


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    with closing(VirtualLoop()) as one:
        asyncio.set_event_loop(one)
        yield one


class Pretender:
    """A steward that a member has connected to; it says what a test has it say."""

    def __init__(self) -> None:
        self.presence: Any = Mock()
        self.link = Link(self.presence, ("steward", 1), HELLO, SECRET)
        self.transport: Any = Mock()
        self.transport.get_extra_info.return_value = None
        self.link._transport = self.transport  # noqa: SLF001 - as connection_made leaves it

    def hello(self) -> Hello:
        """Return what the member has answered last."""
        found = messages.decode_member(self.transport.write.call_args.args[0])
        assert isinstance(found, Hello)
        return found


def test_a_member_answers_each_challenge_with_a_nonce_of_its_own(loop: VirtualLoop) -> None:
    nonces = set[str]()
    for challenge in ("one", "two"):
        pretender = Pretender()
        loop.run_until_complete(_says(pretender, Challenge(challenge)))
        hello = pretender.hello()
        assert messages.proven(SECRET, "member", challenge, hello, hello.proof)
        nonces.add(hello.nonce)
    assert len(nonces) == 2, "a recorded welcome would be taken again"


def test_a_steward_challenges_each_connection_anew(loop: VirtualLoop) -> None:
    async def nonces() -> set[str]:
        return {Connection(Mock())._nonce for _ in range(2)}  # noqa: SLF001 - what it says first

    assert len(loop.run_until_complete(nonces())) == 2, "a recorded hello would be taken again"


def test_a_member_does_nothing_for_a_steward_that_has_not_welcomed_it(loop: VirtualLoop) -> None:
    orders: list[FromSteward] = [Assign([("t", 0)]), messages.Released([("t", 1)])]
    for said in (orders, [Challenge("c"), *orders]):
        pretender = Pretender()
        for message in said:
            loop.run_until_complete(_says(pretender, message))
        pretender.presence.heard.assert_not_called()


def test_a_welcome_counts_after_the_challenge_and_with_the_stewards_proof(
    loop: VirtualLoop,
) -> None:
    early = Pretender()
    unasked = prove(SECRET, "steward", "", replace(HELLO, nonce=""))
    early.link.hello = replace(HELLO, nonce="")
    loop.run_until_complete(_says(early, Welcome("s", 1.0, proof=unasked)))
    early.presence.welcomed.assert_not_called()
    for side, welcomed in (("member", False), ("steward", True)):
        pretender = Pretender()
        loop.run_until_complete(_says(pretender, Challenge("c")))
        proof = prove(SECRET, side, "c", pretender.hello())
        loop.run_until_complete(_says(pretender, Welcome("s", 1.0, proof=proof)))
        assert pretender.presence.welcomed.called is welcomed, side


async def _says(pretender: Pretender, message: FromSteward) -> None:
    pretender.link.data_received(messages.line(message))
