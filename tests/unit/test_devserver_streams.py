"""Who gets a message, with a choice that is known beforehand."""

from contextlib import ExitStack
from random import Random

import pytest

from resonate_fleet.server.protocol import RefusedRequest
from resonate_fleet.server.streams import (
    AtCapacity,
    OpenStream,
    Poll,
    Streams,
    check_address,
    poll_address,
)

ANY = Poll("any", "g", None)


def members(stack: ExitStack, streams: Streams, *names: str) -> dict[str, OpenStream]:
    return {name: stack.enter_context(streams.listening("g", name)) for name in names}


async def test_any_member_is_chosen_at_random_and_all_are() -> None:
    streams = Streams(10, 1000, Random(7))
    with ExitStack() as stack:
        group = members(stack, streams, "a", "b", "c")
        for number in range(300):
            assert streams.send(ANY, b"%d" % number)
        streams.close()
        counts = {name: len(await drained(one)) for name, one in group.items()}
    assert sum(counts.values()) == 300
    assert all(70 <= count <= 130 for count in counts.values()), counts


async def drained(listener: OpenStream) -> list[bytes]:
    found = []
    while (payload := await listener.next()) is not None:
        found.append(payload)
    return found


async def test_a_preferred_member_is_taken_while_it_listens() -> None:
    streams = Streams(10, 1)
    with ExitStack() as stack:
        group = members(stack, streams, "a", "b")
        assert streams.send(Poll("any", "g", "b"), b"1")
        assert await group["b"].next() == b"1"
        assert streams.send(Poll("any", "g", "gone"), b"2"), "another one does as well"


async def test_a_named_member_or_nobody() -> None:
    streams = Streams(10, 1)
    with streams.listening("g", "a"):
        assert not streams.send(Poll("uni", "g", "gone"), b"1")
        assert not streams.send(Poll("uni", "g", None), b"1")
        assert streams.send(Poll("uni", "g", "a"), b"1")
    assert not streams.send(Poll("uni", "g", "a"), b"1"), "it has left"
    assert not streams.send(ANY, b"1"), "so have all"


async def test_a_full_buffer_drops_what_comes_next() -> None:
    streams = Streams(10, 2)
    with streams.listening("g", "a") as listener:
        assert [streams.send(ANY, b"%d" % number) for number in range(3)] == [True, True, False]
        assert await listener.next() == b"0"
        assert streams.send(ANY, b"3")
        streams.close()
        assert await drained(listener) == [b"1", b"3"]


async def test_no_more_listeners_than_allowed_and_none_after_the_end() -> None:
    streams = Streams(1, 1)
    with streams.listening("g", "a"), pytest.raises(AtCapacity), streams.listening("h", "b"):
        pass
    streams.close()
    with pytest.raises(AtCapacity), streams.listening("g", "a"):
        pass


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("poll://any@workers", ("any", "workers", None)),
        ("poll://uni@workers/w-1", ("uni", "workers", "w-1")),
        ("poll://any@my_group:80/a/b?q#f", ("any", "my_group", "a/b")),
        ("POLL://any@G", ("any", "G", None)),
    ],
)
def test_poll_addresses_have_a_cast_a_group_and_perhaps_a_member(
    address: str, parts: tuple[str, str, str | None]
) -> None:
    assert poll_address(address) == parts
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    ["", "g", "poll://g", "poll://all@g", "poll://any@", "poll:any@g", "http://", "http://[", "x:"],
)
def test_other_texts_are_no_addresses(address: str) -> None:
    with pytest.raises(RefusedRequest):
        check_address(address)
