"""Where a bench run takes place: a server, stewards, members of ours and of the plain SDK's."""

import itertools
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.error import URLError
from urllib.request import urlopen

import msgspec

from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.processes import Process, Processes, free_port, wait_for
from resonate_fleet.contract.journal import AnyLine, BadLine, MemberReady, read
from resonate_fleet.contract.live import LiveState
from resonate_fleet.contract.tuning import SERVER_ENV

#: Whose worker serves a group.
Kind = Literal["ours", "plain"]
#: As in production of many small jobs: the journal's file is kept, the log is for warnings.
_QUIET = {"WORKER_LOG_LEVEL": "warning", "WORKER_LOG_FORMAT": "json"}
FUNCTIONS = "resonate_fleet.bench.functions"


@dataclass
class Member:
    """A worker process. `journal` is its file (ours only), `port` that of its metrics."""

    kind: Kind
    process: Process
    group: str
    slots: int
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
        page = _scrape(f"http://127.0.0.1:{self.port}/metrics")
        return sum(value for shown, value in _series(page, name) if labels in shown)


@dataclass
class Steward:
    """A steward process; `address` is that of its presence port."""

    process: Process
    port: int
    address: str

    def state(self) -> LiveState | None:
        """Return its live state, or None where it does not answer."""
        page = _scrape(f"http://127.0.0.1:{self.port}/state")
        return None if page is None else msgspec.json.decode(page, type=LiveState)


@dataclass
class Place:
    """A server and what was started beside it. Groups are new for each call of `new_group`.

    Members have the stewards that there are when they start.
    """

    url: str
    metrics_url: str | None
    server: Process | None
    processes: Processes
    what: str
    #: Starts the server; the place's own to restart.
    serve: Callable[[], Process] | None = None
    stewards: list[Steward] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_group(self, word: str) -> str:
        return f"bench-{word}-{next(self._numbers)}"

    def wire(self) -> CountedWire:
        return CountedWire(self.url)

    @contextmanager
    def members(
        self, kind: Kind, group: str, count: int, slots: int, **env: str
    ) -> Iterator[list[Member]]:
        """Run `count` members, all of them ready. Whoever is added to the list ends with them."""
        started = [self.start(kind, group, slots, **env) for _ in range(count)]
        try:
            for member in started:
                self.wait_ready(member)
            yield started
        finally:
            for member in started:
                member.process.end()

    def start(self, kind: Kind, group: str, slots: int, **env: str) -> Member:
        """Start a member without waiting for it; `env` is for ours."""
        name = f"{kind}-{next(self._numbers)}"
        if kind == "plain":
            asked = self.url, group, str(slots)
            process = self.processes.python(name, "resonate_fleet.bench.plain", {}, *asked)
            return Member(kind, process, group, slots, name)
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
            "WORKER_STEWARD": ",".join(steward.address for steward in self.stewards),
            "WORKER_FUNCTIONS": FUNCTIONS,
            **env,
        }
        process = self.processes.python(name, "resonate_fleet.member", settings)
        return Member(kind, process, group, slots, name, port, folder)

    def wait_ready(self, member: Member) -> None:
        """Wait until the member takes jobs."""

        def ready() -> bool:
            if member.kind == "plain":
                return "SSE connection established" in member.process.log.read_text()
            return any(isinstance(line, MemberReady) for line in member.journal())

        wait_for(member.name, ready, member.process)

    @contextmanager
    def with_stewards(self, count: int = 1) -> Iterator[list[Steward]]:
        """Run stewards, the longest-standing first; members that start meanwhile know them."""
        try:
            for _ in range(count):
                self.stewards.append(self.start_steward())
            yield self.stewards
        finally:
            while self.stewards:
                self.stewards.pop().process.end()

    def start_steward(self, presence: int = 0) -> Steward:
        """Start a steward, at a presence port that is known already if one is given."""
        port, presence = free_port(), presence or free_port()
        settings = {
            "RESONATE_URL": self.url,
            "STEWARD_NAME": f"steward-{next(self._numbers)}",
            "STEWARD_HOST": "127.0.0.1",
            "STEWARD_PORT": str(port),
            "STEWARD_PRESENCE_PORT": str(presence),
            "STEWARD_LOG_FORMAT": "json",
        }
        process = self.processes.python("steward", "resonate_fleet.steward", settings)
        wait_for("the steward", lambda: _accepts(presence), process)
        return Steward(process, port, f"127.0.0.1:{presence}")

    def restart(self, steward: Steward) -> Steward:
        """Start a steward where that one, which has ended, was; it is the youngest now."""
        fresh = self.start_steward(int(steward.address.rpartition(":")[2]))
        self.stewards.remove(steward)
        self.stewards.append(fresh)
        return fresh

    def restart_server(self) -> None:
        """Kill the server, if it is ours, and start it on its store."""
        if self.server and self.serve:
            self.server.kill()
            self.server = self.serve()

    def server_requests(self) -> Counter[tuple[str, str]]:
        """Return how many requests the server has had, by kind and status."""
        page = _scrape(self.metrics_url)
        counts: Counter[tuple[str, str]] = Counter()
        for labels, value in _series(page, "resonate_request_total"):
            named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            counts[named.get("kind", ""), named.get("status", "")] += int(value)
        return counts


class Requests:
    """What the server was asked since, less what the bench itself asked but for creations."""

    def __init__(self, place: Place, wire: CountedWire) -> None:
        self._place, self._wire = place, wire
        self._before, self._own = place.server_requests(), self._asked()

    def _asked(self) -> int:
        return self._wire.sent.total() - self._wire.sent["promise.create"]

    def total(self) -> int:
        since = self._place.server_requests() - self._before
        return since.total() - (self._asked() - self._own)

    def refused_claims(self) -> float:
        """Return the refused share of all claims."""
        since = self._place.server_requests() - self._before
        refused, granted = since["task.acquire", "409"], since["task.acquire", "200"]
        return refused / max(1, refused + granted)


class Spent:
    """Processor seconds that processes take from here on."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes, self._began = processes, time.monotonic()
        self._before = self._sum()

    def _sum(self) -> float:
        return sum(one.cpu_seconds() for one in self._processes)

    def seconds(self) -> float:
        return self._sum() - self._before

    def share(self) -> float:
        """Return the share of one core."""
        return self.seconds() / (time.monotonic() - self._began)


def open_place(
    stack: ExitStack,
    folder: Path,
    url: str | None = None,
    binary: str | None = None,
    store: str = ":memory:",
) -> Place:
    """Start a server, unless `url` names one: `binary`, or else the embedded one.

    `store` is a SQLite file or, for the real server, a PostgreSQL URL.
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
        **_storage(store),
    }
    address = f"http://127.0.0.1:{port}"

    def serve() -> Process:
        embedded = [sys.executable, "-m", "resonate_fleet.server"]
        server = processes.start("server", [binary, "serve"] if binary else embedded, settings)
        wait_for("the server", lambda: _scrape(f"{address}/ready") is not None, server)
        return server

    what = "real server" if binary else "embedded server"
    shown = f"http://127.0.0.1:{metrics}/metrics"
    return Place(address, shown, serve(), processes, what, serve)


def _storage(store: str) -> dict[str, str]:
    if "://" in store:
        return {"RESONATE_STORAGE__TYPE": "postgres", "RESONATE_STORAGE__POSTGRES__URL": store}
    path = store if store == ":memory:" else str(Path(store).resolve())
    return {"RESONATE_STORAGE__SQLITE__PATH": path}


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
    except (URLError, OSError, ValueError):
        return None


def _series(page: str | None, name: str) -> list[tuple[str, float]]:
    """Return the labels and the value of each series of a metric."""
    line = re.compile(rf"^{name}(\{{[^}}]*\}})? ([0-9.e+-]+)", re.MULTILINE)
    return [(shown, float(value)) for shown, value in line.findall(page or "")]
