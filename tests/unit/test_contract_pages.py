"""Pages under odd callers: cut connections, too many of them, no descriptor left, IPv6, forks."""

import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from unittest.mock import Mock

import pytest

from resonate_fleet.contract.pages import MOST, Page, Pages
from tests.support.idle import idle_connections, still_open
from tests.support.waiting import wait_until


def get(host: str, port: int, path: str = "/ok") -> tuple[int, bytes]:
    connection = HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def pages() -> Iterator[Pages]:
    handlers = {"/ok": lambda _: Page("fine\n"), "/large": lambda _: Page("x" * 20_000_000)}
    with Pages("127.0.0.1", 0, handlers) as served:
        yield served


def reset(port: int, path: str) -> None:
    """Ask for a page and reset the connection while it comes."""
    one = socket.create_connection(("127.0.0.1", port))
    one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def test_a_prober_that_resets_its_connection_is_no_news(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("structlog.get_logger", lambda: log)
    for _ in range(20):
        reset(pages.port, "/large")
    wait_until(lambda: len(log.mock_calls) == 20, 10, "each reset has been noticed")
    assert {what for what, _, _ in log.mock_calls} == {"debug"}
    assert get("127.0.0.1", pages.port) == (200, b"fine\n")


def test_connections_that_come_at_the_end_are_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(300):
        with Pages("127.0.0.1", 0, {}) as served:
            socket.create_connection(("127.0.0.1", served.port)).close()
    assert caplog.records == []


@pytest.mark.parametrize(
    "host",
    ["::1", "::", "127.0.0.1", "localhost", "0.0.0.0"],  # noqa: S104 - what is tested
)
def test_every_kind_of_address_can_be_bound(host: str) -> None:
    with Pages(host, 0, {"/ok": lambda _: Page("fine\n")}) as served:
        asked = "::1" if host in ("::1", "::") else "127.0.0.1"
        assert get(asked, served.port)[0] == 200
        if host == "::":
            assert get("127.0.0.1", served.port)[0] == 200


def test_a_taken_port_is_named(pages: Pages) -> None:
    with (
        pytest.raises(OSError, match=rf"127\.0\.0\.1:{pages.port}: Address already in use"),
        Pages("127.0.0.1", pages.port, {}),
    ):
        pass


def test_beyond_the_bound_of_idle_connections_pages_still_answer(pages: Pages) -> None:
    with idle_connections(pages.port, MOST + 3) as idle:
        wait_until(lambda: answers(pages), 60, "a page is answered")
        assert MOST - 3 <= still_open(idle) <= MOST, "only the oldest are ended, and at once"


def answers(pages: Pages) -> bool:
    with suppress(OSError, HTTPException):
        return get("127.0.0.1", pages.port)[0] == 200
    return False


#: Waits for a line, then asks for a page until it is answered.
ASKER = """
import sys
from http.client import HTTPConnection, HTTPException
sys.stdin.readline()
for _ in range(20):
    connection = HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=5)
    try:
        connection.request("GET", "/ok")
        sys.exit(connection.getresponse().status != 200)
    except (OSError, HTTPException):
        connection.close()
sys.exit(1)
"""


def test_without_a_descriptor_left_a_page_is_answered_all_the_same(pages: Pages) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A process of its own asks: a fork of this one would take its threads' locks along.
    command = [sys.executable, "-c", ASKER, str(pages.port)]
    taken: list[int] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as asker:
        # A few more than there are: the reserve, once given back, must lie below the limit.
        most = max(int(one.name) for one in Path("/proc/self/fd").iterdir()) + 10
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            assert asker.stdin is not None
            asker.stdin.write("go\n")
            asker.stdin.flush()  # closed, it would be a descriptor to have
            assert asker.wait(110) == 0
        finally:
            for fd in taken:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert taken, "it had descriptors to lose"


def test_a_forked_child_does_not_keep_the_port() -> None:
    (reader, writer), (told, tells) = os.pipe(), os.pipe()
    with Pages("127.0.0.1", 0, {"/ok": lambda _: Page("fine\n")}) as served:
        port = served.port
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.write(tells, b"!")  # what a fork closes in a child is closed by now
            os.read(reader, 1)  # until the parent ends it
            os._exit(0)
        os.read(told, 1)
    try:
        with Pages("127.0.0.1", port, {"/ok": lambda _: Page("again\n")}) as served:
            assert get("127.0.0.1", served.port) == (200, b"again\n")
    finally:
        os.close(writer)
        os.waitpid(child, 0)
        for end in (reader, told, tells):
            os.close(end)
