"""Where a bench run takes place: a server, stewards, members of ours and of the plain SDK's."""

import itertools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.processes import (
    Kind,
    Process,
    Processes,
    StewardProcess,
    WorkerProcess,
    page,
    wait_for,
)
from resonate_fleet.chaos.ports import HOST, free_port
from resonate_fleet.chaos.shape import Shape, server_env, worker_env
from resonate_fleet.contract.live import LiveState

#: As in production of many small jobs: the journal's file is kept, the log is for warnings.
_MEMBER_ENV = {
    "WORKER_LOG_LEVEL": "warning",
    "WORKER_DRAIN": "0",
    "WORKER_FUNCTIONS": "resonate_fleet.bench.functions",
}


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. `seeds` None: as many as the goals name.

    `store` and `empty` are files or URLs of stores: one with a history and one without.
    """

    server: str | None = None
    server_bin: str | None = None
    seeds: int | None = None
    jobs: int | None = None
    only: Kind | None = None
    store: str | None = None
    empty: str | None = None

    @property
    def kinds(self) -> Sequence[Kind]:
        return [self.only] if self.only else ["ours", "plain"]

    def times(self, usual: int) -> int:
        """Return how often to do what is done so often in 20 seeds."""
        return max(1, usual * (self.seeds or 20) // 20)


@dataclass
class BenchFleet:
    """Members of one group, all alike; `stewards` are those of the place, the oldest first."""

    group: str
    members: list[WorkerProcess]
    stewards: list[StewardProcess]
    start: Callable[[], WorkerProcess]

    def add(self) -> WorkerProcess:
        """Start one more member and wait until it takes jobs."""
        self.members.append(self.start())
        self.members[-1].wait_ready()
        return self.members[-1]

    def whole(self) -> bool:
        """Say whether each steward knows all the members."""
        return all(self._present(one.state()) == len(self.members) for one in self.stewards)

    def surveyed(self) -> bool:
        """Say whether the steward that serves has surveyed since the members came."""
        state = self.stewards[0].state()
        return state is not None and state.serving and state.complete

    def _present(self, state: LiveState | None) -> int:
        members = state.members if state else []
        return sum(one.group == self.group and one.state == "present" for one in members)


@dataclass
class BenchPlace:
    """A server and what was started beside it. `serve` starts the server, where it is ours."""

    url: str
    metrics_url: str | None
    processes: Processes
    what: str
    serve: Callable[[], Process] | None = None
    server: Process | None = None
    shape: Shape = field(default_factory=Shape)
    #: Settings of stewards that start from now on.
    steward_env: dict[str, str] = field(default_factory=dict)
    stewards: list[StewardProcess] = field(default_factory=list)
    wire: CountedWire = field(init=False)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.wire = CountedWire(self.url)
        self.server = self.serve() if self.serve else None

    def new_group(self, word: str) -> str:
        return f"bench-{word}-{next(self._numbers)}"

    @contextmanager
    def fleet(
        self,
        kind: Kind,
        members: int,
        slots: int,
        *,
        stewards: int = 1,
        group: str | None = None,
        **env: str,
    ) -> Iterator[BenchFleet]:
        """Run members of a new group (or of `group`), all ready, beside so many more stewards.

        The first survey of the steward is over: it would hold up the first jobs. Whoever is added
        to `members` ends with them; `env` is for ours.
        """
        group = group or self.new_group(kind)

        def start() -> WorkerProcess:
            return self._start(kind, group, slots, env)

        with self.with_stewards(stewards):
            fleet = BenchFleet(group, [], self.stewards, start)
            try:
                fleet.members += [start() for _ in range(members)]
                for member in fleet.members:
                    member.wait_ready()
                if kind == "ours" and members and self.stewards:
                    wait_for("a survey", fleet.surveyed, self.stewards[0].process)
                yield fleet
            finally:
                for member in fleet.members:
                    member.process.end()

    def _start(self, kind: Kind, group: str, slots: int, more: dict[str, str]) -> WorkerProcess:
        """Start a member without waiting for it; it has the stewards that there are now."""
        name = f"{kind}-{next(self._numbers)}"
        journal = self.processes.folder / name
        if kind == "plain":
            asked = self.url, group, str(slots)
            process = self.processes.python(name, "resonate_fleet.bench.plain", {}, *asked)
            return WorkerProcess(kind, name, process, journal)
        env = {
            **worker_env(self.shape, name, free_port(), journal),
            **_MEMBER_ENV,
            "RESONATE_URL": self.url,
            "WORKER_GROUP": group,
            "WORKER_SLOTS": str(slots),
            "WORKER_STEWARD": ",".join(f"{HOST}:{one.presence}" for one in self.stewards),
            **more,
        }
        process = self.processes.python(name, "resonate_fleet.member", env)
        return WorkerProcess(kind, name, process, journal)

    @contextmanager
    def with_stewards(self, count: int = 1) -> Iterator[list[StewardProcess]]:
        """Run stewards, the longest-standing first; members that start meanwhile know them."""
        try:
            for _ in range(count):
                self.stewards.append(self._start_steward(free_port()))
            yield self.stewards
        finally:
            for _ in range(count):
                self.stewards.pop().process.end()

    def _start_steward(self, presence: int) -> StewardProcess:
        port = free_port()
        env = {
            "RESONATE_URL": self.url,
            "STEWARD_NAME": f"steward-{next(self._numbers)}",
            "STEWARD_HOST": HOST,
            "STEWARD_PORT": str(port),
            "STEWARD_PRESENCE_PORT": str(presence),
            "STEWARD_LOG_FORMAT": "json",
            "FLEET_PRESENCE_SECRET": self.shape.secret,
            **self.steward_env,
        }
        process = self.processes.python("steward", "resonate_fleet.steward", env)
        wait_for("the steward", lambda: bool(process.lines("steward.started")), process)
        return StewardProcess(process, port, presence)

    def restart(self, steward: StewardProcess) -> None:
        """Start a steward where that one, which has ended, was; it is the youngest now."""
        fresh = self._start_steward(steward.presence)
        self.stewards.remove(steward)
        self.stewards.append(fresh)

    def restart_server(self) -> None:
        """Kill the server, if it is ours, and start it on its store."""
        if self.server and self.serve:
            self.server.kill()
            self.server = self.serve()

    def server_requests(self) -> Counter[tuple[str, str]]:
        """Return how many requests the server has had, by kind and status."""
        line = re.compile(r"^resonate_request_total\{([^}]*)\} ([0-9.e+-]+)", re.MULTILINE)
        counts: Counter[tuple[str, str]] = Counter()
        for labels, value in line.findall(page(self.metrics_url) or ""):
            named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            counts[named.get("kind", ""), named.get("status", "")] += int(float(value))
        return counts


class Requests:
    """What the server was asked since, less what the bench itself asked but for creations."""

    def __init__(self, place: BenchPlace) -> None:
        self._place = place
        self._before, self._own = place.server_requests(), self._asked()

    def _asked(self) -> int:
        sent = self._place.wire.sent
        return sent.total() - sent["promise.create"]

    def total(self) -> int:
        since = self._place.server_requests() - self._before
        return since.total() - (self._asked() - self._own)

    def refused_claims(self) -> float:
        """Return the refused share of all claims."""
        since = self._place.server_requests() - self._before
        refused, granted = since["task.acquire", "409"], since["task.acquire", "200"]
        return refused / max(1, refused + granted)


def open_place(
    stack: ExitStack,
    folder: Path,
    url: str | None = None,
    binary: str | None = None,
    store: str = ":memory:",
) -> BenchPlace:
    """Start a server, unless `url` names one: `binary`, or else the embedded one.

    `store` is a SQLite file or, for the real server, a PostgreSQL URL.
    """
    processes = stack.enter_context(Processes(folder))
    if url is not None:
        return BenchPlace(url, None, processes, url)
    port, metrics = free_port(), free_port()
    env = server_env(Shape(server_env=_storage(store)), port, metrics)
    address = f"http://{HOST}:{port}"

    def serve() -> Process:
        embedded = [sys.executable, "-m", "resonate_fleet.server"]
        server = processes.start("server", [binary, "serve"] if binary else embedded, env)
        wait_for("the server", lambda: page(f"{address}/ready") is not None, server)
        return server

    what = "real server" if binary else "embedded server"
    return BenchPlace(address, f"http://{HOST}:{metrics}/metrics", processes, what, serve)


def _storage(store: str) -> dict[str, str]:
    if "://" in store:
        return {"RESONATE_STORAGE__TYPE": "postgres", "RESONATE_STORAGE__POSTGRES__URL": store}
    path = store if store == ":memory:" else str(Path(store).resolve())
    return {"RESONATE_STORAGE__SQLITE__PATH": path}
