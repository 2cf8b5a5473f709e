"""What is no proper request gets the real server's status, and harms nothing."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from resonate_fleet.contract.words import PROTOCOL
from tests.support.processes import Processes
from tests.support.servers import Server, ServerKind, kinds

LATER = 99_999_999_999_999
HEAD = {"corrId": "c", "version": PROTOCOL}
TARGET = {"resonate:target": "poll://any@g"}
KEPT = {"id": "kept", "timeoutAt": LATER, "tags": TARGET}


@pytest.fixture(scope="module", params=kinds())
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server for the whole file, with one job that nothing here may harm."""
    kind: ServerKind = request.param
    with Processes(tmp_path_factory.mktemp(f"requests-{kind}")) as processes:
        server = Server(kind, processes)
        assert server.call("promise.create", **KEPT)[0] == 200
        yield server
        assert server.task("kept") == {"id": "kept", "state": "pending", "version": 0, "resumes": 0}
        promise = server.promise("kept")
        assert promise is not None
        assert promise["state"] == "pending"


def exchange(
    server: Server, body: str | bytes, method: str = "POST", path: str = "/"
) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def envelope(kind: Any, data: Any, **head: Any) -> str:
    return json.dumps({"kind": kind, "head": HEAD | head, "data": data})


ENVELOPES = {
    "empty": "",
    "not JSON": "{",
    "not UTF-8": b'{"kind": "\xff"}',
    "half a character": '{"kind": "\\ud800", "head": {}, "data": {}}',
    "more after the end": envelope("promise.get", {"id": "kept"}) + "}",
    "a list": "[]",
    "a number": "1",
    "no kind": json.dumps({"head": HEAD, "data": {}}),
    "kind of no text": envelope(7, {}),
    "empty kind": envelope("", {}),
    "no head": json.dumps({"kind": "promise.get", "data": {"id": "kept"}}),
    "head of no object": json.dumps({"kind": "promise.get", "head": 1, "data": {"id": "kept"}}),
    "no version": json.dumps({"kind": "promise.get", "head": {"corrId": "c"}, "data": {}}),
    "no corrId": json.dumps({"kind": "promise.get", "head": {"version": PROTOCOL}, "data": {}}),
    "wrong version": envelope("promise.get", {"id": "kept"}, version="2020-01-01"),
    "version of no text": envelope("promise.get", {"id": "kept"}, version=1),
    "no data": json.dumps({"kind": "promise.get", "head": HEAD}),
    "data null": envelope("promise.get", None),
    "data a list": envelope("promise.get", []),
    "data a text": envelope("promise.get", "kept"),
    "deep": '{"kind": ' + "[" * 200_000,
}


@pytest.mark.parametrize("body", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_no_envelope_gets_400(running: Server, body: str | bytes) -> None:
    status, answer = exchange(running, body)
    reply = json.loads(answer)
    assert (status, reply["head"]["status"]) == (400, 400)
    assert reply["head"]["version"] == PROTOCOL
    assert isinstance(reply["data"], str)


def test_a_refused_envelope_is_answered_under_its_own_name(running: Server) -> None:
    answer = exchange(running, envelope("promise.get", None, corrId="mine"))[1]
    reply = json.loads(answer)
    assert (reply["kind"], reply["head"]["corrId"]) == ("promise.get", "mine")
    reply = json.loads(exchange(running, "{")[1])
    assert (reply["kind"], reply["head"]["corrId"]) == ("unknown", "0")


def create(**change: Any) -> dict[str, Any]:
    return {"id": "x", "timeoutAt": LATER, "tags": {}} | change


def action(kind: str = "promise.create", **data: Any) -> dict[str, Any]:
    return {"kind": kind, "head": {}, "data": data}


BEAT = {"id": "kept", "version": 0}
REQUESTS: list[tuple[str, Any, int]] = [
    ("no.such.kind", {}, 400),
    ("debug.reset", {}, 403),
    ("debug.tick", {"time": 1}, 403),
    ("promise.get", {}, 400),
    ("promise.get", {"id": ""}, 400),
    ("promise.get", {"id": 1}, 400),
    ("promise.get", {"id": None}, 400),
    ("promise.get", {"id": "absent", "extra": True}, 404),
    ("promise.create", {"id": "x"}, 400),
    ("promise.create", create(timeoutAt=-1), 400),
    ("promise.create", create(timeoutAt=1.0), 400),
    ("promise.create", create(timeoutAt="1"), 400),
    ("promise.create", create(timeoutAt=True), 400),
    ("promise.create", create(timeoutAt=2**63), 400),
    ("promise.create", create(id="a\0b"), 400),
    ("promise.create", create(tags=None), 400),
    ("promise.create", create(tags={"a": 1}), 400),
    ("promise.create", create(tags=["a"]), 400),
    ("promise.create", create(param=None), 400),
    ("promise.create", create(param={"data": 1}), 400),
    ("promise.create", create(param={"headers": {"a": 1}}), 400),
    ("promise.create", create(param={"headers": None, "data": None}, timeoutAt=0), 200),
    ("promise.create", create(tags={"resonate:target": ""}), 400),
    ("promise.create", create(tags={"resonate:target": "workers"}), 400),
    ("promise.create", create(tags={"resonate:target": "poll://all@g"}), 400),
    ("promise.create", create(tags={"resonate:target": "poll://any@"}), 400),
    ("promise.create", create(tags={"resonate:target": "poll://g"}), 400),
    ("promise.create", create(tags={"resonate:target": "ftp://host/x"}), 400),
    ("promise.create", create(tags={"resonate:target": "http://"}), 400),
    ("promise.create", create(tags={"resonate:target": "gcps://project"}), 400),
    ("promise.create", create(id="h", tags={"resonate:target": "http://127.0.0.1:9/x"}), 200),
    ("promise.create", create(id="p", tags={"resonate:target": "poll://any@g/m"}), 200),
    ("promise.settle", {"id": "kept", "state": "pending"}, 400),
    ("promise.settle", {"id": "kept", "state": "rejected_timedout"}, 400),
    ("promise.settle", {"id": "kept"}, 400),
    ("promise.settle", {"id": "absent", "state": "resolved"}, 404),
    ("promise.register_callback", {"awaited": "kept", "awaiter": "kept"}, 400),
    ("promise.register_callback", {"awaited": "kept", "awaiter": "absent"}, 422),
    ("promise.register_listener", {"awaited": "kept", "address": "nowhere"}, 400),
    ("promise.register_listener", {"awaited": "kept"}, 400),
    ("promise.search", {"limit": 0}, 400),
    ("promise.search", {"limit": 1001}, 400),
    ("promise.search", {"limit": "1"}, 400),
    ("promise.search", {"state": "done"}, 400),
    ("promise.search", {"state": None, "tags": None, "limit": None, "cursor": None}, 200),
    ("task.get", {"id": "absent"}, 404),
    ("task.create", {"pid": "p", "ttl": 1, "action": action(**create())}, 400),
    ("task.create", {"pid": "p", "ttl": 1, "action": {"data": create(tags=TARGET)}}, 400),
    ("task.create", {"pid": "", "ttl": 1, "action": action(**create(tags=TARGET))}, 400),
    ("task.acquire", {"id": "kept", "version": 0, "pid": "p"}, 400),
    ("task.acquire", {"id": "kept", "version": 0, "pid": "p", "ttl": 0}, 400),
    ("task.acquire", {"id": "kept", "version": -1, "pid": "p", "ttl": 1}, 400),
    ("task.acquire", {"id": "kept", "version": 0, "pid": "", "ttl": 1}, 400),
    ("task.acquire", {"id": "kept", "version": 1, "pid": "p", "ttl": 1}, 409),
    ("task.release", {"id": "kept", "version": 0}, 409),
    ("task.release", {"id": "absent", "version": 0}, 404),
    ("task.fulfill", {"id": "kept", "version": 0}, 400),
    (
        "task.fulfill",
        {"id": "kept", "version": 0, "action": action(id="other", state="resolved")},
        400,
    ),
    (
        "task.fulfill",
        {"id": "kept", "version": 0, "action": action(id="kept", state="resolved")},
        409,
    ),
    ("task.suspend", {"id": "kept", "version": 0, "actions": []}, 400),
    (
        "task.suspend",
        {"id": "kept", "version": 0, "actions": [action(awaited="a", awaiter="b")]},
        400,
    ),
    ("task.fence", {"id": "kept", "version": 0, "action": action("promise.get", id="x")}, 400),
    ("task.fence", {"id": "kept", "version": 0, "action": action(**create(id="kept"))}, 400),
    ("task.fence", {"id": "kept", "version": 0, "action": action(**create())}, 409),
    ("task.fence", {"id": "kept", "version": 0, "action": {"kind": "promise.create"}}, 400),
    (
        "task.fence",
        {"id": "kept", "version": 0, "action": {"kind": "promise.create", "data": []}},
        400,
    ),
    ("task.heartbeat", {"pid": "p"}, 400),
    ("task.heartbeat", {"pid": "", "tasks": []}, 400),
    ("task.heartbeat", {"pid": "p", "tasks": []}, 200),
    ("task.heartbeat", {"pid": "p", "tasks": [BEAT, {"id": "other", "version": -1}]}, 200),
    ("task.heartbeat", {"pid": "p", "tasks": [{"id": "kept"}]}, 400),
    ("task.halt", {"id": ""}, 400),
    ("task.continue", {"id": "kept"}, 409),
    ("task.search", {"state": "done"}, 400),
    ("task.search", {"limit": -1}, 400),
    ("task.search", {"cursor": 1}, 400),
]


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    REQUESTS,
    ids=[f"{kind} {json.dumps(data)[:60]}" for kind, data, _ in REQUESTS],
)
def test_a_request_that_does_not_fit_gets_its_status(
    running: Server, kind: str, data: Any, expected: int
) -> None:
    status, answer = exchange(running, envelope(kind, data))
    reply = json.loads(answer)
    assert (status, reply["head"]["status"]) == (expected, expected), reply["data"]
    assert (reply["kind"], reply["head"]["corrId"]) == (kind, "c")


PAGES = [
    ("GET", "/", 405),
    ("PUT", "/", 405),
    ("GET", "/nowhere", 404),
    ("GET", "/poll/group", 404),
    ("POST", "/poll/group/member", 405),
    ("GET", "/promises", 410),
    ("POST", "/tasks/claim", 410),
    ("DELETE", "/schedules/x", 410),
    ("GET", "/health", 200),
    ("HEAD", "/health", 200),
    ("GET", "/ready", 200),
    ("POST", "/ready", 405),
]


@pytest.mark.parametrize(("method", "path", "expected"), PAGES)
def test_pages_answer_as_the_real_servers(
    running: Server, method: str, path: str, expected: int
) -> None:
    assert exchange(running, "", method, path)[0] == expected


def test_a_body_may_be_two_mebibytes_long(running: Server) -> None:
    large = envelope("promise.get", {"id": "absent", "padding": "x" * (2 * 1024 * 1024 - 200)})
    assert exchange(running, large)[0] == 404
    assert exchange(running, large + " " * 400)[0] == 413
