"""The measures by name: what `fleet bench NAME` runs, each on a server of its own."""

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from resonate_fleet.bench import (
    backlog,
    fanout,
    history,
    latency,
    makespan,
    prune,
    recovery,
    searches,
    simulated,
    throughput,
)
from resonate_fleet.bench.figures import Figure
from resonate_fleet.bench.jobs import CountedWire
from resonate_fleet.bench.place import Kind, Place, open_place


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


@dataclass(frozen=True)
class Scene:
    """Where a measure takes place, and what is asked of it."""

    asked: Asked
    stack: ExitStack
    folder: Path
    place: Place
    wire: CountedWire

    @property
    def kinds(self) -> Sequence[Kind]:
        return [self.asked.only] if self.asked.only else ["ours", "plain"]

    @property
    def seeds(self) -> int:
        return self.asked.seeds or 20

    def times(self, usual: int) -> int:
        """Return how often to do what is done so often in 20 seeds."""
        return max(1, usual * self.seeds // 20)


async def measured(name: str, asked: Asked) -> tuple[str, list[Figure]]:
    """Run one measure; return what server it ran on, and the figures."""
    measure = MEASURES[name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        store = str(folder / "store.db") if measure.on_file else ":memory:"
        if measure.on_history and asked.store:
            store = _copied(asked.store, store)
        place = open_place(stack, folder, asked.server, asked.server_bin, store)
        async with place.wire() as wire:
            figures = await measure.run(Scene(asked, stack, folder, place, wire))
        return place.what, figures


def _copied(prepared: str, file: str) -> str:
    """Copy a prepared file, so that it serves again; a database is used as it is."""
    return prepared if "://" in prepared else str(shutil.copy(prepared, file))


async def _makespan(on: Scene) -> list[Figure]:
    figures = await makespan.both(on.place, on.wire, on.seeds, on.kinds, users_ids=False)
    return figures + await makespan.changing(on.place, on.wire, on.times(5))


async def _order(on: Scene) -> list[Figure]:
    return await makespan.both(on.place, on.wire, on.seeds, ["ours"], users_ids=True)


async def _latency(on: Scene) -> list[Figure]:
    seeds = max(5, on.times(10))
    figures = await latency.idle_to_start(on.place, on.wire, seeds, on.kinds)
    figures += await latency.beside_busy(on.place, on.wire, seeds, on.kinds)
    figures += await latency.burst(on.place, on.wire, 2 * seeds, on.kinds)
    figures += await latency.submission(on.place, on.wire, seeds)
    return figures + await latency.joining(on.place, on.wire, on.times(3))


async def _throughput(on: Scene) -> list[Figure]:
    return await throughput.steady(on.place, on.wire, min(on.seeds, 5), on.kinds)


async def _drain(on: Scene) -> list[Figure]:
    return await throughput.drain(on.place, on.wire, on.asked.jobs or 10_000)


async def _waiting(on: Scene) -> list[Figure]:
    return await backlog.waiting(on.place, on.wire, on.asked.jobs or 100_000)


async def _fanout(on: Scene) -> list[Figure]:
    return await fanout.families(on.place, on.wire, [300, 1000], on.kinds)


async def _recovery(on: Scene) -> list[Figure]:
    figures = await recovery.deaths(on.place, on.wire, on.times(20))
    figures += await recovery.hand_backs(on.place, on.wire, on.times(10))
    figures += await recovery.steward_killed(on.place, on.wire, on.times(5))
    figures += await recovery.stewards_away(on.place, on.wire, 30)
    return figures + await recovery.server_killed(on.place, on.wire, on.times(10))


async def _history(on: Scene) -> list[Figure]:
    """The scene's own store has the history; an empty one lies beside it."""
    (folder := on.folder / "empty").mkdir()
    store = on.asked.empty or str(folder / "store.db")
    empty = open_place(on.stack, folder, None, on.asked.server_bin, store)
    return await history.beside_empty(on.place, empty, on.seeds)


async def _prune(on: Scene) -> list[Figure]:
    store = on.asked.store or ""
    return await prune.beside_work(
        on.place, on.wire, store if "://" in store else str(on.folder / "store.db")
    )


async def _simulated(on: Scene) -> list[Figure]:
    return simulated.simulated(on.seeds)


async def _searches(on: Scene) -> list[Figure]:
    return await searches.searches(on.place, on.wire, on.times(40))


@dataclass(frozen=True)
class Measure:
    """`on_file`: its store is a file; `on_history`: it is the one that the command line names."""

    run: Callable[[Scene], Awaitable[list[Figure]]]
    on_file: bool = False
    on_history: bool = False


MEASURES: dict[str, Measure] = {
    "makespan": Measure(_makespan),
    "order": Measure(_order),
    "latency": Measure(_latency),
    "throughput": Measure(_throughput),
    "drain": Measure(_drain),
    "waiting": Measure(_waiting, on_file=True),
    "fanout": Measure(_fanout),
    "recovery": Measure(_recovery, on_file=True),
    "history": Measure(_history, on_file=True, on_history=True),
    "simulated": Measure(_simulated),
    "searches": Measure(_searches, on_file=True, on_history=True),
    "prune": Measure(_prune, on_file=True, on_history=True),
}
