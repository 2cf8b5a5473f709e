"""The wire's own HTTP: answers in any framing, kept connections, ends without an answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from resonate_fleet.contract.http import Poster

#: Reads one request and says what to send, and whether to close afterwards.
Answer = Callable[[bytes], tuple[list[bytes], bool]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[tuple[str, list[int]]]:
    """A server of a few lines; yields its address and how many requests each connection had."""
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        number = len(connections) - 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                connections[number] += 1
                parts, close = answer(await reader.readexactly(length))
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
                if close:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", connections


@asynccontextmanager
async def poster(url: str, timeout: float = 5.0) -> AsyncIterator[Poster]:  # noqa: ASYNC109
    it = Poster(url, timeout, 2.0)
    try:
        yield it
    finally:
        it.close()
        await asyncio.sleep(0.01)


def plain(body: bytes) -> tuple[list[bytes], bool]:
    return [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)], False


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with server(plain) as (url, connections), poster(url) as it:
        for n in range(20):
            assert (await it.post(b"%d" % n)).body == b"%d" % n
    assert connections == [20]


async def test_requests_at_once_get_each_their_own_answer() -> None:
    async with server(plain) as (url, connections), poster(url) as it:
        asked = [b"%d" % n for n in range(50)]
        assert [
            one.body for one in await asyncio.gather(*(it.post(body) for body in asked))
        ] == asked
        assert [
            one.body for one in await asyncio.gather(*(it.post(body) for body in asked))
        ] == asked
    assert sum(connections) == 100
    assert len(connections) <= 50


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_an_answer_may_come_in_pieces_and_chunks(size: int) -> None:
    def chunked(body: bytes) -> tuple[list[bytes], bool]:
        raw = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n"
        raw += b"".join(b"%x;x=y\r\n%b\r\n" % (len(p), p) for p in (body, body * 300))
        raw += b"0\r\n\r\n"
        return [raw[n : n + size] for n in range(0, len(raw), size)], False

    async with server(chunked) as (url, connections), poster(url) as it:
        assert (await it.post(b"abc")).body == b"abc" * 301
        assert (await it.post(b"d")).body == b"d" * 301
    assert connections == [2]


async def test_an_interim_answer_is_passed_over() -> None:
    def interim(body: bytes) -> tuple[list[bytes], bool]:
        return [b"HTTP/1.1 100 Continue\r\n\r\n" + plain(body)[0][0]], False

    async with server(interim) as (url, _), poster(url) as it:
        assert (await it.post(b"abc")).body == b"abc"


async def test_a_body_may_end_with_its_connection() -> None:
    async with (
        server(lambda body: ([b"HTTP/1.0 200 OK\r\n\r\n" + body], True)) as (url, connections),
        poster(url) as it,
    ):
        assert (await it.post(b"abc")).body == b"abc"
        assert (await it.post(b"def")).body == b"def"
    assert connections == [1, 1]


async def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    def closing(body: bytes) -> tuple[list[bytes], bool]:
        return plain(body)[0], True

    async with server(closing) as (url, connections), poster(url) as it:
        for n in range(3):
            assert (await it.post(b"%d" % n)).body == b"%d" % n
            await asyncio.sleep(0.05)  # the end of the connection has arrived
    assert connections == [1, 1, 1]


@pytest.mark.parametrize(
    "parts", [[], [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"], [b"nonsense\r\n\r\n"]]
)
async def test_an_end_without_a_whole_answer_is_an_error(parts: list[bytes]) -> None:
    async with server(lambda _: (parts, True)) as (url, _), poster(url) as it:
        with pytest.raises(OSError):  # noqa: PT011 - any of its kind
            await it.post(b"abc")


@pytest.mark.parametrize("field", ["content-length: -1", "transfer-encoding: chunked"])
async def test_a_length_below_zero_is_an_error(field: str) -> None:
    raw = f"HTTP/1.1 200 OK\r\n{field}\r\n\r\n-6\r\nabc\r\n0\r\n\r\n".encode()
    async with server(lambda _: ([raw], False)) as (url, _), poster(url) as it:
        with pytest.raises(OSError, match="a length of -"):
            await it.post(b"abc")


async def test_no_answer_in_time_is_a_timeout_and_costs_only_that_connection() -> None:
    silent = True

    def answer(body: bytes) -> tuple[list[bytes], bool]:
        return ([], False) if silent else plain(body)

    async with server(answer) as (url, connections), poster(url, 0.1) as it:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await it.post(b"abc")
        assert time.monotonic() - began < 2
        silent = False
        assert (await it.post(b"def")).body == b"def"
    assert connections == [1, 1]


async def test_nobody_listening_is_an_error() -> None:
    async with server(plain) as (url, _):
        pass
    async with poster(url) as it:
        with pytest.raises(OSError):  # noqa: PT011 - any of its kind
            await it.post(b"abc")


async def test_a_head_without_an_end_is_an_error() -> None:
    endless = b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000
    async with server(lambda _: ([endless], False)) as (url, _), poster(url) as it:
        with pytest.raises(OSError, match="its head does not end"):
            await it.post(b"abc")
