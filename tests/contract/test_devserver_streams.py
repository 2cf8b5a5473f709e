"""Messages on their way to members: who gets which, and which are lost."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.processes import Processes
from tests.support.servers import Server, ServerKind, kinds
from tests.support.sse import listening
from tests.support.waiting import wait_until_async

LATER = 99_999_999_999_999


@pytest.fixture(scope="module", params=kinds())
def quick(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that is soon again to offer what nobody claimed; small rooms."""
    env = {
        "RESONATE_TASKS__RETRY_TIMEOUT": "400",
        "RESONATE_TIMEOUTS__POLL_INTERVAL": "20",
        "RESONATE_TRANSPORTS__HTTP_POLL__BUFFER_SIZE": "3",
        "RESONATE_TRANSPORTS__HTTP_POLL__MAX_CONNECTIONS": "4",
    }
    kind: ServerKind = request.param
    with Processes(tmp_path_factory.mktemp(f"streams-{kind}")) as processes:
        yield Server(kind, processes, env=env)


def submit(server: Server, job: str, target: str, **data: Any) -> None:
    tags = {"resonate:target": target}
    status, _ = server.call("promise.create", id=job, timeoutAt=LATER, tags=tags, **data)
    assert status == 200


def settle(server: Server, job: str, value: str = "") -> None:
    status, _ = server.call("promise.settle", id=job, state="resolved", value={"data": value})
    assert status == 200


async def test_a_hint_reaches_a_listening_member(quick: Server) -> None:
    async with listening(quick.url, "one", "m") as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"] == "text/event-stream"
        submit(quick, "reach", "poll://any@one")
        message = await stream.next()
        port = quick.url.rpartition(":")[2]
        assert message == {
            "kind": "execute",
            "head": {"serverUrl": f"http://127.0.0.1:{port}"},
            "data": {"task": {"id": "reach", "version": 0}},
        }
        settle(quick, "reach")


async def test_nothing_else_is_on_an_idle_stream(quick: Server) -> None:
    async with listening(quick.url, "idle", "m") as stream:
        assert await stream.silent(1.0)


async def test_a_hint_that_nobody_hears_is_lost_and_comes_again(quick: Server) -> None:
    before = hints_taken(quick)
    submit(quick, "unheard", "poll://any@late")
    await wait_until_async(lambda: hints_taken(quick) > before, 5, "the message loop found nobody")
    async with listening(quick.url, "late", "m") as stream:
        assert await stream.hint() == ("unheard", 0)
        assert await stream.hint() == ("unheard", 0), "and again while nobody claims it"
        settle(quick, "unheard")


def hints_taken(server: Server) -> float:
    """Return how many hints the message loop has taken off the queue."""
    name = 'resonate_messages_total{kind="execute"} '
    lines = server.metrics().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


async def test_each_hint_goes_to_one_member_at_random(quick: Server) -> None:
    heard: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        for member in ("a", "b", "c"):
            stream = await stack.enter_async_context(listening(quick.url, "many", member))
            stack.callback(asyncio.create_task(count(stream, member, heard)).cancel)
        for number in range(40):
            submit(quick, f"many-{number}", "poll://any@many")
            held = {"version": 0, "pid": "t", "ttl": 60_000}
            assert quick.call("task.acquire", id=f"many-{number}", **held)[0] == 200
        await wait_until_async(lambda: heard.total() >= 40, 5, "40 hints are heard")
    assert heard.total() == 40, "one member each"
    assert min(heard[member] for member in "abc") >= 3, heard


async def count(stream: Any, member: str, heard: Counter[str]) -> None:
    while True:
        await stream.hint(60)
        heard[member] += 1


async def test_a_named_member_alone_is_told(quick: Server) -> None:
    async with (
        listening(quick.url, "pair", "a") as first,
        listening(quick.url, "pair", "b") as second,
    ):
        quick.call("promise.create", id="told", timeoutAt=LATER)
        quick.call("promise.register_listener", awaited="told", address="poll://uni@pair/b")
        settle(quick, "told", "MQ==")
        message = await second.next()
        assert message["kind"] == "unblock"
        assert message["data"]["promise"]["value"] == {"data": "MQ=="}
        assert await first.silent(0.2)


async def test_a_full_buffer_loses_messages(quick: Server) -> None:
    """A member that does not read: the kernel's buffers fill, then the server's own three."""
    total, large = 24, "A" * 1_500_000
    reader, writer = await asyncio.open_connection(*quick.url.removeprefix("http://").split(":"))
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"GET /poll/slow/m HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.2)
    for number in range(total):
        quick.call("promise.create", id=f"slow-{number}", timeoutAt=LATER)
        address = "poll://uni@slow/m"
        quick.call("promise.register_listener", awaited=f"slow-{number}", address=address)
        settle(quick, f"slow-{number}", large)
    await asyncio.sleep(0.3)
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    received = 0
    while True:
        try:
            async with asyncio.timeout(0.7):
                received += (await reader.read(1 << 20)).count(b'"unblock"')
        except TimeoutError:
            break
    writer.close()
    assert 3 <= received < total


async def test_there_is_room_for_so_many_streams(quick: Server) -> None:
    async with AsyncExitStack() as stack:
        for member in "abc":
            await stack.enter_async_context(listening(quick.url, "room", member))
        async with listening(quick.url, "room", "d") as fourth:
            assert fourth.status == 200
            async with listening(quick.url, "room", "e") as fifth:
                assert fifth.status == 503

        for _ in range(200):  # the server notices the closed stream a moment later
            if await admitted(quick):
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the place of a closed stream stays taken")


async def admitted(server: Server) -> bool:
    async with listening(server.url, "room", "e") as stream:
        return stream.status == 200
