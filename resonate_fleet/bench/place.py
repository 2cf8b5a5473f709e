"""Where a bench run takes place: a server, stewards, members of ours and of the plain SDK's."""

import itertools
import os
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from resonate_fleet.bench.figures import Kind
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.processes import Process, StewardProcess, WorkerProcess, page, until
from resonate_fleet.chaos.child import room_command
from resonate_fleet.chaos.ports import HOST, Ports, free_port
from resonate_fleet.chaos.shape import Shape, server_env, worker_env

#: As in production of many small jobs: the journal's file is kept, the log is for warnings.
_MEMBER_ENV = {
    "WORKER_LOG_LEVEL": "warning",
    "WORKER_DRAIN": "0",
    "WORKER_FUNCTIONS": "resonate_fleet.bench.functions",
}
#: As where the fleet is installed: compiled once, not at each start.
COMPILED = {
    "PYTHONPYCACHEPREFIX": str(Path.home() / ".cache" / "fleet-bench"),
    "PYTHONDONTWRITEBYTECODE": "",
}
#: Stores of a server: its memory, or a new file in the folder of the place.
MEMORY, NEW_FILE = ":memory:", ""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. `seeds` None: as many as the goals name.

    `store` and `empty` are files or URLs of stores: one with a history and one without.
    """

    server_bin: str | None = None
    seeds: int | None = None
    jobs: int | None = None
    store: str | None = None
    empty: str | None = None

    def times(self, usual: int) -> int:
        """Scale `usual`, the repetitions of 20 seeds, to the seeds that were asked for."""
        return max(1, usual * (self.seeds or 20) // 20)


@dataclass
class BenchPlace:
    """A server, and what is started beside it.

    `store` is a SQLite file or, for the real server, a PostgreSQL URL. `binary` None: the embedded
    server. Processes end with `stack`, the youngest first.
    """

    folder: Path
    stack: ExitStack
    binary: str | None
    store: str
    #: Settings of stewards that start from now on.
    steward_env: dict[str, str] = field(default_factory=dict)
    #: The longest-standing first.
    stewards: list[StewardProcess] = field(default_factory=list)
    shape: Shape = field(default_factory=Shape)
    server: Process = field(init=False)

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._ports = Ports()
        self.url = f"http://{HOST}:{self._ports.server}"
        self.wire = CountedWire(self.url)

    def named(self, word: str) -> str:
        """Return a name that nothing else here has."""
        return f"bench-{word}-{next(self._numbers)}"

    def start[P: Process](
        self, kind: type[P], name: str, command: Sequence[str], env: Mapping[str, str]
    ) -> P:
        process = kind(name, command, {**COMPILED, **env}, self.folder / f"{name}.log")
        self.stack.callback(process.end)
        return process

    async def serve(self) -> None:
        """Start the server, for the first time or again."""
        path = "POSTGRES__URL" if "://" in self.store else "SQLITE__PATH"
        env = {f"RESONATE_STORAGE__{path}": self.store}
        if "://" in self.store:
            env["RESONATE_STORAGE__TYPE"] = "postgres"
        command = [self.binary, "serve"] if self.binary else room_command("server")
        settings = server_env(Shape(server_env=env), self._ports.server, self._ports.server_metrics)
        self.server = self.start(Process, self.named("server"), command, settings)
        ready = f"{self.url}/ready"
        await until("the server", lambda: page(ready) is not None, self.server)

    @asynccontextmanager
    async def fleet(
        self,
        kind: Kind,
        members: int,
        slots: int,
        *,
        stewards: int = 1,
        group: str = "",
        **env: str,
    ) -> AsyncIterator["BenchFleet"]:
        """Run members of a new group (or of `group`), all ready, beside so many more stewards.

        The steward's first survey is over when this is entered: it would delay the first jobs.
        Members that are added end with the others. `env`: settings of our members.
        """
        async with self.with_stewards(stewards):
            fleet = BenchFleet(self, kind, group or self.named(kind), slots, env)
            try:
                for _ in range(members):
                    fleet.start()
                for member in fleet.members:
                    await until(member.name, member.ready, member)
                if kind == "ours" and members and self.stewards:
                    await until("a survey", fleet.surveyed, self.stewards[0])
                yield fleet
            finally:
                for member in fleet.members:
                    member.end()

    @asynccontextmanager
    async def fleets(
        self, members: int, slots: Mapping[Kind, int]
    ) -> AsyncIterator[dict[Kind, "BenchFleet"]]:
        """Run a fleet of each of these kinds, with so many slots a member, beside one steward."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.with_stewards())
            yield {
                kind: await stack.enter_async_context(self.fleet(kind, members, many, stewards=0))
                for kind, many in slots.items()
            }

    @asynccontextmanager
    async def with_stewards(self, count: int = 1) -> AsyncIterator[None]:
        """Run so many more stewards; members that start meanwhile know them."""
        try:
            for _ in range(count):
                await self._add_steward(str(free_port()))
            yield
        finally:
            for _ in range(count):
                self.stewards.pop().end()

    async def _add_steward(self, presence: str) -> None:
        name = self.named("steward")
        env = {
            "RESONATE_URL": self.url,
            "STEWARD_NAME": name,
            "STEWARD_HOST": HOST,
            "STEWARD_PORT": str(free_port()),
            "STEWARD_PRESENCE_PORT": presence,
            "STEWARD_LOG_FORMAT": "json",
            "FLEET_PRESENCE_SECRET": self.shape.secret,
            **self.steward_env,
        }
        steward = self.start(StewardProcess, name, room_command("steward"), env)
        await until("the steward", lambda: bool(steward.lines("steward.started")), steward)
        self.stewards.append(steward)

    async def restart(self, steward: StewardProcess) -> None:
        """Start a steward where that one, which has ended, was; it is the youngest now."""
        await self._add_steward(steward.presence)
        self.stewards.remove(steward)

    def server_requests(self) -> Counter[tuple[str, str]]:
        """Return how many requests the server has had, by kind and status."""
        line = re.compile(r"^resonate_request_total\{([^}]*)\} ([0-9.e+-]+)", re.MULTILINE)
        counts: Counter[tuple[str, str]] = Counter()
        for labels, value in line.findall(
            page(f"http://{HOST}:{self._ports.server_metrics}/metrics") or ""
        ):
            named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            counts[named.get("kind", ""), named.get("status", "")] += int(float(value))
        return counts


@dataclass
class BenchFleet:
    """Members of one group, all alike."""

    place: BenchPlace
    kind: Kind
    group: str
    slots: int
    env: Mapping[str, str]
    members: list[WorkerProcess] = field(default_factory=list)

    def start(self) -> WorkerProcess:
        """Start a member without waiting for it; it has the stewards that there are now."""
        place, name = self.place, self.place.named(self.kind)
        if self.kind == "plain":
            command = room_command("bench.plain", place.url, self.group, str(self.slots))
            env = {}
        else:
            command = room_command("member")
            presences = [f"{HOST}:{one.presence}" for one in place.stewards]
            env = {
                **worker_env(place.shape, name, free_port(), place.folder / name),
                **_MEMBER_ENV,
                "RESONATE_URL": place.url,
                "WORKER_GROUP": self.group,
                "WORKER_SLOTS": str(self.slots),
                "WORKER_STEWARD": ",".join(presences),
                **self.env,
            }
        self.members.append(place.start(WorkerProcess, name, command, env))
        return self.members[-1]

    async def add(self) -> WorkerProcess:
        """Start one more member and wait until it takes jobs."""
        member = self.start()
        await until(member.name, member.ready, member)
        return member

    async def whole(self) -> None:
        """Wait until each steward knows all the members."""
        await until("a whole fleet", lambda: all(map(self._knows, self.place.stewards)))

    def _knows(self, steward: StewardProcess) -> bool:
        state = steward.state()
        known = [one for one in state.members if one.group == self.group] if state else []
        return sum(one.state == "present" for one in known) == len(self.members)

    def surveyed(self) -> bool:
        """Say whether the steward that serves has surveyed since the members came."""
        state = self.place.stewards[0].state()
        return state is not None and state.serving and state.complete


class Requests:
    """Counts requests to the server from here on, without the bench's own except creations."""

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


@asynccontextmanager
async def open_place(binary: str | None, store: str = MEMORY) -> AsyncIterator[BenchPlace]:
    """Start a server on `store`: `MEMORY`, `NEW_FILE`, a file, or the URL of a PostgreSQL database.

    A file that exists is copied, so that it serves again.
    """
    with TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        place = BenchPlace(Path(folder), stack, binary, _kept(store, Path(folder) / "store.db"))
        await place.serve()
        async with place.wire:
            yield place


def _kept(store: str, file: Path) -> str:
    if not Path(store).is_file():
        return store or str(file)
    shutil.copy(store, file)
    # Otherwise the server's first checkpoint writes all of it during a measure: 0.5 s for 1 GB.
    os.sync()
    return str(file)
