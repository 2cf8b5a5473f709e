"""The console as it answers on the wire: its guards, its streams, its acts."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from unittest.mock import AsyncMock, Mock, call

import aiohttp
import pytest

from resonate_fleet.commands.addresses import Addresses
from resonate_fleet.commands.state_stream import StateStream
from resonate_fleet.contract.live import LiveState
from resonate_fleet.contract.pages import Page
from resonate_fleet.contract.sockets import MOST_STRANGERS
from resonate_fleet.steward.console import (
    LARGEST,
    MOST_STREAMS,
    Console,
    ConsoleOptions,
    Endpoints,
    Refusal,
)
from resonate_fleet.steward.guards import ConnectionLimit
from resonate_fleet.steward.live import Feed
from tests.support.idle import idle_connections, still_open
from tests.support.played import Played
from tests.support.waiting import wait_until, wait_until_async

TOKEN = "open-sesame"


class Scene:
    """A console over a played fleet, and an HTTP client."""

    def __init__(
        self,
        console: Console,
        fleet: Played,
        http: aiohttp.ClientSession,
        acted: list[tuple[list[str], str]],
    ) -> None:
        self.console = console
        self.fleet = fleet
        self.http = http
        self.port = console.port
        self.url = f"http://127.0.0.1:{console.port}"
        self.acted = acted
        self.asked: list[Mapping[str, str]] = []
        #: A question for "held" waits for it.
        self.answer = asyncio.Event()

    async def get(self, path: str, **headers: str) -> tuple[int, str, Mapping[str, str]]:
        async with self.http.get(f"{self.url}{path}", headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers

    async def act(self, name: str, body: str, **headers: str) -> tuple[int, Any]:
        asked = self.http.post(f"{self.url}/acts/{name}", data=body, headers=headers)
        async with asked as answer:
            return answer.status, await answer.json(content_type=None)


@contextlib.asynccontextmanager
async def opened(options: ConsoleOptions, members: int = 3) -> AsyncIterator[Scene]:
    fleet = Played(members, 1, time.time())
    fleet.submit(2 * members)
    fleet.step(0.1)

    async def echo(given: Mapping[str, str]) -> Any:
        if given.get("search") == "held":
            asked.append(given)
            await it.answer.wait()
        if given.get("search") == "nothing":
            raise Refusal(404, "no such job")
        return {"jobs": [], "more": False, "asked": dict(given)}

    async def cancel(jobs: list[str], who: str) -> Any:
        acted.append((jobs, who))
        return {"cancelled": jobs}

    acted: list[tuple[list[str], str]] = []
    asked: list[Mapping[str, str]] = []
    feed = Feed(fleet.state, {"acts": bool(options.token)})
    endpoints = Endpoints(
        feed, {"/livez": lambda _: Page("ok\n")}, {"jobs": echo}, {"cancel": cancel}
    )
    with Console(("127.0.0.1", 0), options, endpoints) as console:
        async with aiohttp.ClientSession() as http:
            it = Scene(console, fleet, http, acted)
            it.asked = asked
            yield it


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened(ConsoleOptions(token=TOKEN, hosts=("fleet.example.org",))) as it:
        yield it


async def events(scene: Scene, wanted: int) -> list[tuple[str, Any]]:
    """Return the first messages of a stream."""
    found: list[tuple[str, Any]] = []
    async with scene.http.get(f"{scene.url}/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        name = ""
        async for raw in answer.content:
            line = raw.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
                if len(found) == wanted:
                    return found
    raise AssertionError("the stream ended early")


async def test_a_stream_begins_with_the_whole_and_goes_on_with_what_is_new(scene: Scene) -> None:
    reading = asyncio.create_task(events(scene, 4))
    while not reading.done():
        scene.fleet.step(0.4)
        await asyncio.sleep(0.1)
    (first, state), *later = await reading
    assert first == "state"
    assert {one["member"] for one in state["members"]} == {"worker-1", "worker-2", "worker-3"}
    assert {name for name, _ in later} == {"change"}
    known = {(one["task"], one["attempt"]) for one in state["running"] + state["ended"]}
    fresh = [
        (one["task"], one["attempt"])
        for _, news in later
        for one in news.get("running", []) + news.get("ended", [])
    ]
    assert fresh
    ended = {(one.task, one.attempt) for one in scene.fleet.ended}
    assert set(fresh) <= ended | {(one.task, one.attempt) for one in scene.fleet.running.values()}
    assert len(known | set(fresh)) > len(known)


async def test_top_knows_what_the_steward_knows_by_the_stream(scene: Scene) -> None:
    with StateStream(scene.url) as stream:
        for _ in range(8):
            scene.fleet.step(0.4)
            await asyncio.sleep(0.1)
        scene.fleet.kill("worker-2")
        wanted = scene.fleet.state()

        def same() -> bool:
            state = stream.state()
            return state is not None and state.members == wanted.members

        await asyncio.to_thread(wait_until, same, 10, "the last state has come")
        state = stream.state()
        assert state is not None
        assert sorted(state.running, key=str) == sorted(wanted.running, key=str)
        assert state.groups == wanted.groups


async def test_a_console_that_cannot_be_put_together_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for it for ever."""
    monkeypatch.setattr(Console, "_app", Mock(side_effect=PermissionError("no assets")))
    with pytest.raises(PermissionError, match="no assets"):
        async with opened(ConsoleOptions()):
            pass


async def test_a_console_whose_loop_fails_says_so_and_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Mock()  # how logging is set up is other tests' matter
    monkeypatch.setattr("structlog.get_logger", lambda: log)
    monkeypatch.setattr(Console, "_send_changes", AsyncMock(side_effect=ZeroDivisionError))
    async with opened(ConsoleOptions()) as scene:
        await wait_until_async(lambda: log.mock_calls, 10, "it says so")
        with pytest.raises(aiohttp.ClientConnectionError):
            await scene.get("/livez")
    assert log.mock_calls == [call.exception("console.failed")]


async def test_streams_go_on_after_a_state_that_could_not_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, stuck = Played.state, list[bool]()

    def take(fleet: Played) -> LiveState:
        if stuck:
            stuck.clear()
            raise TimeoutError
        return state(fleet)

    monkeypatch.setattr(Played, "state", take)
    async with opened(ConsoleOptions()) as scene:
        reading = asyncio.create_task(events(scene, 8))
        await wait_until_async(lambda: scene.console.streams, 10, "it listens")
        stuck.append(True)
        await wait_until_async(lambda: not stuck, 10, "the state cannot be had")
        assert not reading.done()
        assert len(await asyncio.wait_for(reading, 10)) == 8


async def test_a_page_may_do_nothing_that_its_policy_does_not_name(scene: Scene) -> None:
    status, text, headers = await scene.get("/")
    assert status == 200
    assert "<script>" not in text
    assert "style=" not in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost", 200),
        ("[::1]:9465", 200),
        ("steward:9465", 200),
        ("steward.resonate-fleet.svc.cluster.local", 200),
        ("fleet.example.org", 200),
        ("rebound.attacker.example", 403),
        ("127.0.0.1.attacker.example", 403),
        ("fleet.example.org.attacker.example", 403),
    ],
)
async def test_only_names_that_no_stranger_gives_are_answered(
    scene: Scene, host: str, status: int
) -> None:
    assert (await scene.get("/jobs", Host=host))[0] == status


@pytest.mark.parametrize("path", ["/", "/jobs", "/events", "/livez"])
async def test_another_sites_page_is_refused(scene: Scene, path: str) -> None:
    status, text, _ = await scene.get(path, Origin="https://attacker.example")
    assert status == 403
    assert "another site" in text


async def test_acts_need_the_token(scene: Scene) -> None:
    body = json.dumps({"jobs": ["a", "b"]})
    assert (await scene.act("cancel", body))[0] == 401
    assert (await scene.act("cancel", body, Authorization="Bearer wrong"))[0] == 401
    assert scene.acted == []
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert await scene.act("cancel", body, **right) == (200, {"cancelled": ["a", "b"]})
    assert scene.acted == [(["a", "b"], "127.0.0.1")]
    assert (await scene.act("conquer", body, **right))[0] == 404
    assert (await scene.act("cancel", "{}", **right))[0] == 400
    foreign = {**right, "Origin": "https://attacker.example"}
    assert (await scene.act("cancel", body, **foreign))[0] == 403
    assert len(scene.acted) == 1


@pytest.mark.parametrize("body", [b'"\xff"', b'{"x":' + b"[" * 60_000])
async def test_nonsense_for_a_body_is_refused(scene: Scene, body: bytes) -> None:
    right = {"Authorization": f"Bearer {TOKEN}"}
    async with scene.http.post(f"{scene.url}/acts/cancel", data=body, headers=right) as answer:
        assert answer.status == 400
    assert scene.acted == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /acts/cancel HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff", 401),
        (b"GET /jobs HTTP/1.1\r\nHost: \xff.example", 403),
        (b"GET /jobs HTTP/1.1\r\nHost: [x", 403),
        (b"GET /jobs HTTP/1.1\r\nHost: ", 403),
        (b"GET /jobs HTTP/1.1\r\nHost: \r\nOrigin: null", 403),
        (b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\xff", 403),
        (b"GET /jobs?search=%ff HTTP/1.1\r\nHost: localhost", 200),
    ],
)
async def test_stray_bytes_are_answered(scene: Scene, head: bytes, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(head + b"\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer


async def test_without_a_token_nothing_can_be_done() -> None:
    async with opened(ConsoleOptions()) as scene:
        status, answer = await scene.act("cancel", '{"jobs": ["a"]}', Authorization="Bearer ")
        assert status == 403
        assert "STEWARD_CONSOLE_TOKEN" in answer["error"]
        assert scene.acted == []
        _, state = (await events(scene, 1))[0]
        assert state["acts"] is False


async def test_a_question_that_is_refused_is_one_line(scene: Scene) -> None:
    status, text, _ = await scene.get("/jobs?search=nothing")
    assert (status, json.loads(text)) == (404, {"error": "no such job"})


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/__init__.py",
        "/web/app.js",
        "//etc/passwd",
    ],
)
async def test_no_path_leads_out_of_the_assets(scene: Scene, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert b"root:" not in answer


async def test_huge_headers_and_bodies_are_refused(scene: Scene) -> None:
    status, _, _ = await scene.get("/jobs", Accept="x" * 100_000)
    assert status == 400
    right = {"Authorization": f"Bearer {TOKEN}"}
    body = json.dumps({"jobs": ["x" * LARGEST]})
    assert (await scene.act("cancel", body, **right))[0] == 413
    assert scene.acted == []


@pytest.mark.usefixtures("many_files")
async def test_a_thousand_connections_that_say_nothing_keep_nobody_away(scene: Scene) -> None:
    with idle_connections(scene.port, 1000) as idle:
        assert (await scene.get("/livez"))[:2] == (200, "ok\n")
        assert (await events(scene, 1))[0][0] == "state"
        await wait_until_async(
            lambda: still_open(idle) <= MOST_STRANGERS, 10, "most of them are ended"
        )


@pytest.mark.usefixtures("many_files")
async def test_a_connection_that_has_asked_is_not_the_one_that_is_ended(scene: Scene) -> None:
    held = asyncio.create_task(scene.get("/jobs?search=held"))
    await wait_until_async(lambda: bool(scene.asked), 10, "the question")
    with idle_connections(scene.port, 1000) as idle:
        await wait_until_async(
            lambda: still_open(idle) <= MOST_STRANGERS, 10, "most of them are ended"
        )
        scene.answer.set()
        assert (await held)[0] == 200
    assert len(scene.asked) == 1, "the client asked again"


def test_room_is_made_as_a_connection_comes() -> None:
    """At 500 a second a look four times a second is too late for 100 descriptors."""
    old, young = Mock(), Mock()
    server = Mock(connections=[old, young])
    ConnectionLimit(2).watch(server)
    server.connections.append(Mock())
    server.connection_made(server.connections[-1], Mock())
    assert [one.force_close.called for one in server.connections] == [True, False, False]


async def test_no_proxy_of_the_environment_is_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    where = Addresses(server="http://127.0.0.1:9", token=None, steward=scene.url)
    answer = await asyncio.to_thread(where.ask_steward, "jobs", dict[str, Any])
    assert answer is not None
    assert answer["jobs"] == []
    with StateStream(scene.url) as stream:
        assert await asyncio.to_thread(stream.state) is not None


async def test_streams_are_bounded(scene: Scene) -> None:
    async with contextlib.AsyncExitStack() as stack:
        connections = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connections))
        for _ in range(MOST_STREAMS):
            answer = await stack.enter_async_context(http.get(f"{scene.url}/events"))
            assert answer.status == 200
        async with http.get(f"{scene.url}/events") as one_more:
            assert one_more.status == 503


async def test_a_reader_that_does_not_read_is_cut_off() -> None:
    async with opened(ConsoleOptions(), members=500) as scene:
        await cut_off(scene)


async def cut_off(scene: Scene) -> None:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    slow.connect(("127.0.0.1", scene.port))
    slow.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with slow:
        await asyncio.to_thread(wait_until, lambda: scene.console.streams, 10, "it listens")
        async with asyncio.timeout(60):
            while scene.console.streams:
                scene.fleet.submit(300)
                scene.fleet.step(10)
                status, _, _ = await scene.get("/livez")
                assert status == 200, "others are served meanwhile"
                await asyncio.sleep(0.05)
