"""Where a bench run takes place: a server, members of ours and of the plain SDK's beside it."""

import asyncio
import itertools
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.error import URLError
from urllib.request import urlopen

from resonate_fleet.bench.processes import Process, Processes, free_port, wait_for
from resonate_fleet.contract.journal import AnyLine, BadLine, read
from resonate_fleet.contract.tuning import SERVER_ENV

#: Whose worker serves a group.
Kind = Literal["ours", "plain"]
#: Ours bodies that block run on threads; nothing is logged below warnings, as in production of
#: many small jobs, where the journal file is kept.
_QUIET = {"WORKER_LOG_LEVEL": "warning", "WORKER_LOG_FORMAT": "json"}


@dataclass
class Member:
    """A worker process. `journal` is its file (ours only), `port` that of its metrics."""

    kind: Kind
    process: Process
    group: str
    name: str = ""
    port: int = 0
    folder: Path = field(default_factory=Path)

    def journal(self) -> list[AnyLine]:
        """Return the lines that this member has written so far."""
        return [
            line
            for file in self.folder.glob(f"{self.name}-*.jsonl")
            for line in read(file.read_text().splitlines(), file.name)
            if not isinstance(line, BadLine)
        ]

    def metric(self, name: str, labels: str = "") -> float:
        """Return the sum of a metric's series whose labels contain `labels`."""
        return _sum(_scrape(f"http://127.0.0.1:{self.port}/metrics"), name, labels)


@dataclass
class Place:
    """A server and what was started beside it. Groups are new for each call of `new_group`."""

    url: str
    metrics_url: str | None
    server: Process | None
    processes: Processes
    what: str
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_group(self, word: str) -> str:
        return f"bench-{word}-{next(self._numbers)}"

    def members(self, kind: Kind, group: str, count: int, slots: int, **env: str) -> list[Member]:
        """Start `count` members and wait until all of them are ready."""
        started = [self.start(kind, group, slots, **env) for _ in range(count)]
        for member in started:
            self.wait_ready(member)
        return started

    def start(self, kind: Kind, group: str, slots: int, **env: str) -> Member:
        """Start a member without waiting for it; `env` is for ours."""
        name = f"{kind}-{next(self._numbers)}"
        if kind == "plain":
            process = self.processes.python(
                name, "resonate_fleet.bench.plain", {}, self.url, group, str(slots)
            )
            return Member(kind, process, group, name)
        port, folder = free_port(), self.processes.folder / "journal"
        settings = {
            **_QUIET,
            "RESONATE_URL": self.url,
            "WORKER_GROUP": group,
            "WORKER_SLOTS": str(slots),
            "WORKER_NAME": name,
            "WORKER_PORT": str(port),
            "WORKER_JOURNAL": str(folder),
            "WORKER_DRAIN": "0",
            **env,
        }
        process = self.processes.python(name, "resonate_fleet.member", settings)
        return Member(kind, process, group, name, port, folder)

    def wait_ready(self, member: Member) -> None:
        """Wait until hints reach the member."""

        def ready() -> bool:
            if member.kind == "plain":
                return "SSE connection established" in member.process.log.read_text()
            return any(type(line).__name__ == "MemberReady" for line in member.journal())

        wait_for(member.name, ready, member.process)

    @contextmanager
    def steward(self) -> Iterator[str]:
        """Run a steward; yield the address of its presence port."""
        port = free_port()
        settings = {
            "RESONATE_URL": self.url,
            "STEWARD_HOST": "127.0.0.1",
            "STEWARD_PORT": str(free_port()),
            "STEWARD_PRESENCE_PORT": str(port),
            "STEWARD_LOG_FORMAT": "json",
        }
        process = self.processes.python("steward", "resonate_fleet.steward", settings)
        wait_for("the steward", lambda: _accepts(port), process)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.end()

    async def replace(self, member: Member, after: float, **env: str) -> tuple[float, Member]:
        """Kill `member` after so many seconds and start another one like it.

        Return when the one was killed (Unix seconds), and the other, ready.
        """
        await asyncio.sleep(after)
        at = time.time()
        member.process.kill()
        added = self.start(member.kind, member.group, 1, **env)
        await asyncio.to_thread(self.wait_ready, added)
        return at, added

    def server_metric(self, name: str, labels: str = "") -> float:
        """Return the sum of one of the server's metrics; 0 where they cannot be had."""
        return _sum(_scrape(self.metrics_url), name, labels) if self.metrics_url else 0.0


def end(members: list[Member]) -> None:
    """End the members, so that they cost the next measure nothing."""
    for member in members:
        member.process.end()


def open_place(
    stack: ExitStack, folder: Path, url: str | None = None, binary: str | None = None, **env: str
) -> Place:
    """Start a server, unless `url` names one: `binary`, or else the embedded one.

    `env` adds to the settings that the fleet runs servers with.
    """
    processes = stack.enter_context(Processes(folder))
    if url is not None:
        return Place(url, None, None, processes, url)
    port, metrics = free_port(), free_port()
    settings = {
        **SERVER_ENV,
        "RESONATE_SERVER__PORT": str(port),
        "RESONATE_SERVER__HOST": "127.0.0.1",
        "RESONATE_SERVER__BIND": "127.0.0.1",
        "RESONATE_OBSERVABILITY__METRICS_PORT": str(metrics),
        "RESONATE_STORAGE__SQLITE__PATH": ":memory:",
        **env,
    }
    embedded = [sys.executable, "-m", "resonate_fleet.server"]
    server = processes.start("server", [binary, "serve"] if binary else embedded, settings)
    address = f"http://127.0.0.1:{port}"
    wait_for("the server", lambda: _scrape(f"{address}/ready") is not None, server)
    what = "real server" if binary else "embedded server"
    return Place(address, f"http://127.0.0.1:{metrics}/metrics", server, processes, what)


def storage(store: str) -> dict[str, str]:
    """Return the server's settings for a store: a SQLite file, or a PostgreSQL URL."""
    if "://" in store:
        return {"RESONATE_STORAGE__TYPE": "postgres", "RESONATE_STORAGE__POSTGRES__URL": store}
    return {"RESONATE_STORAGE__SQLITE__PATH": str(Path(store).resolve())}


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _scrape(url: str | None) -> str | None:
    try:
        with urlopen(url or "", timeout=5) as answer:  # noqa: S310 - our own processes
            return str(answer.read().decode())
    except (URLError, OSError):
        return None


def _sum(page: str | None, name: str, labels: str) -> float:
    line = re.compile(rf"^{name}(\{{[^}}]*\}})? ([0-9.e+-]+)", re.MULTILINE)
    found = line.findall(page or "")
    return sum(float(value) for shown, value in found if labels in shown)
