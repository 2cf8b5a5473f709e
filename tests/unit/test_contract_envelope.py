"""Where the wire client puts what the server reads."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from resonate_fleet.contract.blocking import BlockingWire
from resonate_fleet.contract.envelope import envelope
from resonate_fleet.contract.wire import Wire


class Listener(HTTPServer):
    """Answers every request with an empty reply and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        kind = self.server.seen[-1]["kind"]
        body = json.dumps({"kind": kind, "head": {"status": 200}, "data": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.02,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def test_a_token_travels_in_the_head_of_every_request(listener: Listener) -> None:
    with BlockingWire(f"http://127.0.0.1:{listener.server_port}", "secret-word") as wire:
        wire.call("promise.get", {"id": "a"})
    assert [one["head"]["auth"] for one in listener.seen] == ["secret-word"]


async def test_a_token_travels_in_the_head_of_the_asynchronous_wire_too(listener: Listener) -> None:
    async with Wire(f"http://127.0.0.1:{listener.server_port}", "secret-word") as wire:
        await wire.call("promise.get", {"id": "a"})
    assert [one["head"]["auth"] for one in listener.seen] == ["secret-word"]


def test_without_a_token_the_head_has_no_place_for_one() -> None:
    assert "auth" not in envelope("promise.get", {"id": "a"})["head"]
